# SPDX-License-Identifier: Apache-2.0
"""Losing members: nothing starts before proof, everything starts after it."""

from domains.model import FailoverDomain
from rgmgr.core.actions import FenceNode, StartResource, StopResource
from rgmgr.core.events import CorosyncLost, QuorumChanged, ResourceFailed, ViewChanged
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, ProofKind, RingId, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import RecoveryPolicy, ResourceName
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web


def test_a_cold_start_runs_the_service_on_the_preferred_node_in_tree_order() -> None:
    cluster = formed()

    started = [(n, a.resource.name) for n, a in cluster.took(StartResource)]

    assert started == [(N1, "vip"), (N1, "nginx")]
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().owner == N1


def test_all_members_have_the_same_state_after_every_change() -> None:
    cluster = formed()
    cluster.view(N2, N3)

    assert cluster.states[N2].cluster == cluster.states[N3].cluster


def test_a_service_waits_until_its_lost_owner_is_fenced() -> None:
    """Starting earlier could run it twice and corrupt shared data."""
    cluster = formed(auto_fence=False)
    del cluster.actions[:]

    cluster.view(N2, N3)

    ((fencer, attempt),) = cluster.took(FenceNode)
    assert (fencer, attempt.node) == (N2, N1)
    assert cluster.took(StartResource) == []
    cluster.feed(N2, cluster.fence_result(attempt))
    cluster.settle((N2, N3))
    assert [n for n, _ in cluster.took(StartResource)] == [N2, N2]
    assert cluster.service().owner == N2
    assert cluster.states[N3].cluster.nodes[N1].proof.kind is ProofKind.FENCED


def test_a_failed_attempt_starts_nothing_and_is_tried_again_by_another_node() -> None:
    cluster = formed(auto_fence=False)
    cluster.kill(N1)
    cluster.view(N2, N3)
    del cluster.timers[N2, "tick"], cluster.timers[N3, "tick"]
    ((_, attempt),) = cluster.took(FenceNode)
    del cluster.actions[:]

    cluster.feed(N2, cluster.fence_result(attempt, is_confirmed=False))
    cluster.settle()
    assert cluster.took(FenceNode) == []
    cluster.run(1_000)

    ((fencer, second),) = cluster.took(FenceNode)
    assert (fencer, second.node, second.attempt) == (N3, N1, 2)
    assert cluster.took(StartResource) == []
    assert "fence.failed" in cluster.records()


def test_proof_of_an_older_case_frees_nothing() -> None:
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)
    ((_, attempt),) = cluster.took(FenceNode)
    stale = cluster.fence_result(attempt)
    del cluster.actions[:]

    cluster.feed(
        N2,
        type(stale)(
            node=N1, victim=attempt.victim - 1, attempt=1, is_confirmed=True, detail="late"
        ),
    )
    cluster.settle((N2, N3))

    assert cluster.service().owner == N1
    assert cluster.took(StartResource) == []


def test_a_member_without_quorum_stops_its_services_in_reverse_order() -> None:
    cluster = formed()
    del cluster.actions[:]

    cluster.view(N1, quorate=False)

    stopped = [(n, a.resource.name) for n, a in cluster.took(StopResource)]
    assert stopped == [(N1, "nginx"), (N1, "vip")]
    assert cluster.units[N1] == set()


def test_a_member_without_quorum_fences_nobody_and_starts_nothing() -> None:
    cluster = formed()
    del cluster.actions[:]

    cluster.view(N3, quorate=False)
    cluster.run(30_000)

    assert cluster.took(FenceNode) == []
    assert cluster.took(StartResource) == []


def test_quorum_of_another_ring_does_not_count() -> None:
    """The flag alone is stale between the membership change and the verdict for it."""
    cluster = formed()
    cluster.view(N2, N3, quorate=False)
    del cluster.actions[:]

    for node in (N2, N3):
        cluster.feed(node, QuorumChanged(RingId(N1, 4), is_quorate=True))
    cluster.settle((N2, N3))

    assert cluster.took(FenceNode) == []
    assert not cluster.states[N2].local.is_installed


def test_losing_corosync_stops_the_services_like_losing_quorum() -> None:
    cluster = formed()
    del cluster.actions[:]

    cluster.feed(N1, CorosyncLost("library error"))
    cluster.settle()

    assert [a.resource.name for _, a in cluster.took(StopResource)] == ["nginx", "vip"]


def test_a_fenced_node_returns_clean_and_gets_its_service_back_by_priority() -> None:
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.service().owner == N2

    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.ONLINE
    assert cluster.service().owner == N1
    assert cluster.units[N2] == set()


def test_nofailback_keeps_the_service_where_it_is() -> None:
    base = spec()
    stays = FailoverDomain(
        name="prefer", ordered=True, nofailback=True, priorities={N1: 1, N2: 2, N3: 3}
    )
    cluster = formed(
        spec=type(base)(
            **{**{f: getattr(base, f) for f in base.__slots__}, "domains": {"prefer": stays}}
        )
    )
    cluster.kill(N1)
    cluster.view(N2, N3)

    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert cluster.service().owner == N2


