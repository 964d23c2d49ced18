# SPDX-License-Identifier: Apache-2.0
"""What a node does that has lost quorum: by policy, and never starting anything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.core.actions import RebootNode, StartResource, StopResource
from rgmgr.core.events import (
    CorosyncLost,
    Delivered,
    QuorumChanged,
    Requested,
    ResourceFailed,
    Shutdown,
    ShutdownRequested,
    TimerFired,
    ViewChanged,
)
from rgmgr.core.messages import Install, MaintenanceOrder, MaintenanceRequest, Verb
from rgmgr.core.model import RingId
from rgmgr.core.spec import NoQuorumPolicy, ResourceName
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

BOTH = {"vip", "nginx"}
REST = [NoQuorumPolicy.STOP, NoQuorumPolicy.FREEZE, NoQuorumPolicy.IGNORE]


def with_policy(policy: NoQuorumPolicy) -> Cluster:
    cluster = formed(spec=replace(spec(), no_quorum_policy=policy))
    del cluster.actions[:]
    return cluster


def cut_off(cluster: Cluster, node: object = N1) -> None:
    """Leave a node alone, without quorum."""
    ring = RingId(N1, 400)
    cluster.feed(node, ViewChanged(ring=ring, ring_nodes=(node,), members=(node,)))  # type: ignore[arg-type]
    cluster.feed(node, QuorumChanged(ring, is_quorate=False))  # type: ignore[arg-type]
    cluster.settle((node,))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        (NoQuorumPolicy.STOP, set()),
        (NoQuorumPolicy.FREEZE, BOTH),
        (NoQuorumPolicy.IGNORE, BOTH),
        (NoQuorumPolicy.SUICIDE, set()),  # in case that the reboot fails
    ],
)
def test_what_is_left_running(policy: NoQuorumPolicy, left: set[str]) -> None:
    cluster = with_policy(policy)

    cut_off(cluster)

    assert cluster.units[N1] == left
    assert cluster.took(StartResource) == []


@pytest.mark.parametrize("policy", REST)
def test_a_node_that_the_members_have_dropped_stops_all_whatever_the_policy(
    policy: NoQuorumPolicy,
) -> None:
    """Nobody will fence it, and the service belongs to a member."""
    cluster = formed(spec=replace(spec(nodes=2), no_quorum_policy=policy))
    cluster.units[N3] = set(BOTH)

    cluster.boot(N3)
    cluster.view(N1, N2, N3)

    assert cluster.units[N3] == set()
    assert cluster.units[N1] == BOTH


def test_suicide_reboots_once_before_anything_is_stopped() -> None:
    cluster = with_policy(NoQuorumPolicy.SUICIDE)

    cut_off(cluster)

    deeds = [a for _, a in cluster.actions if isinstance(a, RebootNode | StopResource)]
    assert isinstance(deeds[0], RebootNode)
    assert deeds[0].reason == "this node has no quorum, and web may not run on"
    assert sum(isinstance(deed, RebootNode) for deed in deeds) == 1


@pytest.mark.parametrize("policy", REST)
def test_no_other_policy_reboots(policy: NoQuorumPolicy) -> None:
    cluster = with_policy(policy)

    cut_off(cluster)

    assert cluster.took(RebootNode) == []


def test_losing_corosync_is_losing_quorum() -> None:
    cluster = with_policy(NoQuorumPolicy.SUICIDE)

    cluster.feed(N1, CorosyncLost("connection refused"))

    assert len(cluster.took(RebootNode)) == 1


def test_a_node_that_runs_nothing_is_left_alone() -> None:
    cluster = with_policy(NoQuorumPolicy.SUICIDE)

    cut_off(cluster, N3)

    assert cluster.took(RebootNode) == []


def test_a_node_that_never_had_quorum_does_not_reboot_and_stops_what_it_finds() -> None:
    """Else each boot of a node alone would end in the next."""
    cluster = Cluster(spec=replace(spec(), no_quorum_policy=NoQuorumPolicy.SUICIDE))
    cluster.units[N1] = set(BOTH)
    cluster.boot(N1)

    cut_off(cluster)

    assert cluster.took(RebootNode) == []
    assert cluster.units[N1] == set()


def test_a_node_that_is_shut_down_without_quorum_stops_in_order() -> None:
    cluster = with_policy(NoQuorumPolicy.SUICIDE)
    ring = RingId(N1, 400)
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))

    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    cluster.settle((N1,))

    assert cluster.took(RebootNode) == []
    assert cluster.units[N1] == set()


def test_a_service_may_have_its_own_policy() -> None:
    own = web(no_quorum_policy=NoQuorumPolicy.IGNORE)
    cluster = formed(spec=replace(spec(own), no_quorum_policy=NoQuorumPolicy.SUICIDE))

    cut_off(cluster)

    assert cluster.took(RebootNode) == []
    assert cluster.units[N1] == BOTH


@pytest.mark.parametrize("policy", [NoQuorumPolicy.FREEZE, NoQuorumPolicy.IGNORE])
def test_what_fails_meanwhile_is_not_restarted(policy: NoQuorumPolicy) -> None:
    cluster = with_policy(policy)
    cut_off(cluster)

    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="killed")
    cluster.feed(N1, failure)
    cluster.settle((N1,))

    assert cluster.took(StartResource) == []


def test_the_others_start_it_after_proof_alone() -> None:
    cluster = with_policy(NoQuorumPolicy.IGNORE)
    cluster.auto_fence = False
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.took(StartResource) == []

    cluster.ask(N2, Verb.ENABLE)

    assert cluster.took(StartResource) == []


def test_rings_that_follow_each_other_without_a_verdict_are_one_time_without() -> None:
    """A node that cannot join the ring it hears forms its own anew, again and again."""
    cluster = with_policy(NoQuorumPolicy.STOP)

    for turn in range(6):
        ring = RingId(N1, 400 + 4 * turn)
        cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
        cluster.run(1_200)

    assert cluster.units[N1] == set()


def test_what_no_tree_knows_is_stopped_too_after_what_is_known() -> None:
    """Its state is spoilt and its file newer than what runs; to look it up may take its time."""
    cluster = Cluster(spec=spec())
    cluster.units[N1] = BOTH | {"old"}
    cluster.boot(N1)

    cut_off(cluster)

    stops = [a.resource.name for _, a in cluster.took(StopResource) if isinstance(a, StopResource)]
    assert stops == ["nginx", "vip", "old"]
    assert cluster.units[N1] == set()


def test_services_are_shielded_until_the_cluster_would_be_armed_again_and_no_longer() -> None:
    """Something else happens in the very moment in which that time is over."""
    cluster = formed()
    disarm = MaintenanceRequest(number=1, order=MaintenanceOrder.DISARM, by="alice", for_ms=9_000)
    cluster.feed(N1, Requested(disarm))
    cluster.settle()
    cut_off(cluster)
    assert cluster.units[N1] == BOTH

    ends = [due_ms for (_, key), due_ms in cluster.timers.items() if key.startswith("shield")]
    (cluster.now_ms,) = ends
    cluster.feed(N1, TimerFired("tick"))
    cluster.run(1)

    assert cluster.units[N1] == set()


def test_an_epoch_lifts_no_emergency_when_quorum_was_lost_before_it_began() -> None:
    """An arbiter changed its mind while INSTALL was on its way."""
    cluster = formed(spec=spec(nodes=2))
    ring = RingId(N1, 400)
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.feed(N1, QuorumChanged(ring, is_quorate=True))
    while not any(isinstance(message, Install) for _, message in cluster.mail):
        sender, message = cluster.mail.popleft()
        cluster.feed(N1, Delivered(sender, message))

    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    cluster.settle((N1,))
    assert cluster.states[N1].local.emergency == "this node has no quorum"
    assert cluster.units[N1] == set()

    cluster.feed(N1, QuorumChanged(ring, is_quorate=True))
    cluster.settle((N1,))
    assert cluster.states[N1].local.emergency == ""


def test_a_stop_without_quorum_that_ends_with_what_was_down_already_is_told_to_the_others() -> None:
    """An epoch began meanwhile with a HELLO of before that stop, and the owner forgot it."""
    cluster = formed()
    cluster.slow = {"nginx"}
    ring = RingId(N1, 400)
    for node in (N1, N2, N3):
        cluster.feed(node, ViewChanged(ring=ring, ring_nodes=(N1, N2, N3), members=(N1, N2, N3)))
    for is_quorate in (False, True):
        cluster.feed(N1, QuorumChanged(ring, is_quorate))
    cluster.settle()
    assert cluster.states[N1].local.is_installed
    assert cluster.states[N1].local.jobs

    failure = ResourceFailed(service=WEB, resource=ResourceName("vip"), reason="killed")
    cluster.feed(N1, failure)
    cluster.hurry()

    assert "sync.rejoining" in cluster.records(N1)
    assert cluster.units[N1] == BOTH


@pytest.mark.parametrize(("kind", "left"), [(Shutdown.STOP, set()), (Shutdown.RESTART, BOTH)])
def test_a_shutdown_stops_what_was_shielded_while_the_cluster_was_disarmed(
    kind: Shutdown, left: set[str]
) -> None:
    """The daemon took it for settled, ended, and left all of it running; a restart may."""
    cluster = formed()
    disarm = MaintenanceRequest(number=1, order=MaintenanceOrder.DISARM, by="alice", for_ms=90_000)
    cluster.feed(N1, Requested(disarm))
    cluster.settle()
    cut_off(cluster)
    assert cluster.units[N1] == BOTH

    cluster.feed(N1, ShutdownRequested(kind))
    cluster.settle((N1,))

    assert cluster.units[N1] == left
    assert cluster.states[N1].local.is_over
