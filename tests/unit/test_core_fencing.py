# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is to fence, how long to wait, and what counts as proof."""

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import FenceNode, Multicast, StartResource
from rgmgr.core.events import TimerFired
from rgmgr.core.fencing import backoff_ms
from rgmgr.core.invariants import check_cluster, check_fence
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import State
from rgmgr.core.machine import step
from rgmgr.core.membership import install, with_spec
from rgmgr.core.messages import Enrolment, FenceDue, Install
from rgmgr.core.model import ClusterState, Node, NodeStatus, ProofKind, RingId
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


def test_what_a_timer_asked_for_is_not_asked_again_while_the_ring_delivers_nothing() -> None:
    """Without a delay the timer would fire and send for as long as the ring is broken."""
    base = formed().states[N1]
    lost = replace(
        base.cluster.nodes[N3], status=NodeStatus.UNCLEAN, victim=90, is_weighed=True, lost_epoch=1
    )
    nodes = {**base.cluster.nodes, N3: lost}
    state = State(replace(base.cluster, nodes=nodes, next_op=91), base.local)
    key = f"fence:{N3}:90:0"

    set_ = step(state, TimerFired("tick"), 1_000)
    fired = step(set_.state, TimerFired(key), 1_001)

    assert key in set_.state.local.timers
    sent = [a.message.body for a in fired.actions if isinstance(a, Multicast)]
    assert sent == [FenceDue(node=N3, victim=90, attempt=0)]
    assert key not in fired.state.local.timers


def _install(
    here: tuple[NodeId, ...],
    *,
    epoch: int,
    ring_seq: int = 5,
    ring_nodes: tuple[NodeId, ...] = (N1, N2, N3),
) -> Install:
    return Install(
        ring=RingId(N1, ring_seq),
        ring_nodes=ring_nodes,
        view=here,
        enrolments=tuple(
            Enrolment(node=n, incarnation=10 + n, boot_id=f"boot{n}", is_live=False, claims=())
            for n in here
        ),
        epoch=epoch,
        at_ms=0,
        digest="",
        state=None,
    )


@pytest.mark.parametrize(
    ("ring_seq", "is_pair", "status"),
    [
        (5, True, NodeStatus.LEFT),  # nobody can have come since
        (9, True, NodeStatus.UNSEEN),
        (9, False, NodeStatus.LEFT),  # a majority of three: one of them would know of its return
    ],
)
def test_of_two_nodes_one_that_begins_alone_in_a_new_ring_trusts_no_old_goodbye(
    ring_seq: int, *, is_pair: bool, status: NodeStatus
) -> None:
    """The other may have come while our daemon was away, and has quorum as we do."""
    config = spec(nodes=2 if is_pair else 3)
    here = sorted(config.nodes)[:-1]
    gone = max(config.nodes)
    saved = with_spec(ClusterState(spec=config, epoch=3, ring_seq=5), config)
    left = {**saved.nodes, gone: Node(status=NodeStatus.LEFT, boot_id="b")}
    message = _install(tuple(here), epoch=4, ring_seq=ring_seq, ring_nodes=tuple(here))

    ledger = Ledger(replace(saved, nodes=left))
    install(ledger, message)

    assert ledger.state.nodes[gone].status is status


@pytest.mark.parametrize(
    ("status", "joined_epoch"), [(NodeStatus.ONLINE, 2), (NodeStatus.LEAVING, 5)]
)
def test_a_daemon_that_had_given_its_services_away_joins_anew(
    status: NodeStatus, joined_epoch: int
) -> None:
    """A service that prefers its node goes back; the return of a mere daemon moves nothing."""
    config = spec()
    saved = with_spec(ClusterState(spec=config, epoch=3, ring_seq=5, has_formed=True), config)
    member = Node(status=NodeStatus.ONLINE, incarnation=1, joined_epoch=1)
    away = Node(status=status, incarnation=3, boot_id="boot3", joined_epoch=2)
    ledger = Ledger(replace(saved, nodes={N1: member, N2: member, N3: away}))

    install(ledger, _install((N1, N2), epoch=4))
    assert ledger.state.nodes[N3].status is NodeStatus.DETACHED
    install(ledger, _install((N1, N2, N3), epoch=5))

    assert ledger.state.nodes[N3].status is NodeStatus.ONLINE
    assert ledger.state.nodes[N3].joined_epoch == joined_epoch
