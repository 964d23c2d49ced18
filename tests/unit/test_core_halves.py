# SPDX-License-Identifier: Apache-2.0
"""Half of an even cluster, by the word of corosync's tie breaker."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import FenceNode
from rgmgr.core.events import QuorumChanged, WatchdogArmed
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, RingId, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import WATCHDOG_AGENT, FenceDevice
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec

N4, N5, N6 = NodeId(4), NodeId(5), NodeId(6)


def halved() -> Cluster:
    """Return four nodes of which two were just lost together; the others have quorum."""
    cluster = formed(spec=spec(nodes=4))
    cluster.kill(N3)
    cluster.kill(N4)
    cluster.view(N1, N2, quorate=True)
    return cluster


def test_half_that_took_part_until_now_goes_on_and_fences_the_other() -> None:
    cluster = halved()

    assert cluster.states[N1].cluster.members() == (N1, N2)
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.FENCED] * 2


def test_half_with_a_rebooted_node_waits_for_one_more() -> None:
    """An arbiter may have let it take part in the other half meanwhile."""
    cluster = formed(spec=spec(nodes=4))
    cluster.kill(N2)
    cluster.kill(N3)
    cluster.kill(N4)
    cluster.boot(N2)
    cluster.view(N1, N2, quorate=True)

    assert not cluster.states[N1].local.is_installed


def test_each_new_epoch_of_a_half_takes_nobody_for_down_by_an_old_proof() -> None:
    cluster = halved()
    cluster.view(N1, N2, quorate=True)

    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.UNSEEN] * 2
    cluster.run(60_000)
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.FENCED] * 2


def latest_attempts(cluster: Cluster) -> dict[NodeId, tuple[NodeId, FenceNode]]:
    """Return by victim who was last told to fence it, and how."""
    return {a.node: (by, a) for by, a in cluster.took(FenceNode) if isinstance(a, FenceNode)}


def answer(cluster: Cluster, attempts: dict[NodeId, tuple[NodeId, FenceNode]]) -> None:
    """Let these attempts be confirmed."""
    for by, action in attempts.values():
        cluster.feed(by, cluster.fence_result(action))
        cluster.settle(cluster.states[by].local.view.members)  # type: ignore[union-attr]


def halved_amid_fencing() -> Cluster:
    """Return four nodes of which two were just lost; the attempts to fence them go on."""
    cluster = formed(spec=spec(nodes=4))
    cluster.auto_fence = False
    cluster.view(N1, N2, quorate=True)
    cluster.run(10_000)
    assert set(latest_attempts(cluster)) == {N3, N4}
    return cluster


def test_an_attempt_that_was_begun_before_the_vote_was_given_again_proves_nothing() -> None:
    """The others may have been let go on meanwhile, and one of them have booted."""
    cluster = halved_amid_fencing()
    old = latest_attempts(cluster)
    cluster.view(N1, N2, quorate=False)
    cluster.view(N1, N2, quorate=True)

    answer(cluster, old)
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.UNCLEAN] * 2
    answer(cluster, latest_attempts(cluster))
    assert [cluster.node(n).status for n in (N3, N4)] == [NodeStatus.FENCED] * 2


def test_an_attempt_proves_nothing_when_one_joins_that_may_have_gone_on_with_the_victim() -> None:
    cluster = halved_amid_fencing()
    old = latest_attempts(cluster)
    cluster.view(N1, N2, N4)

    answer(cluster, old)
    assert cluster.node(N3).status is NodeStatus.UNCLEAN
    answer(cluster, latest_attempts(cluster))
    assert cluster.node(N3).status is NodeStatus.FENCED


def test_attempts_go_on_while_who_is_not_let_in_comes_and_goes_in_the_same_ring() -> None:
    """Else one that lives, and asks again and again, is never fenced."""
    cluster = halved_amid_fencing()
    cluster.view(N1, N2, N4)
    numbers = [cluster.node(n).victim for n in (N3, N4)]
    epoch = cluster.states[N2].cluster.epoch
    for members in ((N1, N2), (N1, N2, N4)):
        cluster.ring -= 4  # the next view is of the same ring
        cluster.view(*members, ring_nodes=(N1, N2, N4), quorate=True)

    assert cluster.states[N2].cluster.epoch > epoch
    assert [cluster.node(n).victim for n in (N3, N4)] == numbers


def test_an_attempt_of_a_majority_that_has_lost_one_more_goes_on() -> None:
    cluster = formed(spec=spec(nodes=6))
    cluster.auto_fence = False
    cluster.view(N1, N2, N3, N4, N5)
    cluster.run(10_000)
    old = latest_attempts(cluster)
    assert set(old) == {N6}
    cluster.view(N1, N2, N3, N4)

    answer(cluster, old)
    assert cluster.node(N6).status is NodeStatus.FENCED


def test_an_administrator_is_told_done_in_a_half_once_the_other_is_proven_down() -> None:
    cluster = halved()

    reply = cluster.ask(N1, Verb.DISABLE)
    assert reply is not None
    assert reply.answer.name == "DONE"


def guarded_pair(*, is_armed: bool) -> Cluster:
    """Return two nodes with nothing but watchdogs, web on node1, which starts nothing unarmed."""
    devices = {"ipmi": FenceDevice(name="ipmi", agent=WATCHDOG_AGENT)}
    cluster = Cluster(
        spec=spec(nodes=2, devices=devices, watchdog="systemd", watchdog_ms=15_000),
        auto_fence=False,
    )
    cluster.boot(N1, N2)
    for node, state in cluster.states.items():
        cluster.states[node] = replace(state, local=replace(state.local, watchdog_ms=15_000))
    cluster.view(N1, N2)
    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTING, N1)
    if is_armed:
        cluster.feed(N1, WatchdogArmed())
        cluster.settle()
        assert cluster.service().state is ServiceState.STARTED
    return cluster


def let_go_on(cluster: Cluster) -> None:
    """An arbiter lets node1 go on, to which it said no before: node2 may have gone on meanwhile."""
    cluster.feed(N1, QuorumChanged(RingId(N1, cluster.ring), is_quorate=True))
    cluster.settle((N1,))


@pytest.mark.parametrize("is_armed", [True, False])
def test_what_was_stopped_or_not_begun_for_want_of_quorum_starts_after_new_proof(
    *, is_armed: bool
) -> None:
    """The other half may have taken the silence of its watchdog for proof, and started it."""
    cluster = guarded_pair(is_armed=is_armed)
    cluster.view(N1, quorate=False)
    assert not cluster.units.get(N1)

    let_go_on(cluster)

    assert cluster.states[N1].local.is_installed
    assert cluster.service(N1).owner is None
    why = because(cluster.states[N1].cluster, WEB)
    assert why == "waiting for proof that node2 runs none of it"
    assert "service.failed" not in cluster.records(N1)


def test_the_wait_for_a_watchdog_begins_anew_with_the_vote() -> None:
    """The other half may have been let go on meanwhile, and have fed it."""
    cluster = guarded_pair(is_armed=True)
    cluster.view(N2, quorate=True)
    cluster.run(10_000)
    old = latest_attempts(cluster)
    cluster.view(N2, quorate=False)
    cluster.view(N2, quorate=True)

    answer(cluster, old)
    assert cluster.node(N1).status is NodeStatus.UNCLEAN
    answer(cluster, latest_attempts(cluster))
    assert cluster.service().owner == N2


def test_what_is_being_stopped_when_quorum_comes_back_is_stopped() -> None:
    cluster = guarded_pair(is_armed=True)
    cluster.slow = {"vip"}
    cluster.view(N1, quorate=False)
    assert cluster.units[N1] == {"vip"}

    let_go_on(cluster)
    cluster.hurry()

    assert not cluster.units[N1]
    assert cluster.service(N1).owner is None
    assert "service.failed" not in cluster.records(N1)
