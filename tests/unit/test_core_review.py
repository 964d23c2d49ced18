# SPDX-License-Identifier: Apache-2.0
# the harness is steered from inside
"""Rare orders of events that once broke a promise: each test names the promise."""

from dataclasses import replace

from domains.model import FailoverDomain, NodeId
from rgmgr.core.actions import Answer, Exit, FenceNode, Multicast, StartResource, StopResource
from rgmgr.core.events import (
    ConfigLoaded,
    CorosyncLost,
    Delivered,
    QuorumChanged,
    Requested,
    Shutdown,
    ShutdownRequested,
    TimerFired,
    ViewChanged,
)
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import NodeStatus, RingId, ServiceState
from rgmgr.core.spec import ClusterSpec, RecoveryPolicy
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

N4, N5 = NodeId(4), NodeId(5)


def _with_domain(base: ClusterSpec, *members: NodeId, name: str = "prefer") -> ClusterSpec:
    fixed = FailoverDomain(name=name, restricted=True, priorities=dict.fromkeys(members, 1))
    return replace(base, version=2, digest="d2", domains={**base.domains, name: fixed})


def test_a_proof_that_only_lost_members_heard_lets_nobody_else_start_the_service() -> None:
    """The fencer heard its own proof and started the service; then it was cut off with it."""
    five = formed(spec=spec(nodes=5), auto_fence=False)
    five.view(N2, N3, N4, N5)
    ((fencer, first),) = five.took(FenceNode)
    assert fencer == N2
    five.feed(N2, five.fence_result(first))
    five.settle((N2,))
    assert five.units[N2] == {"vip", "nginx"}
    del five.actions[:]

    five.view(N3, N4, N5)
    again = next((n, a) for n, a in five.took(FenceNode) if a.node == N1)
    five.feed(again[0], five.fence_result(again[1]))
    five.settle((N3, N4, N5))

    assert five.took(StartResource) == []


def test_a_narrower_domain_during_a_start_moves_the_service_and_kills_no_daemon() -> None:
    cluster = formed()
    cluster.ask(N2, Verb.STOP)
    cluster._react, react = (lambda _n, _a: None), cluster._react  # type: ignore[method-assign]
    number = Request(number=77, verb=Verb.ENABLE, service=WEB)
    asked = cluster.feed(N2, Requested(number))
    cluster._react = react  # type: ignore[method-assign]
    held: list[object] = []
    cluster._start = lambda _n, a: held.append(a) or None  # type: ignore[method-assign, return-value]
    (message,) = [a.message for a in asked if isinstance(a, Multicast)]
    for node in (N1, N2, N3):
        cluster.feed(node, Delivered(N2, message))
    cluster.local.clear()
    assert cluster.service().state is ServiceState.STARTING

    cluster.feed(N2, ConfigLoaded(_with_domain(cluster.spec, N2, N3)))
    cluster.settle()

    assert cluster.service().owner != N1 or cluster.service().state is not ServiceState.STARTING


def test_a_service_put_into_another_domain_is_next_started_inside_it() -> None:
    cluster = formed()
    moved = replace(
        _with_domain(cluster.spec, N2, N3, name="other"), services=(web(domain="other"),)
    )
    cluster.feed(N2, ConfigLoaded(moved))
    cluster.settle()

    cluster.ask(N2, Verb.RESTART)

    assert cluster.service().owner == N2


def test_quorum_lost_and_regained_without_a_new_ring_leaves_no_service_stopped() -> None:
    """A quorum device does that; so does a change of the expected votes."""
    cluster = formed()
    ring = RingId(N1, cluster.ring)
    for node in (N1, N2, N3):
        cluster.feed(node, QuorumChanged(ring, is_quorate=False))
    cluster.settle()
    assert cluster.units[N1] == set()

    for node in (N1, N2, N3):
        cluster.feed(node, QuorumChanged(ring, is_quorate=True))
    cluster.settle()

    assert cluster.service().state is ServiceState.STARTED
    assert cluster.units[cluster.service().owner] == {"vip", "nginx"}


def test_a_late_quorum_verdict_leaves_no_service_stopped() -> None:
    """One member waits longer for its verdict than the emergency timer; the others do not."""
    cluster = formed()
    cluster.ask(N2, Verb.RELOCATE, N3)
    cluster.ring += 4
    ring = RingId(N1, cluster.ring)
    for node in (N1, N2, N3):
        cluster.feed(node, ViewChanged(ring=ring, ring_nodes=(N1, N2, N3), members=(N1, N2, N3)))
    for node in (N1, N2):
        cluster.feed(node, QuorumChanged(ring, is_quorate=True))
    cluster.settle()
    key = next(k for n, k in cluster.timers if n == N3 and k.startswith("quorum"))
    cluster.feed(N3, TimerFired(key))
    cluster.settle()

    cluster.feed(N3, QuorumChanged(ring, is_quorate=True))
    cluster.settle()

    assert not cluster.states[N3].local.emergency
    assert cluster.units[cluster.service().owner] == {"vip", "nginx"}


