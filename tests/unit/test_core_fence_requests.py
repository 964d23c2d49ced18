# SPDX-License-Identifier: Apache-2.0
"""What operators ask about fencing: who is believed, what is kept, what is answered when."""

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import Answer, EndFence, FenceNode, StartResource, SwitchOn
from rgmgr.core.fence_requests import outcome
from rgmgr.core.messages import FenceOrder, FenceRequest
from rgmgr.core.model import NodeStatus, PathState, ProofKind
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec


def lost(**changes: object) -> Cluster:
    """Return a cluster whose node1 is gone and cannot be fenced yet."""
    cluster = formed(auto_fence=False, **changes)
    cluster.kill(N1)
    cluster.view(N2, N3)
    return cluster


def fail_attempt(cluster: Cluster) -> None:
    node, action = cluster.took(FenceNode)[-1]
    assert isinstance(action, FenceNode)
    cluster.feed(node, cluster.fence_result(action, is_confirmed=False))
    cluster.settle()


def test_a_humans_word_frees_what_the_lost_node_owned_and_is_kept() -> None:
    cluster = lost()
    reply = cluster.ask_fence(N3, FenceOrder.ACK, N1)

    assert reply is not None
    assert (reply.answer, reply.text) == (
        Answer.DONE,
        "node1 is fenced: human by node3 (alice says that it is off)",
    )
    proof = cluster.node(N1).proof
    assert proof is not None
    assert (proof.kind, proof.by) == (ProofKind.HUMAN, N3)
    assert cluster.service().owner == N2
    case = cluster.disks[N2].cases[-1]
    assert (case.node, case.outcome, case.wall_s) == (N1, "human", 77)


def test_a_humans_word_ends_the_attempt_under_way() -> None:
    """The human may switch the node on at once; a late `off` must not hit it."""
    cluster = lost()
    fencer, _ = cluster.took(FenceNode)[-1]
    assert cluster.took(EndFence) == []
    cluster.ask_fence(N3, FenceOrder.ACK, N1)

    assert cluster.took(EndFence) == [(fencer, EndFence(node=N1))]
    assert cluster.cases()[-1].trials[-1].result == "ended: alice says that it is off"


@pytest.mark.parametrize("order", [FenceOrder.ACK, FenceOrder.CANCEL])
def test_nobody_is_believed_about_a_node_that_is_alive(order: FenceOrder) -> None:
    cluster = formed()
    reply = cluster.ask_fence(N3, order, N1)

    assert reply is not None
    assert reply.answer is Answer.NOT_ALLOWED
    assert cluster.node(N1).status is NodeStatus.ONLINE
    assert cluster.cases() == ()


