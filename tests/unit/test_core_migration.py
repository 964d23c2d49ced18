# SPDX-License-Identifier: Apache-2.0
"""A virtual machine that goes to another node while it runs: never two of it, never lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import Answer, MigrateResource, Reply, StartResource, StopResource
from rgmgr.core.events import (
    ConfigLoaded,
    QuorumChanged,
    ResourceFailed,
    ResourceStopFailed,
    ResourceStopped,
    Shutdown,
    ShutdownRequested,
)
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.stop_again import ARRIVAL_PAUSE_MS
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, tree, web

GUEST = ResourceSpec(name=ResourceName("guest"), type="vm", parameters={"machine": "guest"})


def machine(**changes: object) -> ServiceSpec:
    """Return a service that is one virtual machine."""
    return web(**{"resources": (GUEST,), **changes})


def running(**changes: object) -> Cluster:
    """Return a cluster in which node1 runs the machine."""
    return formed(spec=spec(machine()), **changes)


def under_way(**changes: object) -> Cluster:
    """Return one in which it is on its way from node1 to node3."""
    cluster = running(**changes)
    cluster.slow = {"guest"}
    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)
    assert [node for node, _ in cluster.took(MigrateResource)] == [N1]
    return cluster


def place(cluster: Cluster) -> tuple[ServiceState, int | None]:
    """Return the state of the service and its owner."""
    return cluster.service().state, cluster.service().owner


def test_it_runs_at_the_target_and_nothing_was_stopped() -> None:
    cluster = running()

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    assert place(cluster) == (ServiceState.STARTED, N3)
    assert cluster.units[N1] == set()
    assert not cluster.took(StopResource)
    assert [node for node, _ in cluster.took(StartResource)] == [N1, N3]
    assert cluster.service().landing is None
    assert "service.migrated" in cluster.records()


def test_the_operator_hears_when_it_runs_there() -> None:
    cluster = running()

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    ((_, reply),) = cluster.took(Reply)
    assert isinstance(reply, Reply)
    assert (reply.answer, reply.text) == (Answer.DONE, "web is now running on node3")


def test_it_does_not_begin_before_the_target_knows_of_it() -> None:
    """Who does not know may start it where it is, once this node is lost."""
    cluster = running()

    cluster.ask(N2, Verb.MIGRATE, N3)

    assert not cluster.took(MigrateResource)
    assert because(cluster.states[N2].cluster, WEB) == "on its way to node3 while it runs"


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ((GUEST, replace(GUEST, name=ResourceName("other"))), "more than one virtual machine"),
        ((replace(GUEST, children=(tree()[0],)),), "more than one virtual machine"),
        (tree()[0].children, "no virtual machine but a resource of type 'systemd'"),
        ((replace(GUEST, is_shared=True),), "used by several services"),
    ],
)
def test_what_is_not_one_virtual_machine_is_refused(
    resources: tuple[ResourceSpec, ...], words: str
) -> None:
    cluster = formed(spec=spec(web(resources=resources)))

    reply = cluster.ask(N2, Verb.MIGRATE, N3)

    assert reply is not None
    assert reply.answer is Answer.INVALID
    assert words in reply.text
    assert "relocate" in reply.text
    assert place(cluster) == (ServiceState.STARTED, N1)


def test_it_needs_a_node_that_is_another_one() -> None:
    cluster = running()

    without, here = cluster.ask(N2, Verb.MIGRATE), cluster.ask(N2, Verb.MIGRATE, N1)

    assert without is not None
    assert here is not None
    assert (without.answer, here.answer) == (Answer.INVALID, Answer.DONE)
    assert here.text == "web runs on node1 already"


@pytest.mark.parametrize(
    ("verb", "answer"), [(Verb.DISABLE, Answer.FAILED), (Verb.FREEZE, Answer.FROZEN)]
)
def test_only_what_runs_and_may_be_touched_is_migrated(verb: Verb, answer: Answer) -> None:
    cluster = running()
    cluster.ask(N2, verb)

    reply = cluster.ask(N2, Verb.MIGRATE, N3)

    assert reply is not None
    assert reply.answer is answer


def test_one_that_is_not_taken_stays_and_its_operator_is_told_why() -> None:
    cluster = running(unwelcome={(N3, "guest")})

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    ((_, reply),) = cluster.took(Reply)
    assert isinstance(reply, Reply)
    assert reply.answer is Answer.ON_ORIGINAL_OWNER
    assert reply.text == ("web: it stays on node1, for it was not migrated to node3: no route")
    assert place(cluster) == (ServiceState.STARTED, N1)
    assert cluster.units[N1] == {"guest"}


def test_what_the_target_may_have_of_one_that_stays_is_stopped_there() -> None:
    cluster = running(unwelcome={(N3, "guest")})

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    assert [node for node, _ in cluster.took(StopResource)] == [N3]
    assert cluster.service().cleanup == ()


def test_where_nobody_can_tell_both_nodes_may_have_it() -> None:
    cluster = running(broken_stops={(N1, "guest")})

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    service = cluster.service()
    assert (service.state, service.last_owner, service.landing) == (ServiceState.FAILED, N1, N3)
    assert not cluster.took(StopResource)


def test_disabling_it_then_asks_both_nodes() -> None:
    cluster = running(broken_stops={(N1, "guest")})
    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)
    cluster.broken_stops.clear()

    cluster.ask(N2, Verb.DISABLE)
    cluster.run(1_000)

    assert place(cluster) == (ServiceState.DISABLED, None)
    assert [node for node, _ in cluster.took(StopResource)] == [N1, N3]
    assert (cluster.service().landing, cluster.service().cleanup) == (None, ())


def test_when_the_owner_dies_amid_it_the_target_has_it_or_starts_it() -> None:
    cluster = under_way()

    cluster.kill(N1)
    cluster.slow.clear()
    cluster.view(N2, N3)
    cluster.run(5_000)

    assert cluster.node(N1).status is NodeStatus.FENCED
    assert place(cluster) == (ServiceState.STARTED, N3)


def test_nobody_starts_it_before_the_owner_is_proven_down() -> None:
    cluster = under_way(auto_fence=False)

    cluster.kill(N1)
    cluster.slow.clear()
    cluster.view(N2, N3)
    cluster.run(5_000)

    assert place(cluster) == (ServiceState.STOPPING, N1)
    assert [node for node, _ in cluster.took(StartResource)] == [N1]


def test_a_target_that_dies_with_it_is_fenced_before_it_starts_again() -> None:
    cluster = under_way(auto_fence=False)

    cluster.kill(N3)
    cluster.view(N1, N2)
    cluster.hurry()
    cluster.run(2_000)

    assert place(cluster) == (ServiceState.STARTING, N3)
    assert cluster.node(N3).status is NodeStatus.UNCLEAN
    assert [node for node, _ in cluster.took(StartResource)] == [N1]


def test_a_target_that_is_proven_down_has_nothing_of_it() -> None:
    cluster = under_way()

    cluster.kill(N3)
    cluster.view(N1, N2)
    cluster.run(2_000)

    assert cluster.node(N3).status is NodeStatus.FENCED
    assert (*place(cluster), cluster.service().landing) == (ServiceState.STOPPING, N1, None)


def targets(cluster: Cluster) -> list[int | None]:
    """Return where a machine was sent; None: its owner only looked."""
    found = [action for _, action in cluster.took(MigrateResource)]
    return [action.target for action in found if isinstance(action, MigrateResource)]


def without_quorum(cluster: Cluster, node: NodeId) -> None:
    """Give a member a verdict of its own."""
    ring = cluster.states[node].local.view.ring  # type: ignore[union-attr]
    cluster.feed(node, QuorumChanged(ring, is_quorate=False))
    cluster.settle(cluster.states[node].local.view.members)  # type: ignore[union-attr]


def test_a_node_without_quorum_looks_again_for_what_nobody_could_tell() -> None:
    """It may come in after all that ran there was stopped."""
    cluster = running(broken_stops={(N1, "guest")})
    without_quorum(cluster, N3)
    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)
    assert cluster.service().landing == N3

    for _ in range(2):
        cluster.units[N3] = {"guest"}
        cluster.run(ARRIVAL_PAUSE_MS)

        assert cluster.units[N3] == set()


def test_it_does_not_go_to_a_node_that_is_lost() -> None:
    cluster = running()
    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.kill(N3)
    cluster.view(N1, N2)
    cluster.run(2_000)

    assert targets(cluster) == [None]
    assert place(cluster) == (ServiceState.STARTED, N1)


def test_an_owner_that_could_not_tell_does_not_say_that_it_stays_without_looking() -> None:
    """It had gone to node3, which was lost with the owner's word: nobody may start it before."""
    cluster = under_way(auto_fence=False)
    cluster.kill(N3)
    cluster.units = {N1: set()}
    cluster.slow.clear()
    cluster.held.clear()

    op = cluster.service(N1).op
    unknown = ResourceStopFailed(service=WEB, resource=GUEST.name, op=op, reason="no answer")
    cluster.feed(N1, unknown)
    cluster.mail.clear()  # what it told was lost with the ring
    cluster.view(N1, N2)
    cluster.run(2_000)

    assert targets(cluster) == [N3, None]
    assert place(cluster) == (ServiceState.STARTING, N3)
    assert [node for node, _ in cluster.took(StartResource)] == [N1]


