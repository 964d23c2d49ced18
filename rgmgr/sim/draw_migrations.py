# SPDX-License-Identifier: Apache-2.0
"""Virtual machines among drawn services, and operators who send them elsewhere."""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.messages import Verb
from rgmgr.core.spec import ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import (
    Ambush,
    Ask,
    DaemonCrash,
    Fault,
    NodeShutdown,
    Partition,
    PowerLoss,
    Script,
    UnitTrouble,
)
from rgmgr.sim.moments import Moment
from rgmgr.sim.phases import Mood

CLUSTERS_WITH_MACHINES = 0.2
FATES = (Mood.STOP_FAILS, Mood.STOP_HANGS, Mood.STOP_HANGS, Mood.DIES_SOON, Mood.START_FAILS)
AROUND_MS = (-2_600, -600, -100, 0, 20, 400, 1_500)
"""When, seen from a trouble, an operator asks: mostly so that it comes while one is on its way."""


def with_migrations(seed: int, script: Script) -> Script:
    """Return the script with machines that are sent to other nodes about when something happens."""
    rolls = dice(seed, "migrations")
    plain = [s.name for s in script.spec.services if _is_plain(s)]
    if not plain or len(script.spec.nodes) == 1 or not chance(rolls, CLUSTERS_WITH_MACHINES):
        return script
    names = rolls.sample(plain, rolls.randint(1, len(plain)))
    spec = replace(
        script.spec,
        services=tuple(
            replace(s, resources=(_machine(s.resources[0]),)) if s.name in names else s
            for s in script.spec.services
        ),
    )
    added: list[Fault] = []
    machines = [s for s in spec.services if s.name in names]
    for _ in range(rolls.randint(1, 6)):
        added += _order(rolls, script, rolls.choice(machines))
    faults = sorted((*script.faults, *added), key=lambda fault: fault.at_ms)
    return replace(script, spec=spec, faults=tuple(faults))


def _is_plain(service: ServiceSpec) -> bool:
    resources = start_order(service)
    return len(resources) == 1 and resources[0].type == "systemd" and not resources[0].is_shared


def _machine(resource: ResourceSpec) -> ResourceSpec:
    machine = resource.parameters["unit"].removesuffix(".service")
    return replace(resource, type="vm", parameters={"machine": machine})


def _order(rolls: Dice, script: Script, service: ServiceSpec) -> list[Fault]:
    """Ask for a migration to whatever node takes it, which may go wrong."""
    nodes = sorted(script.spec.nodes)
    times = [fault.at_ms for fault in script.faults] or [20_000]
    at_ms = max(0, rolls.choice(times) + rolls.choice(AROUND_MS))
    asked: list[Fault] = [
        Ask(
            at_ms=at_ms,
            node=rolls.choice(nodes),
            verb=Verb.MIGRATE,
            service=service.name,
            target=target,
        )
        for target in rolls.sample(nodes, len(nodes))
    ]
    if chance(rolls, 0.3):
        asked.append(_ambush(rolls, at_ms, nodes))
    if not chance(rolls, 0.35):
        return asked
    mood, span_ms = rolls.choice(FATES), rolls.choice((1_000, 6_000))
    troubles = [
        UnitTrouble(
            at_ms=max(0, at_ms - 10),
            node=node,
            service=service.name,
            resource=service.resources[0].name,
            mood=mood,
            for_ms=span_ms,
        )
        for node in (nodes if chance(rolls, 0.6) else rolls.sample(nodes, 1))
    ]
    return [*troubles, *asked]


def _ambush(rolls: Dice, at_ms: int, nodes: list[NodeId]) -> Ambush:
    """Let one of the two fail as soon as it goes."""
    victim, span_ms = rolls.choice(nodes), rolls.choice((50, 1_500, 7_000))
    strikes = (
        PowerLoss(at_ms=0, node=victim, for_ms=span_ms),
        DaemonCrash(at_ms=0, node=victim, for_ms=span_ms),
        NodeShutdown(at_ms=0, node=victim, for_ms=span_ms),
        Partition(at_ms=0, sides=((victim,), *_rest(nodes, victim)), for_ms=span_ms),
    )
    return Ambush(
        at_ms=at_ms,
        node=rolls.choice(nodes),
        moment=rolls.choice((Moment.STOP, Moment.STOPPED)),
        strike=rolls.choice(strikes),
        for_ms=4_000,
    )


def _rest(nodes: list[NodeId], victim: NodeId) -> tuple[tuple[NodeId, ...], ...]:
    return (tuple(n for n in nodes if n != victim),)
