# SPDX-License-Identifier: Apache-2.0
"""Drawing what some clusters have instead of, or behind, a fence device. Dice of their own."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.config.watchdog import least_timeout_ms
from rgmgr.core.spec import (
    WATCHDOG_AGENT,
    WATCHDOG_OF_SYSTEMD,
    ClusterSpec,
    FenceDevice,
    FenceStep,
    NoQuorumPolicy,
)
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import Fault, Partition, Script
from rgmgr.sim.votes import TieBreaker

TIME = "time"
TWO = 2


def with_watchdog(rolls: Dice, spec: ClusterSpec) -> ClusterSpec:
    """Give every node a watchdog in some clusters, behind its outlet or in its place."""
    if not chance(rolls, 0.15):
        return spec
    by_time = (FenceStep(device=TIME),)
    is_alone = chance(rolls, 0.6)
    policy = NoQuorumPolicy.FREEZE if chance(rolls, 0.5) else spec.no_quorum_policy
    return replace(
        spec,
        nodes={
            n: replace(node, fence=(by_time,) if is_alone else (*node.fence, by_time))
            for n, node in spec.nodes.items()
        },
        fencing=replace(
            spec.fencing,
            devices={
                **spec.fencing.devices,
                TIME: FenceDevice(name=TIME, agent=WATCHDOG_AGENT),
            },
            watchdog=WATCHDOG_OF_SYSTEMD,
            watchdog_ms=least_timeout_ms(spec),
        ),
        no_quorum_policy=policy,
    )


def cut_for_long(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    """Part one node from the others until its watchdog must have fired."""
    nodes = sorted(spec.nodes)
    lone = rolls.choice(nodes)
    return Partition(
        at_ms=at_ms + rolls.randint(0, 4_000),
        sides=((lone,), tuple(n for n in nodes if n != lone)),
        for_ms=rolls.randint(25_000, 60_000),
    )


def with_tie_breaker(seed: int, script: Script) -> Script:
    """Let something decide between the halves of some clusters, and part them now and then."""
    rolls = dice(seed, "tie breaker")
    nodes = sorted(script.spec.nodes)
    if len(nodes) % 2 or script.is_two_node or not chance(rolls, 0.7):
        return script
    tie_breaker = rolls.choice((TieBreaker.LOWEST, TieBreaker.ARBITER))
    if len(nodes) == TWO:
        tie_breaker = TieBreaker.ARBITER  # `two_node` is what two nodes have otherwise
    halves: list[Fault] = []
    at_ms = rolls.randint(8_000, 20_000)
    for _ in range(rolls.choice((0, 1, 2))):
        one = rolls.sample(nodes, len(nodes) // 2)
        sides = (tuple(sorted(one)), tuple(n for n in nodes if n not in one))
        for_ms = rolls.randint(5_000, 60_000)
        halves.append(Partition(at_ms=at_ms, sides=sides, for_ms=for_ms))
        at_ms += for_ms + rolls.randint(1_000, 10_000)
    faults = tuple(sorted((*script.faults, *halves), key=lambda fault: fault.at_ms))
    return replace(script, faults=faults, tie_breaker=tie_breaker)


def with_lease(rolls: Dice, spec: ClusterSpec) -> ClusterSpec:
    """Let a shared disk decide the races of some clusters of two nodes."""
    if not chance(rolls, 0.4):
        return spec
    return replace(spec, fencing=replace(spec.fencing, lease="/dev/shared"))