def test_a_node_back_before_its_fencing_began_keeps_its_services() -> None:
    cluster = formed(spec=spec(post_fail_delay_ms=5_000))
    cluster.view(N2, N3)
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.UNCLEAN
    del cluster.actions[:]

    cluster.view(N1, N2, N3)

    assert cluster.service().owner == N1
    assert cluster.took(FenceNode) == []
    assert cluster.took(StopResource) == []
    assert "fence.called_off" in cluster.records()


def test_a_node_back_while_it_is_being_fenced_stays_out_and_stops_everything() -> None:
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)

    cluster.view(N1, N2, N3)

    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.UNCLEAN
    assert cluster.units[N1] == set()
    assert cluster.service().owner == N1


def test_another_boot_id_is_proof_that_the_old_life_ended() -> None:
    cluster = formed(auto_fence=False)
    cluster.kill(N1)
    cluster.units.pop(N1)
    cluster.view(N2, N3)

    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert cluster.states[N2].cluster.nodes[N1].proof.kind is ProofKind.REBOOTED
    assert cluster.service().state is ServiceState.STARTED


def test_a_device_that_lied_is_found_out_by_the_boot_id() -> None:
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)
    ((_, attempt),) = cluster.took(FenceNode)
    units = set(cluster.units[N1])
    cluster.feed(N2, cluster.fence_result(attempt))
    cluster.units[N1] = units
    cluster.settle((N2, N3))

    cluster.view(N1, N2, N3)

    assert "fence.disproved" in cluster.records()
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.UNCLEAN


def test_what_a_node_that_is_kept_out_still_runs_is_not_started_elsewhere() -> None:
    """Its device lied, and the start that this led to had not begun when it was heard again."""
    cluster = formed(auto_fence=False)
    cluster.view(N2, N3)
    ((_, attempt),) = cluster.took(FenceNode)
    units = set(cluster.units[N1])
    cluster.now_ms += LEASE_MS + 1
    cluster.feed(N2, cluster.fence_result(attempt))
    cluster.units[N1] = units
    cluster.settle((N2, N3))
    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTING, N2)
    del cluster.actions[:]

    cluster.view(N1, N2, N3)

    assert cluster.took(StartResource) == []
    assert because(cluster.states[N2].cluster, WEB) == "waiting for left-overs on node1"

    ((_, again),) = cluster.took(FenceNode)
    cluster.feed(N2, cluster.fence_result(again))
    cluster.settle((N2, N3))

    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTED, N2)


def test_a_daemon_that_comes_back_finds_its_service_untouched() -> None:
    cluster = formed()
    del cluster.actions[:]
    cluster.restart_daemon(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.DETACHED

    cluster.view(N1, N2, N3)

    assert cluster.service().owner == N1
    assert cluster.took(StopResource) == []
    assert cluster.took(StartResource) == []
    assert cluster.took(FenceNode) == []


def test_what_a_dead_daemon_was_starting_is_up_when_a_start_says_so() -> None:
    """A unit that is on its way up counts as active, and may never come up."""
    cluster = Cluster()
    cluster.boot(N1, N2, N3)
    cluster.slow = {"nginx"}
    cluster.view(N1, N2, N3)
    cluster.units[N1].add("nginx")
    cluster.restart_daemon(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    cluster.view(N1, N2, N3)
    assert cluster.service().state is ServiceState.STARTING

    cluster.hurry()

    assert (cluster.service().owner, cluster.service().state) == (N1, ServiceState.STARTED)
    assert cluster.took(StopResource) == []


def test_a_daemon_that_stays_away_is_fenced_after_its_grace() -> None:
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    del cluster.actions[:]

    cluster.run(29_000)
    assert cluster.took(FenceNode) == []
    cluster.run(2_000)

    assert [a.node for _, a in cluster.took(FenceNode)] == [N1]
    assert cluster.service().owner == N2


def test_nodes_never_seen_are_fenced_before_anything_starts() -> None:
    """They may run anything: the others were all off or cut off."""
    cluster = Cluster()
    cluster.boot(N1, N2)
    cluster.view(N1, N2)
    assert cluster.took(StartResource) == []

    cluster.run(7_000)

    assert [a.node for _, a in cluster.took(FenceNode)] == [N3]
    assert cluster.service().owner == N1


def test_a_node_that_said_goodbye_is_not_fenced_at_the_next_cold_start() -> None:
    cluster = formed()
    from rgmgr.core.events import Shutdown, ShutdownRequested  # noqa: PLC0415

    cluster.feed(N3, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N3)
    cluster.view(N1, N2)
    cluster.kill(N1)
    cluster.kill(N2)
    cluster.units.clear()
    del cluster.actions[:]

    cluster.boot(N1, N2)
    cluster.view(N1, N2)
    cluster.run(10_000)

    assert cluster.took(FenceNode) == []
    assert cluster.service().owner == N1


def test_two_nodes_lost_together_must_both_be_proven_down() -> None:
    """The one may have handed its service to the other in messages that died with them."""
    five = formed(spec=spec(nodes=5), auto_fence=False)
    n4, n5 = (n for n in sorted(five.spec.nodes) if n > N3)
    five.view(N2, N3, n4)
    attempts = {a.node: (n, a) for n, a in five.took(FenceNode)}
    del five.actions[:]

    fencer, attempt = attempts[N1]
    five.feed(fencer, five.fence_result(attempt))
    five.settle((N2, N3, n4))
    assert five.took(StartResource) == []
    fencer, attempt = attempts[n5]
    five.feed(fencer, five.fence_result(attempt))
    five.settle((N2, N3, n4))

    assert five.service().owner == N2


def test_a_unit_that_dies_is_restarted_where_it_was() -> None:
    cluster = formed()
    cluster.units[N1].discard("nginx")
    del cluster.actions[:]

    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="signal 9")
    cluster.feed(N1, failure)
    cluster.settle()

    assert cluster.service().owner == N1
    assert cluster.service().state is ServiceState.STARTED
    assert cluster.units[N1] == {"vip", "nginx"}


def test_restarts_past_the_limit_move_the_service() -> None:
    cluster = formed(spec=spec(web(max_restarts=1, restart_expire_ms=60_000)))
    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="signal 9")

    for _ in range(2):
        cluster.feed(N1, failure)
        cluster.settle()

    assert cluster.service().owner == N2


