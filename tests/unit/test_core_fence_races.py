# SPDX-License-Identifier: Apache-2.0
"""Two halves that may fence each other, a budget, and who makes an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import DiskLease, FenceNode, Record, Severity, SwitchOn
from rgmgr.core.fence_races import chance_delay_ms, may_race
from rgmgr.core.fencing import backoff_ms
from rgmgr.core.messages import FenceOrder
from rgmgr.core.model import Node, NodeStatus, PathState
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

N4 = NodeId(4)


def halves(**changes: object) -> Cluster:
    """Return two nodes that lost sight of each other while both have quorum; node1 runs web."""
    cluster = formed(spec=spec(nodes=2, **changes), auto_fence=False)
    cluster.view(N1, quorate=True)
    cluster.view(N2, quorate=True)
    return cluster


def fencers_within(cluster: Cluster, duration_ms: int) -> list[NodeId]:
    cluster.run(duration_ms)
    return [node for node, _ in cluster.took(FenceNode)]


def test_without_a_delay_both_halves_fence_at_once() -> None:
    assert fencers_within(halves(), 0) == [N1, N2]


def test_each_half_tells_that_the_other_one_is_lost() -> None:
    cluster = halves()

    assert ["node.unclean" in cluster.records(node) for node in (N1, N2)] == [True, True]


def test_the_half_that_runs_less_waits() -> None:
    cluster = halves(delay_by_weight_ms=4_000)

    assert fencers_within(cluster, 3_900) == [N1]
    assert fencers_within(cluster, 200) == [N1, N2]


def test_of_halves_that_run_the_same_the_lowest_id_goes_first() -> None:
    idle = replace(spec(web(autostart=False), nodes=2), name="alpha")
    fencing = replace(idle.fencing, delay_by_weight_ms=4_000)
    cluster = formed(spec=replace(idle, fencing=fencing), auto_fence=False)
    cluster.view(N1, quorate=True)
    cluster.view(N2, quorate=True)

    assert fencers_within(cluster, 3_900) == [N1]


def test_a_service_of_no_weight_does_not_count() -> None:
    light = web(weight=0)
    heavy = web(name="db", weight=3)
    both = spec(light, heavy, nodes=2, delay_by_weight_ms=4_000)
    cluster = formed(spec=both, auto_fence=False)
    owners = {name: s.owner for name, s in cluster.states[N1].cluster.services.items()}
    cluster.view(N1, quorate=True)
    cluster.view(N2, quorate=True)

    assert fencers_within(cluster, 3_900) == [owners["db"]]


def test_a_head_start_belongs_to_the_node_that_is_to_survive() -> None:
    plain = spec(nodes=2)
    nodes = {**plain.nodes, N2: replace(plain.nodes[N2], fence_delay_ms=4_000)}
    cluster = formed(spec=replace(plain, nodes=nodes), auto_fence=False)
    cluster.view(N1, quorate=True)
    cluster.view(N2, quorate=True)

    assert fencers_within(cluster, 3_900) == [N2]
    assert fencers_within(cluster, 200) == [N2, N1]


def test_a_majority_never_waits() -> None:
    cluster = formed(spec=spec(delay_by_weight_ms=60_000, delay_random_ms=60_000), auto_fence=False)
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert not may_race(cluster.states[N2].cluster)
    assert fencers_within(cluster, 0) == [N2]


def test_a_node_whose_daemon_alone_is_away_still_makes_a_majority() -> None:
    cluster = formed(spec=spec(nodes=4, tie_breaker=("ping:10.0.0.1",)), auto_fence=False)
    away = max(cluster.spec.nodes)
    cluster.kill(away)
    cluster.view(N1, N2, N3, ring_nodes=(N1, N2, N3, away))
    cluster.kill(N3)
    cluster.view(N1, N2, ring_nodes=(N1, N2, away), quorate=True)

    assert [(n, a.node, a.tie_breaker) for n, a in cluster.took(FenceNode)] == [(N1, N3, ())]  # type: ignore[attr-defined]


def test_chance_differs_between_the_halves_and_stays_within_its_bound() -> None:
    cluster = halves(delay_random_ms=5_000)
    node = Node(victim=1 << 40)
    state = cluster.states[N1].cluster
    drawn = [chance_delay_ms(state, node, incarnation) for incarnation in range(1, 400)]

    assert all(0 <= ms <= 5_000 for ms in drawn)
    assert len(set(drawn)) > 300
    assert max(drawn) > 4_500
    assert min(drawn) < 500
    assert cluster.took(FenceNode) == []
    assert sorted(fencers_within(cluster, 5_001)) == [N1, N2]


def test_the_tie_breaker_is_asked_in_a_race_only() -> None:
    breaker = ("ping:10.0.0.1",)
    asked = [a.tie_breaker for _, a in halves(tie_breaker=breaker).took(FenceNode)]  # type: ignore[attr-defined]
    assert asked == [("10.0.0.1",), ("10.0.0.1",)]

    cluster = formed(spec=spec(tie_breaker=breaker), auto_fence=False)
    cluster.view(N2, N3)
    assert [a.tie_breaker for _, a in cluster.took(FenceNode)] == [()]  # type: ignore[attr-defined]


def test_the_lease_is_held_by_a_side_and_in_a_race_only() -> None:
    asked = [a.lease for _, a in halves(lease="/dev/shared").took(FenceNode)]  # type: ignore[attr-defined]
    assert asked == [
        DiskLease(device="/dev/shared", cluster="alpha", side=(N1,)),
        DiskLease(device="/dev/shared", cluster="alpha", side=(N2,)),
    ]

    cluster = formed(spec=spec(lease="/dev/shared"), auto_fence=False)
    cluster.view(N2, N3)
    assert [a.lease for _, a in cluster.took(FenceNode)] == [None]  # type: ignore[attr-defined]


def five(**changes: object) -> Cluster:
    return formed(spec=spec(nodes=5, **changes))


def lose_one_after_the_other(cluster: Cluster, *left: tuple[NodeId, ...]) -> None:
    for members in left:
        cluster.view(*members)
        cluster.run(1_000)


def test_past_the_budget_an_operator_is_asked() -> None:
    n4, n5 = NodeId(4), NodeId(5)
    cluster = five(max_fences=1, max_fences_ms=600_000)
    lose_one_after_the_other(cluster, (N2, N3, n4, n5), (N3, n4, n5))

    assert [a.node for _, a in cluster.took(FenceNode)] == [N1]  # type: ignore[attr-defined]
    assert "max_fences" in cluster.node(N2, N3).withheld
    assert "fence.withheld" in cluster.records(N3)

    cluster.ask_fence(N3, FenceOrder.FENCE, N2)
    assert [a.node for _, a in cluster.took(FenceNode)] == [N1, N2]  # type: ignore[attr-defined]


def test_the_budget_is_one_of_a_time() -> None:
    n4, n5 = NodeId(4), NodeId(5)
    cluster = five(max_fences=1, max_fences_ms=600_000)
    lose_one_after_the_other(cluster, (N2, N3, n4, n5))
    cluster.run(600_000)
    lose_one_after_the_other(cluster, (N3, n4, n5))

    assert [a.node for _, a in cluster.took(FenceNode)] == [N1, N2]  # type: ignore[attr-defined]


def test_who_reaches_the_device_makes_the_first_attempt() -> None:
    cluster = formed(auto_fence=False)
    cluster.found[N2, N1] = PathState.FAILS
    cluster.ask_fence(N3, FenceOrder.TEST)
    cluster.kill(N1)
    cluster.view(N2, N3)

    ((first, action),) = cluster.took(FenceNode)
    assert isinstance(action, FenceNode)
    assert first == N3
    cluster.feed(first, cluster.fence_result(action, is_confirmed=False))
    cluster.run(1_100)
    assert [node for node, _ in cluster.took(FenceNode)] == [N3, N2]


def test_failures_grow_louder() -> None:
    cluster = formed(auto_fence=False)
    cluster.kill(N1)
    cluster.view(N2, N3)
    for attempt in range(1, 7):
        node, action = cluster.took(FenceNode)[-1]
        assert isinstance(action, FenceNode)
        cluster.feed(node, cluster.fence_result(action, is_confirmed=False))
        cluster.run(backoff_ms(attempt) + 10)

    told = [
        (a.event, a.severity)
        for n, a in cluster.actions
        if n == N2 and isinstance(a, Record) and a.event in ("fence.failed", "fence.stuck")
    ]
    failed = ("fence.failed", Severity.ERROR)
    stuck = ("fence.stuck", Severity.ERROR)
    first = ("fence.failed", Severity.WARNING)
    assert told == [first, failed, failed, stuck, failed, failed, failed, stuck]


def test_another_member_switches_on_what_a_dead_fencer_left_off() -> None:
    cluster = formed(spec=spec(nodes=4), auto_restore=False)
    cluster.kill(N1)
    cluster.view(N2, N3, N4)
    assert [node for node, _ in cluster.took(SwitchOn)] == [N2]

    cluster.kill(N2)
    cluster.auto_restore = True
    cluster.view(N3, N4, quorate=True)

    switched = [(n, a.node) for n, a in cluster.took(SwitchOn)]  # type: ignore[attr-defined]
    assert switched[:2] == [(N2, N1), (N3, N1)]
    assert cluster.node(N1, N3).to_restore == ()
    assert "fence.power_restored" in cluster.records(N3)


def test_a_node_that_is_back_need_not_be_switched_on() -> None:
    cluster = formed(auto_restore=False)
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert cluster.node(N1).status is NodeStatus.ONLINE
    assert cluster.node(N1).to_restore == ()


def test_a_restarted_fencer_switches_on_again() -> None:
    cluster = formed(auto_restore=False)
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.restart_daemon(N2)
    cluster.auto_restore = True
    cluster.view(N2, N3)

    assert [node for node, _ in cluster.took(SwitchOn)] == [N2, N2]
    assert cluster.node(N1, N3).to_restore == ()


@pytest.mark.parametrize("stage", ["before", "during", "after"])
def test_a_victim_that_returns_at_any_moment_never_makes_a_service_run_twice(stage: str) -> None:
    delay_ms = 5_000 if stage == "before" else 0
    cluster = formed(spec=spec(post_fail_delay_ms=delay_ms), auto_fence=False)
    cluster.view(N2, N3)
    if stage == "after":
        node, action = cluster.took(FenceNode)[-1]
        assert isinstance(action, FenceNode)
        cluster.feed(node, cluster.fence_result(action))
        cluster.settle((N2, N3))
    cluster.view(N1, N2, N3)

    owner = cluster.states[N2].cluster.services[WEB].owner
    status = cluster.node(N1).status
    expected = {
        "before": (N1, NodeStatus.ONLINE),  # called off, nothing moved
        "during": (N1, NodeStatus.UNCLEAN),  # it stays out until a device has switched it off
        "after": (N2, NodeStatus.UNCLEAN),  # it was proven off and lives: the device lies
    }
    assert (owner, status) == expected[stage]