def test_lost_quorum_is_no_failure_of_the_service() -> None:
    cluster = formed(spec=spec(web(recovery=RecoveryPolicy.DISABLE)))
    for node in (N1, N2, N3):
        cluster.view(node, quorate=False)
    assert cluster.units[N1] == set()

    cluster.view(N1, N2, N3)

    assert cluster.service().state is ServiceState.STARTED


def test_a_daemon_that_ends_while_corosync_breaks_stops_its_services_first() -> None:
    cluster = formed()
    cluster._stop = lambda _n, _a: None  # type: ignore[method-assign, return-value, assignment]
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.mail.clear()
    del cluster.actions[:]

    cluster.feed(N1, CorosyncLost("library error"))

    assert cluster.took(Exit) == []
    assert [a.resource.name for _, a in cluster.took(StopResource)] == ["nginx"]


def test_a_leaving_node_that_was_cut_off_for_a_moment_still_leaves() -> None:
    cluster = formed(spec=spec(post_fail_delay_ms=5_000))
    cluster._stop, stop = (lambda _n, _a: None), cluster._stop  # type: ignore[method-assign]
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    while cluster.mail:
        sender, message = cluster.mail.popleft()
        for node in (N1, N2, N3):
            cluster.feed(node, Delivered(sender, message))
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.LEAVING
    cluster.local.clear()
    cluster._stop = stop  # type: ignore[method-assign]
    pending = next(a for n, a in cluster.took(StopResource) if n == N1)

    cluster.view(N2, N3)
    cluster.view(N1, N2, N3)
    cluster.feed(N1, stop(N1, pending))
    cluster.settle()

    assert cluster.states[N1].local.is_over
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.LEFT


def test_a_node_that_said_goodbye_is_given_nothing_before_it_is_gone() -> None:
    cluster = formed()
    react = cluster._react
    cluster._react = lambda n, a: None if type(a).__name__ == "SaveState" else react(n, a)  # type: ignore[method-assign]
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    assert cluster.states[N1].cluster.nodes[N1].status is NodeStatus.LEFT
    assert not cluster.states[N1].local.is_over
    del cluster._react

    cluster.view(N1, N2, N3)
    cluster.run(5_000)

    assert cluster.states[N1].local.is_over
    assert cluster.service().owner == N2


def test_a_request_on_an_excluded_node_is_answered() -> None:
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)
    cluster.view(N1, N2, N3)
    assert cluster.states[N1].cluster.nodes[N1].status is NodeStatus.UNCLEAN

    reply = cluster.ask(N1, Verb.DISABLE)

    assert reply is not None
    assert reply.answer is not Answer.DONE


def test_cluster_time_goes_on_after_an_outage_that_reset_all_clocks() -> None:
    """Otherwise restart windows never expire until the new uptime passes the old one."""
    cluster = formed()
    cluster.run(1_000_000)
    cluster.ask(N2, Verb.RELOCATE, N3)
    cluster.ask(N2, Verb.DISABLE)
    before_ms = cluster.states[N2].cluster.now_ms
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.units.clear()
    cluster.now_ms = 5_000
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    cluster.run(20_000)
    cluster.ask(N2, Verb.ENABLE)

    assert cluster.states[N2].cluster.now_ms >= before_ms + 20_000


def test_an_operation_queued_before_the_first_epoch_does_not_move_cluster_time() -> None:
    """Its sender's own uptime says nothing about the cluster's time."""
    cluster = Cluster()
    cluster.boot(N1, N2)
    cluster.view(N1, N2)
    cluster.now_ms += 10_000_000
    cluster.boot(N3)
    cluster.feed(N3, Requested(Request(number=1, verb=Verb.DISABLE, service=WEB)))
    cluster.now_ms -= 10_000_000

    cluster.view(N1, N2, N3)

    assert cluster.states[N2].cluster.now_ms < 1_000_000


def test_a_configuration_that_has_to_wait_is_proposed_as_soon_as_it_can_be_taken() -> None:
    cluster = formed()
    smaller = replace(
        cluster.spec,
        version=2,
        digest="d2",
        nodes={n: s for n, s in cluster.spec.nodes.items() if n != N3},
    )
    cluster.feed(N1, ConfigLoaded(smaller))
    cluster.settle()
    assert "config.refused" in cluster.records(N1)
    cluster.feed(N3, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N3)

    cluster.view(N1, N2)

    assert cluster.states[N2].cluster.spec.version == 2


def test_an_adopted_service_that_fails_again_is_recovered() -> None:
    """Adoption is a transition of its own: what was said of the last one is not said of it."""
    cluster = formed()
    cluster.ask(N2, Verb.STOP)
    said = cluster.service().op
    from rgmgr.core.events import ResourceFailed, ServiceProbed  # noqa: PLC0415
    from rgmgr.core.spec import ResourceName  # noqa: PLC0415

    names = (ResourceName("nginx"), ResourceName("vip"))
    cluster.units[N1] = set(names)
    cluster.feed(N1, ServiceProbed(service=WEB, active=names))
    cluster.kill(N3)
    cluster.view(N1, N2)
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.took(Multicast)
    assert cluster.service().op > said

    cluster.units[N1].discard("nginx")
    cluster.feed(N1, ResourceFailed(service=WEB, resource=names[0], reason="signal 9"))
    cluster.settle()

    assert cluster.units[N1] == {"vip", "nginx"}