def test_an_owner_whose_daemon_came_back_and_has_it_sends_it_once_more() -> None:
    cluster = under_way()
    cluster.units = {N1: {"guest"}}

    cluster.restart_daemon(N1)
    cluster.view(N1, N2, N3)
    cluster.slow.clear()
    cluster.run(3_000)

    assert [node for node, _ in cluster.took(MigrateResource)] == [N1, N1]
    assert place(cluster) == (ServiceState.STARTED, N3)


def test_an_owner_whose_daemon_came_back_without_it_has_given_it_away() -> None:
    cluster = under_way()
    cluster.units = {N1: set(), N3: {"guest"}}
    cluster.slow.clear()

    cluster.restart_daemon(N1)
    cluster.view(N1, N2, N3)
    cluster.run(3_000)

    assert place(cluster) == (ServiceState.STARTED, N3)
    assert not cluster.took(StopResource)


def test_a_target_that_is_shut_down_waits_for_it_and_gives_it_away() -> None:
    cluster = under_way()

    cluster.feed(N3, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    assert cluster.node(N3).status is NodeStatus.LEAVING
    cluster.hurry()
    cluster.run(1_000)

    assert place(cluster) == (ServiceState.STARTED, N1)
    assert cluster.node(N3).status is NodeStatus.LEFT
    assert cluster.units[N3] == set()


def test_disabling_one_that_is_on_its_way_waits_for_its_end_and_stops_it() -> None:
    cluster = under_way()

    cluster.ask(N2, Verb.DISABLE)
    cluster.hurry()
    cluster.run(1_000)

    assert place(cluster) == (ServiceState.DISABLED, None)
    assert cluster.units == {N1: set(), N3: set()}


def forgotten(units: dict[NodeId, set[str]], *members: NodeId) -> Cluster:
    """Return a cluster all of whose daemons began anew while a machine was on its way to node3.

    `units`: what they found; `members`: who is there again.
    """
    cluster = under_way()
    cluster.units, cluster.held = units, []
    for node in (N1, N2, N3):
        cluster.restart_daemon(node)
    cluster.view(*members, ring_nodes=(N1, N2, N3))
    cluster.slow = set()
    assert place(cluster) == (ServiceState.STARTED, N1)
    return cluster


def goes_on_at_the_target(cluster: Cluster) -> None:
    """The machine stops on node1, whose daemon sees that, and goes on at node3."""
    cluster.units = {N1: set(), N3: {"guest"}}
    cluster.feed(N1, ResourceFailed(service=WEB, resource=GUEST.name, reason="it is gone"))
    cluster.settle(cluster.states[N1].local.view.members)  # type: ignore[union-attr]


def test_what_all_have_forgotten_starts_nowhere_before_its_target_is_asked() -> None:
    cluster = forgotten({N1: {"guest"}}, N1, N2)

    goes_on_at_the_target(cluster)

    assert [node for node, _ in cluster.took(StartResource)] == [N1]
    cluster.restart_daemon(N3)
    cluster.view(N1, N2, N3)
    assert cluster.records().count("service.adopted") == 2, "on node1, then on node3"
    assert cluster.units == {N1: {"guest"}, N3: set()}, "which gives it back to node1"


def test_what_all_have_forgotten_starts_nowhere_before_its_target_let_go_of_it() -> None:
    cluster = forgotten({N1: {"guest"}, N3: {"guest"}}, N1, N2, N3)
    assert cluster.service().cleanup == (N3,)

    goes_on_at_the_target(cluster)

    assert [node for node, _ in cluster.took(StartResource)] == [N1]
    cluster.hurry()
    cluster.run(1_000)
    assert cluster.units == {N1: {"guest"}, N3: set()}
    assert place(cluster) == (ServiceState.STARTED, N1)


def test_what_all_have_forgotten_gets_no_new_tree_before_its_target_is_asked() -> None:
    cluster = forgotten({N1: {"guest"}}, N1, N2)
    more = machine(resources=(GUEST, replace(tree()[0], children=())))

    for node in (N1, N2):
        cluster.feed(node, ConfigLoaded(replace(spec(more), version=2, digest="d2")))
    cluster.settle((N1, N2))

    assert cluster.service().spec.resources == (GUEST,)
    cluster.view(N1, N2, N3)
    assert cluster.service().spec.resources == more.resources
    assert cluster.units[N1] == {"guest", "vip"}


def test_what_comes_to_a_node_without_quorum_is_stopped_there() -> None:
    cluster = running()
    without_quorum(cluster, N3)

    cluster.ask(N2, Verb.MIGRATE, N3)
    cluster.run(1_000)

    assert [node for node, _ in cluster.took(MigrateResource)] == [N1]
    assert place(cluster) == (ServiceState.STARTING, N3)
    assert cluster.units == {N1: set(), N3: set()}
    cluster.view(N1, N2, N3)
    assert place(cluster) == (ServiceState.STARTED, N3)


def test_what_may_run_elsewhere_too_is_not_migrated() -> None:
    """It was found running, and nobody knows what node2 has of it."""
    cluster = running()
    for node in (N1, N2, N3):
        cluster.restart_daemon(node)
    cluster.kill(N2)
    cluster.view(N1, N3, ring_nodes=(N1, N2, N3))

    reply = cluster.ask(N1, Verb.MIGRATE, N3)

    assert reply is not None
    assert reply.answer is Answer.TRY_AGAIN
    assert (
        reply.text == "web would stop, and not start: waiting for proof that node2 runs none of it"
    )
    assert not cluster.took(MigrateResource)


def test_what_comes_there_and_may_not_go_on_is_stopped_as_well() -> None:
    """Another node may have been told to start it: so it is free, but for what has come in."""
    cluster = under_way(auto_fence=False)
    cluster.units = {N1: set(), N3: {"guest"}}
    op = cluster.service().op
    cluster.feed(N1, ResourceStopped(service=WEB, resource=GUEST.name, op=op))

    cluster.kill(N2)  # which may have heard of it, as nobody else did
    cluster.slow = set()
    cluster.view(N1, N3)

    assert cluster.service(N1).owner is None
    assert cluster.units == {N1: set(), N3: set()}
