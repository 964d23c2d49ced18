# SPDX-License-Identifier: Apache-2.0
"""Drawing a cluster and its troubles from a seed: the whole script, before anything runs.

What is drawn up front can be shortened later without changing the rest, which shrinking needs.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FenceVerb,
    FencingSpec,
    NodeSpec,
    NoQuorumPolicy,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
    StopFailurePolicy,
)
from rgmgr.sim.bunches import PAIRS
from rgmgr.sim.draw_failback import with_failback
from rgmgr.sim.draw_fencing import TWO, cut_for_long, with_lease, with_tie_breaker, with_watchdog
from rgmgr.sim.draw_migrations import with_migrations
from rgmgr.sim.draw_pings import draw_silences, with_pings
from rgmgr.sim.draw_sharing import with_sharing
from rgmgr.sim.draw_terms import with_terms
from rgmgr.sim.draw_transfers import with_transfers
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import Fault, Script
from rgmgr.sim.parts import draw_changes, draw_troubles, has_parts, with_parts
from rgmgr.sim.policies import with_policies, with_requests
from rgmgr.sim.troubles import CALM_MAKERS, MAKERS, draw_maintenance

QUIET_START_MS = 12_000
CALM_SEED_EVERY = 10
NAMES = ("web", "db", "mail", "files", "dns", "proxy")
PDU = "pdu"


def draw_script(
    seed: int,
    *,
    nodes: int | None = None,
    spec: ClusterSpec | None = None,
    steps: int | None = None,
) -> Script:
    """Draw cluster and faults; what is given is not drawn.

    A step is one trouble: a fault, or two or three that belong together.
    One seed in ten is calm: there, only daemons die or are restarted, which must move nothing.
    """
    rolls = dice(seed, "script")
    drawn = draw_spec(rolls, nodes or rolls.choice((2, 3, 3, 3, 4, 5)))
    is_given = spec is not None
    spec = spec or _with_more(seed, drawn)
    makers = MAKERS
    count = rolls.choice((1, 2, 3, 4, 6, 8, 12)) if steps is None else steps
    start_ms = rolls.choice((0, QUIET_START_MS, QUIET_START_MS))
    if is_calm(seed):
        start_ms, makers = QUIET_START_MS + 8_000, CALM_MAKERS
    faults: list[Fault] = []
    at_ms = start_ms
    for _ in range(count):
        # troubles come in bunches, since most bugs need two of them at once
        at_ms += rolls.choice((0, 20, 300, 1_000, 2_200, 5_000))
        at_ms += rolls.randint(0, 1_500)
        if makers is MAKERS and chance(rolls, 0.3):
            faults += rolls.choice(PAIRS)(rolls, spec, at_ms)
            continue
        weights = [weight for weight, _ in makers]
        (_, maker) = rolls.choices(makers, weights)[0]
        faults.append(maker(rolls, spec, at_ms))
    is_two_node = len(spec.nodes) == TWO and chance(rolls, 0.5)
    own = dice(seed, "parts")
    spec = with_parts(own, spec) if spec is drawn else spec
    if makers is MAKERS and has_parts(spec):
        faults += draw_troubles(own, spec, start_ms, at_ms)
    if makers is MAKERS and steps is None:
        faults += draw_changes(dice(seed, "changes"), spec, start_ms, at_ms)
    if steps is None and not is_calm(seed):
        faults += draw_maintenance(dice(seed, "maintenance"), spec, start_ms, at_ms)
        faults += draw_silences(seed, spec, start_ms, at_ms)
    is_two_node = len(spec.nodes) == TWO and chance(rolls, 0.5)
    if not is_given and is_two_node:
        spec = with_lease(dice(seed, "lease"), spec)
    elif not is_given:
        lone = dice(seed, "watchdog")
        spec = with_watchdog(lone, spec)
        if spec.fencing.watchdog and makers is MAKERS:
            faults.append(cut_for_long(lone, spec, at_ms))
    script = Script(
        seed=seed,
        spec=spec,
        faults=tuple(sorted(faults, key=lambda f: f.at_ms)),
        is_two_node=is_two_node,
        keeps_step=chance(dice(seed, "step"), 0.5),
    )
    return script if is_calm(seed) else _with_company(seed, script, is_plain=is_given or steps == 0)


def _with_company(seed: int, script: Script, *, is_plain: bool) -> Script:
    """Return the script with what stands around a cluster: an arbiter, and operators."""
    if is_plain:
        return with_requests(seed, script)
    script = with_transfers(seed, with_requests(seed, with_tie_breaker(seed, script)))
    return with_migrations(seed, script)


def _with_more(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster with all that is drawn from dice of its own."""
    spec = with_terms(seed, _with_stop_failures(seed, spec))
    spec = with_policies(seed, with_pings(seed, with_failback(seed, spec)))
    return with_sharing(seed, spec)


