# SPDX-License-Identifier: Apache-2.0
"""What drawn clusters ping, and nodes that get no answer, from dice of their own."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.spec import ClusterSpec, PingSpec
from rgmgr.sim.engine import chance, dice
from rgmgr.sim.faults import Fault, NoAnswer

GATEWAY = PingSpec(name="gateway", address="10.0.0.254", interval_ms=1_000, failures=2, successes=2)
UPLINK = PingSpec(name="uplink", interface="eth1", weight=2, interval_ms=2_000)


def with_pings(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster with something to ping, in one seed of four."""
    rolls = dice(seed, "pings")
    if not chance(rolls, 0.25):
        return spec
    return replace(spec, pings=rolls.choice(((GATEWAY,), (GATEWAY, UPLINK))))


def draw_silences(seed: int, spec: ClusterSpec, from_ms: int, to_ms: int) -> list[Fault]:
    """Draw who gets no answer: one node, several, or all at nearly the same time."""
    rolls = dice(seed, "silences")
    if not spec.pings:
        return []
    faults: list[Fault] = []
    for _ in range(rolls.choice((1, 1, 2))):
        at_ms, for_ms = rolls.randint(from_ms, to_ms + 8_000), rolls.choice((1_500, 9_000, 25_000))
        nodes = sorted(spec.nodes)
        for node in nodes if chance(rolls, 0.3) else rolls.sample(nodes, 1):
            late_ms = rolls.randint(0, 900)
            faults.append(NoAnswer(at_ms=at_ms + late_ms, node=node, for_ms=for_ms))
    return faults