def test_restarts_outside_the_window_are_forgotten() -> None:
    cluster = formed(spec=spec(web(max_restarts=1, restart_expire_ms=60_000)))
    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="signal 9")

    cluster.feed(N1, failure)
    cluster.run(61_000)
    cluster.feed(N1, failure)
    cluster.settle()

    assert cluster.service().owner == N1


def test_a_start_that_fails_goes_to_the_next_node() -> None:
    cluster = formed(broken_starts={(N1, "nginx")})

    assert cluster.service().owner == N2
    assert cluster.units[N1] == set()


def test_a_start_that_fails_everywhere_waits_and_says_why() -> None:
    cluster = formed(broken_starts={(n, "nginx") for n in (N1, N2, N3)})

    assert cluster.service().state is ServiceState.STOPPED
    from rgmgr.core.placement import because  # noqa: PLC0415

    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == (
        "start failed on node1, node2, node3: nginx: exit status 1; tried again in 30 s at most"
    )


def test_a_stop_that_fails_leaves_the_service_failed_and_starts_it_nowhere() -> None:
    cluster = formed(broken_stops={(N1, "vip")})
    del cluster.actions[:]

    reply = cluster.ask(N2, Verb.RELOCATE, N3)

    assert cluster.service().state is ServiceState.FAILED
    assert cluster.took(StartResource) == []
    assert reply is not None
    assert reply.answer.name == "ABORTED"


def test_recovery_disable_gives_up_after_a_failure() -> None:
    cluster = formed(spec=spec(web(recovery=RecoveryPolicy.DISABLE)))

    cluster.feed(N1, ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="x"))
    cluster.settle()

    assert cluster.service().state is ServiceState.DISABLED


def test_a_verdict_that_comes_before_its_view_stops_the_services_all_the_same() -> None:
    """Quorum and membership are two connections: either may be served first."""
    cluster = formed()
    ring = RingId(N1, 8)
    del cluster.actions[:]

    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.settle((N1,))

    assert [a.resource.name for _, a in cluster.took(StopResource)] == ["nginx", "vip"]


def test_a_repair_leaves_alone_what_started_before_the_fault() -> None:
    """Clients keep their address while the server behind it comes back."""
    cluster = formed()
    cluster.units[N1].discard("nginx")
    del cluster.actions[:]

    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="signal 9")
    cluster.feed(N1, failure)
    cluster.settle()

    assert [a.resource.name for _, a in cluster.took(StopResource)] == ["nginx"]
    started = [a.resource.name for _, a in cluster.took(StartResource)]
    assert started == ["vip", "nginx"], "what is up already is verified, not believed"


def test_a_disable_during_a_repair_stops_everything() -> None:
    cluster = formed()
    react = cluster._react
    cluster._react = lambda n, a: None if isinstance(a, StopResource) else react(n, a)  # type: ignore[method-assign]
    cluster.feed(N1, ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="x"))
    cluster.settle()
    ((_, begun),) = cluster.took(StopResource)

    cluster.ask(N2, Verb.DISABLE)
    del cluster._react
    react(N1, begun)
    cluster.settle()

    assert cluster.service().state is ServiceState.DISABLED
    assert cluster.units[N1] == set()