def _with_stop_failures(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Let some services have their node fenced when they do not stop."""
    rolls = dice(seed, "stop failures")
    policies = (StopFailurePolicy.HOLD, StopFailurePolicy.FENCE)
    services = tuple(replace(s, on_stop_failure=rolls.choice(policies)) for s in spec.services)
    return replace(spec, services=services)


def is_calm(seed: int) -> bool:
    """Whether this seed only has daemons that come back in time."""
    return seed % CALM_SEED_EVERY == CALM_SEED_EVERY - 1


# Clusters.


def draw_spec(rolls: Dice, nodes: int) -> ClusterSpec:
    """Draw a cluster of this many nodes, with one to six services."""
    ids = [NodeId(n) for n in range(1, nodes + 1)]
    domains = {name: _draw_domain(rolls, name, ids) for name in ("prefer", "only")}
    names = NAMES[: rolls.choice((1, 1, 2, 2, 3, 4, 6))]
    return ClusterSpec(
        name="simulated",
        version=1,
        digest="1",
        nodes={n: NodeSpec(name=f"node{n}", fence=((FenceStep(device=PDU),),)) for n in ids},
        services=tuple(_draw_service(rolls, ServiceName(name), tuple(domains)) for name in names),
        domains=domains,
        fencing=FencingSpec(
            devices={
                PDU: FenceDevice(name=PDU, agent="fence_sim", unfence_at_join=chance(rolls, 0.15))
            },
            verb=rolls.choice((FenceVerb.REBOOT, FenceVerb.REBOOT, FenceVerb.OFF)),
            post_fail_delay_ms=rolls.choice((0, 0, 1_000, 4_000)),
            post_join_delay_ms=rolls.choice((1_000, 4_000, 6_000)),
            timeout_ms=rolls.choice((3_000, 8_000)),
            delay_random_ms=rolls.choice((0, 0, 2_000)),
            delay_by_weight_ms=rolls.choice((0, 0, 3_000)),
            max_fences=(most := rolls.choice((0, 0, 0, 2))),
            max_fences_ms=30_000 if most else 0,
            test_interval_ms=rolls.choice((0, 0, 7_000)),
        ),
        no_quorum_policy=rolls.choice(
            (NoQuorumPolicy.STOP, NoQuorumPolicy.STOP, NoQuorumPolicy.FREEZE)
        ),
        rejoin_grace_ms=rolls.choice((5_000, 10_000)),
        sync_timeout_ms=rolls.choice((3_000, 6_000)),
    )


def _draw_domain(rolls: Dice, name: str, nodes: list[NodeId]) -> FailoverDomain:
    members = rolls.sample(nodes, rolls.randint(1, len(nodes)))
    return FailoverDomain(
        name=name,
        priorities={node: rolls.randint(1, 3) for node in sorted(members)},
        ordered=chance(rolls, 0.5),
        restricted=name == "only",
        nofailback=chance(rolls, 0.4),
    )


def _draw_service(rolls: Dice, name: ServiceName, domains: tuple[str, ...]) -> ServiceSpec:
    return ServiceSpec(
        name=name,
        resources=_draw_tree(rolls, name),
        domain=rolls.choice((None, *domains)),
        autostart=chance(rolls, 0.9),
        recovery=rolls.choice(tuple(RecoveryPolicy)),
        max_restarts=rolls.choice((0, 1, 3)),
        restart_expire_ms=rolls.choice((0, 10_000)),
    )


def _draw_tree(rolls: Dice, service: ServiceName) -> tuple[ResourceSpec, ...]:
    """One to three resources, alone or as a parent with children."""
    count = rolls.choice((1, 1, 2, 3))
    leaves = tuple(
        ResourceSpec(
            name=ResourceName(f"r{number}"),
            type="systemd",
            parameters={"unit": f"{service}-r{number}.service"},
            start_timeout_ms=3_500,
            stop_timeout_ms=3_500,
        )
        for number in range(1, count)
    )
    root = ResourceSpec(
        name=ResourceName("r0"),
        type="systemd",
        parameters={"unit": f"{service}-r0.service"},
        children=leaves if chance(rolls, 0.5) else (),
        start_timeout_ms=3_500,
        stop_timeout_ms=3_500,
    )
    return (root,) if root.children else (root, *leaves)
