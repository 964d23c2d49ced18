# SPDX-License-Identifier: Apache-2.0
"""Fence paths are tested before they are needed, and a device that lies is not believed."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.actions import FenceNode, Record, StartResource, TestPaths
from rgmgr.core.clockwork import FIRST_TEST_MS
from rgmgr.core.events import ConfigLoaded, TestEnded
from rgmgr.core.fence_paths import DOUBT_MS
from rgmgr.core.messages import FenceOrder
from rgmgr.core.model import PathState
from rgmgr.core.spec import FenceStep
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec


def lying_about_node1() -> Cluster:
    """Return a cluster whose members have seen the device of node1 call it off for a while."""
    cluster = formed(spec=spec(test_interval_ms=DOUBT_MS), auto_fence=False)
    cluster.found = {(N2, N1): PathState.LIES, (N3, N1): PathState.LIES}
    cluster.run(FIRST_TEST_MS + 3 * DOUBT_MS)
    return cluster


def test_every_member_tests_all_others_in_turn() -> None:
    cluster = formed(spec=spec(test_interval_ms=30_000))
    cluster.run(FIRST_TEST_MS + 29_999)
    tests = cluster.took(TestPaths)

    assert [node for node, _ in tests] == [N1, N2, N3]
    targets = [[t.node for t in a.targets] for _, a in tests]  # type: ignore[attr-defined]
    assert targets == [[N2, N3], [N1, N3], [N1, N2]]
    assert all(t.is_member for _, a in tests for t in a.targets)  # type: ignore[attr-defined]

    cluster.run(30_000)
    assert [node for node, _ in cluster.took(TestPaths)] == [N1, N2, N3] * 2


def test_no_test_is_made_when_none_is_wanted() -> None:
    cluster = formed(spec=spec(test_interval_ms=0))
    cluster.run(300_000)
    assert cluster.took(TestPaths) == []


def test_a_device_that_stops_answering_is_told_once_and_so_is_its_return() -> None:
    cluster = formed()
    for state in (PathState.WORKS, PathState.FAILS, PathState.FAILS, PathState.WORKS):
        cluster.found[N2, N1] = state
        cluster.ask_fence(N3, FenceOrder.TEST)

    events = [event for event in cluster.records() if event.startswith("fence.path")]
    assert events == ["fence.path_failed", "fence.path_restored"]


def test_a_device_that_calls_a_living_member_off_proves_nothing_about_it() -> None:
    """Its plug is another machine's: its `off` would start the service twice."""
    cluster = lying_about_node1()
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.run(300_000)

    methods = {a.methods for _, a in cluster.took(FenceNode)}  # type: ignore[attr-defined]
    assert methods == {()}
    assert [node for node, _ in cluster.took(StartResource)] == [N1, N1]
    assert cluster.service().owner == N1


def test_only_the_method_that_lies_is_left_out() -> None:
    plain = spec(test_interval_ms=DOUBT_MS)
    second = (FenceStep(device="ipmi", options={"plug": "2"}),)
    node1 = replace(plain.nodes[N1], fence=(*plain.nodes[N1].fence, second))
    cluster = formed(spec=replace(plain, nodes={**plain.nodes, N1: node1}), auto_fence=False)
    cluster.found[N2, N1] = PathState.LIES
    cluster.run(FIRST_TEST_MS + 3 * DOUBT_MS)
    cluster.view(N2, N3)

    assert [a.methods for _, a in cluster.took(FenceNode)] == [(second,)]  # type: ignore[attr-defined]


def test_a_node_that_dies_while_it_is_tested_is_fenced_all_the_same() -> None:
    """Its plug was off because its power was gone, before corosync had noticed."""
    cluster = formed(auto_fence=False)
    cluster.found[N2, N1] = PathState.LIES
    cluster.ask_fence(N3, FenceOrder.TEST)
    cluster.kill(N1)
    cluster.view(N2, N3)

    ((_, action),) = cluster.took(FenceNode)
    assert isinstance(action, FenceNode)
    assert action.methods == cluster.spec.nodes[N1].fence


def test_a_lie_is_remembered_while_the_node_is_away_and_forgiven_once_it_reads_on() -> None:
    cluster = lying_about_node1()
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.found.clear()
    cluster.ask_fence(N2, FenceOrder.TEST)
    assert {path.state for path in cluster.states[N2].cluster.tests[N2].paths} == {
        PathState.LIES,
        PathState.WORKS,
    }

    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    cluster.ask_fence(N2, FenceOrder.TEST)
    assert {path.state for path in cluster.states[N2].cluster.tests[N2].paths} == {PathState.WORKS}


def test_what_a_broken_off_test_did_not_try_is_still_known() -> None:
    cluster = formed()
    cluster.ask_fence(N3, FenceOrder.TEST)
    known = cluster.states[N2].cluster.tests[N2].paths
    assert len(known) == 2

    cluster.feed(N2, TestEnded(known[:1]))
    cluster.settle()
    assert set(cluster.states[N2].cluster.tests[N2].paths) == set(known)


def test_paths_are_not_kept_on_disk() -> None:
    cluster = formed()
    saves = len(cluster.disks)
    cluster.ask_fence(N3, FenceOrder.TEST)

    assert len(cluster.disks) == saves
    assert cluster.disks[N2].tests == {}


def test_a_configuration_that_takes_methods_away_is_told_of() -> None:
    cluster = formed()
    fewer = {**cluster.spec.nodes, N1: replace(cluster.spec.nodes[N1], fence=())}
    cluster.feed(N2, ConfigLoaded(replace(cluster.spec, version=2, digest="d2", nodes=fewer)))
    cluster.settle()

    assert cluster.states[N3].cluster.spec.version == 2
    told = [
        a.fields
        for n, a in cluster.actions
        if n == N3 and isinstance(a, Record) and a.event == "fence.methods_removed"
    ]
    assert told == [{"node": "node1", "methods": "1 before, 0 now"}]
