# SPDX-License-Identifier: Apache-2.0
"""Drawing what administrators want of single services, and what they ask about that.

From dice of its own, after all else was drawn: the troubles of a seed stay what they were.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import ServiceName
from rgmgr.config.depend import check_depend
from rgmgr.config.problems import Problems
from rgmgr.core.messages import Verb
from rgmgr.core.spec import (
    ClusterSpec,
    Deed,
    DependMode,
    NoQuorumPolicy,
    Rung,
    ServiceSpec,
    ShutdownMode,
    TakeoverMode,
)
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import Ask, Fault, Script
from rgmgr.sim.troubles import draw_node

FROZEN_MAX_MS = 20_000
TAKEOVERS = (TakeoverMode.AUTO, *TakeoverMode)
SHUTDOWNS = (ShutdownMode.FAILOVER, *ShutdownMode)


def with_policies(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Give some services of a drawn cluster a policy of their own."""
    rolls = dice(seed, "ladders")
    services = tuple(
        _with_ladder(s, _draw_ladder(rolls)) if chance(rolls, 0.3) else s for s in spec.services
    )
    quorum = dice(seed, "quorum policies")
    if chance(quorum, 0.3):
        others = (None, NoQuorumPolicy.IGNORE, NoQuorumPolicy.SUICIDE)
        services = tuple(replace(s, no_quorum_policy=quorum.choice(others)) for s in services)
    services = _with_needs(dice(seed, "depend"), services)
    return replace(spec, services=_with_modes(dice(seed, "modes"), services))


def _with_modes(rolls: Dice, services: tuple[ServiceSpec, ...]) -> tuple[ServiceSpec, ...]:
    """Let some services wait for their node, once it is lost or was shut down."""
    if not chance(rolls, 0.4):
        return services
    found = []
    for service in services:
        takeover, on_shutdown = rolls.choice(TAKEOVERS), rolls.choice(SHUTDOWNS)
        span_ms = rolls.choice((3_000, 15_000))
        is_delay, is_wait = takeover is TakeoverMode.DELAY, on_shutdown is ShutdownMode.WAIT
        found.append(
            replace(
                service,
                takeover=takeover,
                takeover_delay_ms=span_ms if is_delay else 0,
                on_shutdown=on_shutdown,
                shutdown_wait_ms=span_ms if is_wait else 0,
            )
        )
    return tuple(found)


def _with_needs(rolls: Dice, services: tuple[ServiceSpec, ...]) -> tuple[ServiceSpec, ...]:
    """Let some services need others, in an order of their own, so that there is no ring."""
    if not chance(rolls, 0.3):
        return services
    names = rolls.sample([s.name for s in services], len(services))
    needs = {
        name: tuple(rolls.sample(names[:place], min(place, rolls.choice((0, 1, 1, 2)))))
        for place, name in enumerate(names)
    }
    modes = (DependMode.HARD, DependMode.HARD, DependMode.SOFT)
    drawn = tuple(
        replace(s, depend=needs[s.name], depend_mode=rolls.choice(modes)) for s in services
    )
    problems = Problems()
    check_depend(drawn, problems)  # who must be with whom may close a ring
    return services if problems.found else drawn


def _with_ladder(service: ServiceSpec, ladder: tuple[Rung, ...]) -> ServiceSpec:
    """Let a ladder stand for rgmanager's words."""
    plain = ServiceSpec(name=service.name, resources=())
    return replace(
        service, ladder=ladder, recovery=plain.recovery, max_restarts=0, restart_expire_ms=0
    )


def _draw_ladder(rolls: Dice) -> tuple[Rung, ...]:
    window_ms = rolls.choice((0, 8_000, 20_000))
    counting = tuple(
        Rung(deed=deed, limit=rolls.choice((1, 1, 2)), window_ms=window_ms)
        for deed in (Deed.TOLERATE, Deed.RESTART)
        if chance(rolls, 0.6)
    )
    return (*counting, Rung(deed=rolls.choice((Deed.RELOCATE, Deed.RELOCATE, Deed.DISABLE))))


def with_requests(seed: int, script: Script) -> Script:
    """Add requests that only some services are ever asked."""
    rolls = dice(seed, "policy requests")
    added: list[Fault] = []
    if script.faults and chance(rolls, 0.3):
        added += _freeze(rolls, script.spec, script.faults)
    modes = [s for s in script.spec.services if s.takeover is not TakeoverMode.AUTO]
    if script.faults and modes:
        added += _decide(rolls, script.spec, script.faults, rolls.choice(modes).name)
    if script.faults and chance(rolls, 0.1):
        at_ms = rolls.choice(script.faults).at_ms + rolls.randint(0, 30_000)
        name = rolls.choice(script.spec.services).name
        node = draw_node(rolls, script.spec)
        added.append(Ask(at_ms=at_ms, node=node, verb=Verb.RETRY, service=name))
    faults = sorted((*script.faults, *added), key=lambda fault: fault.at_ms)
    return replace(script, faults=tuple(faults))


def _freeze(rolls: Dice, spec: ClusterSpec, faults: tuple[Fault, ...]) -> list[Fault]:
    """Freeze a service about when something else happens; unfreeze it in time, or never."""
    at_ms = max(0, rolls.choice(faults).at_ms - rolls.choice((0, 30, 400, 2_000)))
    service = rolls.choice(spec.services).name
    asked = Ask(at_ms=at_ms, node=draw_node(rolls, spec), verb=Verb.FREEZE, service=service)
    later_ms = at_ms + rolls.randint(50, FROZEN_MAX_MS)
    ended = replace(asked, at_ms=later_ms, node=draw_node(rolls, spec), verb=Verb.UNFREEZE)
    return [asked, ended] if chance(rolls, 0.6) else [asked]


def _decide(
    rolls: Dice, spec: ClusterSpec, faults: tuple[Fault, ...], service: ServiceName
) -> list[Fault]:
    """Let one or two administrators decide, mostly when there is something to decide."""
    return [
        Ask(
            at_ms=rolls.choice(faults).at_ms + rolls.randint(0, 12_000),
            node=draw_node(rolls, spec),
            verb=rolls.choice((Verb.CONFIRM, Verb.CONFIRM, Verb.REFUSE)),
            service=service,
        )
        for _ in range(rolls.choice((0, 1, 1, 2)))
    ]
