# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is to fence, how long to wait, and what counts as proof."""

import pytest

from rgmgr.core.actions import FenceNode, StartResource
from rgmgr.core.fencing import backoff_ms
from rgmgr.core.invariants import check_cluster, check_fence
from rgmgr.core.model import NodeStatus, ProofKind
from tests.unit.core_cluster import N1, N2, N3, formed, spec


@pytest.mark.parametrize(
    ("attempt", "pause_ms"),
    [(0, 1_000), (1, 1_000), (2, 2_000), (6, 32_000), (7, 60_000), (99, 60_000)],
)
def test_the_pause_doubles_up_to_a_minute(attempt: int, pause_ms: int) -> None:
    assert backoff_ms(attempt) == pause_ms


def test_the_delay_after_a_failure_is_waited_for() -> None:
    cluster = formed(spec=spec(post_fail_delay_ms=5_000))
    cluster.kill(N1)
    cluster.view(N2, N3)

    cluster.run(4_900)
    assert cluster.took(FenceNode) == []
    cluster.run(200)

    assert [a.node for _, a in cluster.took(FenceNode)] == [N1]


def test_an_attempt_passes_to_another_node_when_its_fencer_is_lost() -> None:
    cluster = formed(spec=spec(nodes=5), auto_fence=False)
    n4, n5 = (n for n in sorted(cluster.spec.nodes) if n > N3)
    cluster.view(N2, N3, n4, n5)
    assert [(n, a.node) for n, a in cluster.took(FenceNode)] == [(N2, N1)]

    cluster.view(N3, n4, n5)

    latest = [(n, a.attempt) for n, a in cluster.took(FenceNode) if a.node == N1][-1]
    assert latest[0] in (N3, n4, n5)
    assert latest[1] == 2


def test_switched_off_fencing_starts_without_proof_and_says_so() -> None:
    cluster = formed(spec=spec(unsafe_disabled=True))
    cluster.view(N2, N3)

    proof = cluster.states[N2].cluster.nodes[N1].proof
    assert proof is not None
    assert proof.kind is ProofKind.NONE
    assert cluster.took(FenceNode) == []
    assert [n for n, _ in cluster.took(StartResource)][-2:] == [N2, N2]


def test_clean_start_trusts_that_nodes_never_seen_run_nothing() -> None:
    cluster = formed(spec=spec(clean_start=True))
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.disks.clear()
    cluster.units.clear()
    cluster.boot(N1, N2)
    cluster.view(N1, N2)

    assert cluster.states[N1].cluster.nodes[N3].status is NodeStatus.LEFT
    assert cluster.took(FenceNode) == []
    assert cluster.service(N1).owner == N1


def test_a_member_in_good_standing_is_never_a_legal_victim() -> None:
    cluster = formed()
    state = cluster.states[N2].cluster

    assert check_cluster(state) == ()
    assert check_fence(state, N2, N2) == ("node2 would fence itself",)
    assert check_fence(state, N2, N1) == ("node1 is fenced although it is online",)
    assert "not part of the cluster" in check_fence(state, N2, type(N1)(9))[0]
