# SPDX-License-Identifier: Apache-2.0
"""Freeze: the cluster leaves a service as it is, and nothing of what was said is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import ServiceName
from rgmgr.core.actions import (
    Answer,
    Exit,
    Reply,
    ResumeChecks,
    StartResource,
    StopResource,
    SuspendChecks,
)
from rgmgr.core.events import (
    ConfigLoaded,
    QuorumChanged,
    ResourceFailed,
    ServiceProbed,
    Shutdown,
    ShutdownRequested,
    ViewChanged,
)
from rgmgr.core.invariants import check_cluster
from rgmgr.core.messages import Verb
from rgmgr.core.model import RingId, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ResourceName
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

NGINX = ResourceName("nginx")
BOTH = (ResourceName("vip"), NGINX)


def frozen() -> Cluster:
    """Return three nodes with the service running on node1, frozen."""
    cluster = formed()
    reply = cluster.ask(N2, Verb.FREEZE)
    assert reply is not None
    assert (reply.answer, reply.text, reply.owner) == (Answer.DONE, "web is frozen", N1)
    del cluster.actions[:]
    return cluster


def fail(cluster: Cluster) -> None:
    """Let the server of the service die on node1."""
    cluster.units[N1].discard("nginx")
    cluster.feed(N1, ResourceFailed(service=WEB, resource=NGINX, reason="killed"))
    cluster.settle()


def touched(cluster: Cluster) -> bool:
    """Tell whether anything was started or stopped."""
    return bool(cluster.took(StartResource) or cluster.took(StopResource))


def test_only_the_owner_stops_looking_after_a_frozen_service_and_does_it_once() -> None:
    cluster = formed()

    cluster.ask(N2, Verb.FREEZE)
    cluster.run(5_000)

    assert cluster.took(SuspendChecks) == [(N1, SuspendChecks(WEB))]


def test_what_fails_while_it_is_frozen_is_no_failure() -> None:
    cluster = frozen()

    fail(cluster)

    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTED, N1)
    assert not touched(cluster)


def test_who_waits_for_a_start_hears_that_the_service_was_frozen_first() -> None:
    cluster = Cluster(auto_fence=False)
    cluster.boot(N1, N2)
    cluster.view(N1, N2)
    assert cluster.ask(N1, Verb.ENABLE) is None  # node3 may run it

    cluster.ask(N2, Verb.FREEZE)

    (reply,) = [reply for node, reply in cluster.took(Reply) if node == N1]
    assert isinstance(reply, Reply)
    assert (reply.answer, reply.text) == (Answer.FROZEN, "web was frozen before it could start")


def test_what_is_found_broken_when_it_is_unfrozen_is_recovered() -> None:
    cluster = frozen()
    fail(cluster)

    reply = cluster.ask(N3, Verb.UNFREEZE)
    assert cluster.took(ResumeChecks) == [(N1, ResumeChecks(WEB))]
    cluster.feed(N1, ServiceProbed(service=WEB, active=BOTH[:1]))
    cluster.settle()

    assert reply is not None
    assert reply.answer is Answer.DONE
    assert cluster.units[N1] == set(BOTH)
    assert cluster.service().restarts == 1


def test_what_was_mended_by_hand_is_not_touched_when_it_is_unfrozen() -> None:
    cluster = frozen()
    fail(cluster)
    cluster.units[N1].add("nginx")

    cluster.ask(N3, Verb.UNFREEZE)
    cluster.feed(N1, ServiceProbed(service=WEB, active=BOTH))
    cluster.settle()

    assert cluster.service().state is ServiceState.STARTED
    assert not touched(cluster)


def test_the_word_of_a_failure_from_before_the_freeze_counts_no_more() -> None:
    """It is on its way while the freeze is agreed, and would take the service down after it."""
    cluster = formed()
    del cluster.actions[:]
    cluster.feed(N1, ResourceFailed(service=WEB, resource=NGINX, reason="killed"))
    word = cluster.mail.popleft()
    cluster.ask(N2, Verb.FREEZE)
    cluster.mail.append(word)
    cluster.settle()

    assert cluster.service().frozen
    assert cluster.service().state is ServiceState.STARTED
    assert not touched(cluster)


def test_a_frozen_service_of_a_lost_owner_waits_until_it_is_unfrozen() -> None:
    """rgmanager called this undefined."""
    cluster = frozen()
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert cluster.service().state is ServiceState.STOPPED
    assert because(cluster.states[N2].cluster, WEB) == (
        "frozen by an administrator until it is unfrozen"
    )
    assert cluster.took(StartResource) == []

    cluster.ask(N3, Verb.UNFREEZE)
    cluster.settle()

    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTED, N2)


def test_a_frozen_service_whose_owner_booted_anew_is_stopped_and_frozen() -> None:
    cluster = formed(auto_fence=False)
    cluster.ask(N2, Verb.FREEZE)
    cluster.kill(N1)
    cluster.view(N2, N3, ring_nodes=(N1, N2, N3))
    cluster.units[N1] = set()
    cluster.boot(N1)
    del cluster.actions[:]
    cluster.view(N1, N2, N3)

    assert (cluster.service().state, cluster.service().frozen) == (ServiceState.STOPPED, True)
    assert not touched(cluster)


def test_freeze_survives_a_restart_of_the_daemon_with_half_of_the_service_down() -> None:
    cluster = frozen()
    fail(cluster)

    cluster.restart_daemon(N1)
    cluster.view(N1, N2, N3)

    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTED, N1)
    assert cluster.service().frozen
    assert not touched(cluster)
    assert cluster.took(SuspendChecks) == [(N1, SuspendChecks(WEB))]


def test_freeze_survives_a_full_outage() -> None:
    cluster = frozen()
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.units.clear()

    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert (cluster.service().state, cluster.service().frozen) == (ServiceState.STOPPED, True)
    assert cluster.took(StartResource) == []


def test_a_frozen_service_stays_when_quorum_is_lost() -> None:
    """The others fence the node first, and start nothing of it while it is frozen."""
    cluster = frozen()
    ring = RingId(N1, 400)
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    cluster.settle((N1,))

    assert cluster.units[N1] == set(BOTH)


def test_where_nothing_is_fenced_a_frozen_service_stops_without_quorum() -> None:
    """Nothing else would keep it from running twice once somebody unfreezes it elsewhere."""
    cluster = formed(spec=spec(unsafe_disabled=True))
    cluster.ask(N2, Verb.FREEZE)
    ring = RingId(N1, 400)
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    cluster.settle((N1,))

    assert cluster.units[N1] == set()


def test_a_node_that_is_shut_down_stops_its_frozen_service_for_a_goodbye_is_a_promise() -> None:
    cluster = frozen()

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert cluster.units[N1] == set()
    assert (cluster.service().state, cluster.service().frozen) == (ServiceState.STOPPED, True)
    assert check_cluster(cluster.states[N2].cluster) == ()


def test_a_frozen_service_that_nobody_configures_any_more_holds_no_shutdown_up() -> None:
    cluster = frozen()
    other = replace(spec(web(name=ServiceName("other"))), version=2, digest="d2")
    for node in (N1, N2, N3):
        cluster.feed(node, ConfigLoaded(other))
    cluster.settle()
    assert cluster.service().state is ServiceState.STARTED

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert [node for node, _ in cluster.took(Exit)] == [N1]
    assert cluster.units[N1] == set()


@pytest.mark.parametrize(
    "verb", [Verb.ENABLE, Verb.DISABLE, Verb.STOP, Verb.RESTART, Verb.RELOCATE]
)
def test_every_other_request_is_refused(verb: Verb) -> None:
    cluster = frozen()

    reply = cluster.ask(N1, verb)

    assert reply is not None
    assert reply.answer is Answer.FROZEN
    assert not touched(cluster)


def test_a_disabled_service_can_be_frozen_and_stays_disabled() -> None:
    cluster = formed()
    cluster.ask(N1, Verb.DISABLE)

    reply = cluster.ask(N1, Verb.FREEZE)

    assert reply is not None
    assert reply.answer is Answer.DONE
    assert cluster.service().state is ServiceState.DISABLED


def test_a_failed_service_cannot_be_frozen() -> None:
    cluster = formed(broken_stops={(N1, "nginx")})
    cluster.ask(N1, Verb.STOP)

    reply = cluster.ask(N1, Verb.FREEZE)

    assert reply is not None
    assert reply.answer is Answer.FAILED
    assert not cluster.service().frozen


def test_to_freeze_or_unfreeze_twice_is_done_at_once() -> None:
    cluster = frozen()

    again = cluster.ask(N1, Verb.FREEZE)
    cluster.ask(N1, Verb.UNFREEZE)
    reply = cluster.ask(N1, Verb.UNFREEZE)

    assert again is not None
    assert reply is not None
    assert (again.answer, reply.answer) == (Answer.DONE, Answer.DONE)
    assert reply.text == "web is not frozen"


def test_a_frozen_service_stays_where_a_new_domain_forbids_it() -> None:
    cluster = frozen()
    base = spec()
    elsewhere = replace(base.domains["prefer"], restricted=True, priorities={N2: 1})
    newer = replace(base, version=2, digest="d2", domains={"prefer": elsewhere})
    cluster.feed(N1, ConfigLoaded(newer))
    cluster.settle()

    assert cluster.service().owner == N1
    assert not touched(cluster)

    cluster.ask(N2, Verb.UNFREEZE)
    cluster.settle()

    assert cluster.service().owner == N2
