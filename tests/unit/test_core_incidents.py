# SPDX-License-Identifier: Apache-2.0
"""What is kept of a loss: the same story on every member."""

from __future__ import annotations

from rgmgr.core.actions import FenceNode
from rgmgr.core.fencing import backoff_ms
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.core.model import CALLED_OFF, CASES_MAX, TRIALS_MAX
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec


def lose_node1(cluster: Cluster) -> None:
    cluster.kill(N1)
    cluster.view(N2, N3)


def answer(cluster: Cluster, *, is_confirmed: bool) -> None:
    node, action = cluster.took(FenceNode)[-1]
    assert isinstance(action, FenceNode)
    cluster.now_ms += 300
    cluster.feed(node, cluster.fence_result(action, is_confirmed=is_confirmed))
    cluster.settle()


def test_every_attempt_and_every_outage_is_kept() -> None:
    cluster = formed(auto_fence=False)
    lose_node1(cluster)
    answer(cluster, is_confirmed=False)
    cluster.run(backoff_ms(1) + 10)
    answer(cluster, is_confirmed=True)

    (case,) = cluster.cases()
    assert cluster.cases(N3) == (case,)
    assert case.members == (N2, N3)
    assert [(t.by, t.ended_ms - t.begun_ms >= 300) for t in case.trials] == [(N2, True), (N3, True)]
    assert [t.result for t in case.trials] == ["ipmi", "ipmi"]
    (outage,) = case.outages
    assert (outage.service, outage.back_on) == ("web", N2)
    assert case.opened_ms < case.ended_ms <= outage.back_ms


def test_a_service_that_is_not_back_says_so_until_it_is() -> None:
    cluster = formed()
    cluster.broken_starts |= {(N2, "vip"), (N3, "vip")}
    lose_node1(cluster)
    assert [o.back_ms for o in cluster.cases()[-1].outages] == [0]

    cluster.broken_starts.clear()
    cluster.ask(N2, Verb.ENABLE)
    assert all(o.back_ms for o in cluster.cases()[-1].outages)


def test_a_node_that_is_back_in_time_closes_its_case() -> None:
    cluster = formed(spec=spec(post_fail_delay_ms=5_000))
    cluster.view(N2, N3)
    cluster.view(N1, N2, N3)

    (case,) = cluster.cases()
    assert (case.outcome, case.attempts, case.outages) == (CALLED_OFF, 0, ())
    assert case.members == (N2, N3)


def test_only_the_latest_are_kept() -> None:
    cluster = formed(auto_fence=False)
    lose_node1(cluster)
    for attempt in range(1, TRIALS_MAX + 3):
        answer(cluster, is_confirmed=False)
        cluster.run(backoff_ms(attempt) + 10)
    assert len(cluster.cases()[-1].trials) == TRIALS_MAX
    assert cluster.cases()[-1].attempts == TRIALS_MAX + 3

    for _ in range(CASES_MAX + 2):
        cluster.ask_fence(N2, FenceOrder.ACK, N1)
        cluster.boot(N1)
        cluster.view(N1, N2, N3)
        lose_node1(cluster)
    assert len(cluster.cases()) == CASES_MAX


def test_a_humans_word_ends_the_attempt_under_way_and_is_told_apart_from_its_result() -> None:
    cluster = formed(auto_fence=False)
    lose_node1(cluster)
    cluster.ask_fence(N2, FenceOrder.ACK, N1)

    (trial,) = cluster.cases()[-1].trials
    assert trial.result == "ended: alice says that it is off"
