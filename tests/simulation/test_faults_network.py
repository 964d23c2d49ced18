# SPDX-License-Identifier: Apache-2.0
"""Each fault of the network alone: it must do what it says, and end again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.messages import Verb
from rgmgr.sim.faults import (
    Ask,
    DeviceTrouble,
    LinksCut,
    NetworkFlaps,
    NetworkHeals,
    Partition,
    SendsHeld,
    SlowQuorum,
)
from rgmgr.sim.phases import Phase
from rgmgr.sim.power import Device
from tests.simulation.fault_lab import ALL, FIRST_MS, N1, N2, N3, SPEC, WEB, Lab

DEAF_DEVICES = tuple(
    DeviceTrouble(at_ms=0, node=node, device=Device.REFUSES, for_ms=100_000) for node in ALL
)
"""So that who is cut off can be watched instead of being switched off."""


# The network.


def test_a_node_that_is_not_heard_is_alone_and_so_is_one_that_hears_nobody() -> None:
    """corosync.md 4.6: {1,2} and {3}, stable, either way."""
    for ways in (((N3, N1), (N3, N2)), ((N1, N3), (N2, N3))):
        lab = Lab(*DEAF_DEVICES, LinksCut(at_ms=FIRST_MS, ways=ways, for_ms=20_000))
        lab.until(FIRST_MS + 6_000)
        ring = lab.world.bus.stations[N3].ring
        lab.until(FIRST_MS + 12_000)

        assert (lab.members(N1), lab.members(N3)) == ((N1, N2), (N3,))
        assert lab.world.bus.stations[N3].ring is ring
        assert not lab.is_quorate(N3)


def test_a_bridge_belongs_to_one_part_and_the_other_learns_late_and_finds_no_rest() -> None:
    """corosync.md 4.6: no path 1-3, both reach 2."""
    cut = LinksCut(at_ms=FIRST_MS, ways=((N1, N3), (N3, N1)), for_ms=8_000)
    lab = Lab(*DEAF_DEVICES, cut)
    lab.until(FIRST_MS + 2_900)
    early = lab.members(N3)
    lab.until(FIRST_MS + 4_000)
    parts = sorted({lab.members(node) for node in ALL})
    rings = set()
    for at_ms in range(FIRST_MS + 4_000, FIRST_MS + 7_500, 100):
        lab.until(at_ms)
        rings |= {s.ring.id for s in lab.world.bus.stations.values() if s.ring}

    assert early == ALL  # its old ring: it has not noticed
    assert [len(part) for part in parts] in ([1, 2], [2, 1])
    assert len(rings) >= 4
    lab.until(FIRST_MS + 14_000)
    assert {lab.members(node) for node in ALL} == {ALL}


def test_a_ring_of_majorities_forms_only_rings_whose_nodes_all_hear_each_other() -> None:
    five = tuple(NodeId(n) for n in range(1, 6))
    near = {frozenset((five[i - 1], five[i])) for i in range(5)}
    ways = tuple((a, b) for a in five for b in five if a != b and frozenset((a, b)) not in near)
    nodes = {n: replace(SPEC.nodes[N1], name=f"node{n}") for n in five}
    lab = Lab(LinksCut(at_ms=FIRST_MS, ways=ways, for_ms=9_000), cluster=replace(SPEC, nodes=nodes))
    lab.until(FIRST_MS + 8_000)

    rings = {lab.members(node) for node in five}
    assert max(len(ring) for ring in rings) == 2
    assert not any(lab.is_quorate(node) for node in five)


def test_a_cable_that_comes_and_goes_makes_ring_after_ring() -> None:
    flaps = NetworkFlaps(at_ms=FIRST_MS, node=N2, every_ms=5_000, out_ms=2_400, for_ms=14_000)
    lab = Lab(flaps)
    before = lab.world.bus.stations[N1].ring
    lab.until(FIRST_MS + 26_000)
    after = lab.world.bus.stations[N1].ring

    assert before is not None
    assert after is not None
    assert after.id.seq >= before.id.seq + 4 * 4
    assert lab.members(N1) == ALL
    assert lab.violations() == []


def test_the_network_heals_at_once_and_whatever_cut_it() -> None:
    lab = Lab(
        Partition(at_ms=FIRST_MS, sides=((N1,), (N2, N3)), for_ms=60_000),
        LinksCut(at_ms=FIRST_MS, ways=((N2, N3),), for_ms=60_000),
        NetworkHeals(at_ms=FIRST_MS + 5_000),
    )
    lab.until(FIRST_MS + 9_000)

    assert lab.members(N1) == ALL


def test_a_node_that_cannot_send_says_it_all_at_once_later() -> None:
    """Its tick does not come back, so it must not start anything; the ring stays whole."""
    lab = Lab(
        SendsHeld(at_ms=FIRST_MS, node=N2, for_ms=5_000),
        Ask(at_ms=FIRST_MS + 100, node=N2, verb=Verb.RELOCATE, service=WEB),
    )
    lab.until(FIRST_MS + 4_900)
    early = lab.journal()
    lab.until(FIRST_MS + 9_000)

    assert "request.accepted" not in early
    assert lab.members(N2) == ALL
    assert "request.accepted" in lab.journal()


@pytest.mark.parametrize("seed", range(5))
def test_a_late_verdict_comes_after_the_view_and_is_still_heeded(seed: int) -> None:
    lab = Lab(
        SlowQuorum(at_ms=FIRST_MS, delay_ms=4_000, for_ms=20_000),
        Partition(at_ms=FIRST_MS, sides=((N1,), (N2, N3)), for_ms=20_000),
        seed=seed,
    )
    lab.until(FIRST_MS + 12_000)

    assert not lab.is_quorate(N1)
    assert lab.phase(N1) is Phase.INACTIVE
    assert lab.violations() == []


def test_of_two_nodes_that_have_met_each_stays_quorate_alone_and_a_fresh_one_does_not() -> None:
    """corosync.md 9: `two_node` implies `wait_for_all`."""
    two = replace(SPEC, nodes={n: SPEC.nodes[n] for n in (N1, N2)})
    cut = Partition(at_ms=FIRST_MS, sides=((N1,), (N2,)), for_ms=60_000)
    off = DeviceTrouble(at_ms=0, node=N1, device=Device.REFUSES, for_ms=100_000)
    lab = Lab(off, replace(off, node=N2), cut, cluster=two, is_two_node=True)
    lab.until(FIRST_MS + 5_000)
    apart = (lab.is_quorate(N1), lab.is_quorate(N2))
    lab.world.hosts[N2].switch_off()
    lab.world.hosts[N2].switch_on()
    lab.until(FIRST_MS + 15_000)

    assert apart == (True, True)
    assert (lab.is_quorate(N1), lab.is_quorate(N2)) == (True, False)
    assert lab.violations() == []