def test_nobody_is_believed_about_a_node_whose_daemon_alone_is_gone() -> None:
    cluster = formed(auto_fence=False)
    cluster.kill(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    reply = cluster.ask_fence(N2, FenceOrder.ACK, N1)

    assert reply is not None
    assert reply.answer is Answer.NOT_ALLOWED
    assert "hears node1" in reply.text
    assert cluster.service().owner == N1


def test_a_word_for_a_node_that_nobody_waits_for_is_refused() -> None:
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    reply = cluster.ask_fence(N2, FenceOrder.ACK, N1)

    assert cluster.node(N1).status is NodeStatus.FENCED
    assert reply is not None
    assert reply.answer is Answer.NOT_ALLOWED


def test_a_node_declared_off_that_comes_back_without_a_boot_is_fenced() -> None:
    """Whoever gave his word was wrong: its services may run twice until it is off."""
    cluster = lost()
    record = cluster.node(N1)
    cluster.ask_fence(N2, FenceOrder.ACK, N1)
    cluster.boot(N1)
    state = cluster.states[N1]
    same_boot = replace(state.local, boot_id=record.boot_id)
    cluster.states[N1] = replace(state, local=same_boot)
    cluster.view(N1, N2, N3)

    assert cluster.node(N1).status is NodeStatus.UNCLEAN
    assert "fence.disproved" in cluster.records()
    assert [a.node for _, a in cluster.took(FenceNode)] == [N1, N1]  # type: ignore[attr-defined]


def test_an_operator_may_fence_a_healthy_member_and_is_answered_when_it_is_off() -> None:
    cluster = formed(auto_fence=False)
    assert cluster.ask_fence(N3, FenceOrder.FENCE, N1) is None
    ((fencer, action),) = cluster.took(FenceNode)
    assert isinstance(action, FenceNode)
    assert (fencer, action.node) == (N2, N1)
    assert cluster.states[N1].local.emergency == "the cluster is fencing this node"

    cluster.feed(fencer, cluster.fence_result(action))
    cluster.settle()

    replies = [cluster.reply(N3, n) for n in range(1, len(cluster.actions))]
    (reply,) = [r for r in replies if r is not None]
    assert (reply.answer, reply.text) == (Answer.DONE, "node1 is fenced: proven by node2 (ipmi)")
    assert cluster.service().owner == N2
    assert cluster.cases()[-1].cause == "asked for by alice"


def test_a_node_fenced_by_order_that_comes_back_has_nothing_run_twice() -> None:
    """It heard all of its last epoch, so what was freed in it is free of it."""
    cluster = formed()
    cluster.ask_fence(N3, FenceOrder.FENCE, N1)
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.node(N1).status is NodeStatus.FENCED
    assert cluster.service().owner == N2

    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    assert cluster.node(N1).status is NodeStatus.ONLINE


def test_off_leaves_it_off() -> None:
    cluster = formed()
    cluster.ask_fence(N3, FenceOrder.OFF, N1)

    assert cluster.node(N1).status is NodeStatus.FENCED
    assert cluster.took(SwitchOn) == []


def test_nobody_can_fence_the_last_member() -> None:
    cluster = formed(spec=spec(nodes=1))
    reply = cluster.ask_fence(N1, FenceOrder.FENCE, N1)

    assert reply is not None
    assert (reply.answer, reply.text) == (
        Answer.NOT_ALLOWED,
        "no other online member could fence node1",
    )


def test_a_node_that_is_down_already_is_not_fenced_for_nothing() -> None:
    cluster = formed()
    cluster.ask_fence(N3, FenceOrder.OFF, N1)
    reply = cluster.ask_fence(N3, FenceOrder.FENCE, N1)

    assert reply is not None
    assert reply.answer is Answer.NOT_ALLOWED
    assert len(cluster.took(FenceNode)) == 1


def test_a_fence_that_is_called_off_is_not_tried_again_and_frees_nothing() -> None:
    cluster = lost()
    fail_attempt(cluster)
    reply = cluster.ask_fence(N2, FenceOrder.CANCEL, N1)
    cluster.run(300_000)

    assert reply is not None
    assert reply.answer is Answer.DONE
    assert len(cluster.took(FenceNode)) == 1
    assert cluster.service().owner == N1
    assert [n for n, _ in cluster.took(StartResource)] == [N1, N1]

    cluster.ask_fence(N2, FenceOrder.FENCE, N1)
    assert len(cluster.took(FenceNode)) == 2


def test_an_order_that_is_called_off_is_answered() -> None:
    cluster = lost()
    number = len(cluster.actions) + 1
    assert cluster.ask_fence(N3, FenceOrder.FENCE, N1) is None
    cluster.ask_fence(N2, FenceOrder.CANCEL, N1)

    reply = cluster.reply(N3, number)
    assert reply is not None
    assert (reply.answer, reply.text) == (Answer.FAILED, "called off by alice")


def test_a_test_is_done_when_every_member_has_tried_every_path() -> None:
    cluster = formed()
    reply = cluster.ask_fence(N1, FenceOrder.TEST)
    assert reply is not None
    assert (reply.answer, reply.text) == (Answer.DONE, "6 of 6 fence paths work")

    cluster.found[N2, N1] = PathState.FAILS
    reply = cluster.ask_fence(N3, FenceOrder.TEST, N1)
    assert reply is not None
    assert (reply.answer, reply.text) == (Answer.FAILED, "1 of 2 fence paths work")


def test_a_test_that_a_lost_part_of_the_cluster_had_agreed_is_answered() -> None:
    """No state knows of it any more, so nobody ever tests for it."""
    cluster = formed().states[N2].cluster
    request = FenceRequest(number=1, order=FenceOrder.TEST, node=None, by="alice", wall_s=0)

    assert outcome(replace(cluster, test=7), request, 7).answer is None
    assert outcome(cluster, request, 7).answer is Answer.TRY_AGAIN


def test_a_node_that_is_not_configured_is_refused() -> None:
    cluster = formed()
    for order in (FenceOrder.FENCE, FenceOrder.ACK, FenceOrder.CANCEL):
        reply = cluster.ask_fence(N1, order, NodeId(9))
        assert reply is not None
        assert reply.answer is Answer.INVALID


def test_history_survives_a_full_outage() -> None:
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    before = cluster.cases()
    cluster.kill(N2)
    cluster.kill(N3)
    cluster.units.clear()
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert len(before) == 1
    assert cluster.cases() == before
    assert (before[0].outcome, before[0].attempts, before[0].wall_s) == ("proven", 1, 99)
