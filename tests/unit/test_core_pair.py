# SPDX-License-Identifier: Apache-2.0
"""One of two that begins from its disk, while the other one is away."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.events import Shutdown, ShutdownRequested
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, ServiceState
from rgmgr.core.sync import missing
from tests.unit.core_cluster import N1, N2, WEB, Cluster, formed, spec
from tests.unit.test_core_refit import load


def pair() -> Cluster:
    """Return two nodes; web runs on node1."""
    return formed(spec=spec(nodes=2))


def alone(cluster: Cluster) -> bool:
    """Give node1 quorum in a ring of its own and tell whether it begins an epoch there."""
    cluster.view(N1, quorate=True)
    cluster.run(60_000)
    return cluster.states[N1].local.is_installed


def test_who_has_booted_waits_for_the_one_that_may_have_gone_on() -> None:
    """The other one fenced it, told an administrator that web is disabled, and lost its power."""
    cluster = pair()
    old = cluster.disks[N1]
    cluster.kill(N1)
    cluster.view(N2, quorate=True)
    cluster.run(60_000)
    reply = cluster.ask(N2, Verb.DISABLE)
    assert reply is not None
    assert reply.answer.name == "DONE"
    cluster.kill(N2)
    cluster.disks[N1] = old

    cluster.boot(N1)
    assert not alone(cluster)
    why = missing(cluster.states[N1].cluster, cluster.states[N1].local)
    assert why == "node2 may have gone on without this node; start rgmgrd there, or see rgmgrd(8)"
    assert "sync.overdue" in cluster.records(N1)

    cluster.boot(N2)
    cluster.view(N1, N2)
    assert cluster.states[N1].local.is_installed
    assert cluster.states[N1].cluster.services[WEB].state is ServiceState.DISABLED


def test_who_booted_goes_on_when_the_other_one_was_down_when_they_agreed_last() -> None:
    cluster = pair()
    cluster.kill(N2)
    cluster.view(N1, quorate=True)
    cluster.run(60_000)
    assert cluster.node(N2, seen_by=N1).status is NodeStatus.FENCED
    cluster.kill(N1)

    cluster.boot(N1)
    assert alone(cluster)


def test_a_daemon_that_was_restarted_goes_on_alone() -> None:
    """The other one cannot have gone on: it would have fenced this node first."""
    cluster = pair()
    cluster.kill(N2)

    cluster.restart_daemon(N1)
    assert alone(cluster)
    assert cluster.node(N2, seen_by=N1).status is NodeStatus.FENCED


def test_who_said_goodbye_waits_for_the_one_that_stayed() -> None:
    """Nobody had to fence it, and administrators may have been told much since."""
    cluster = pair()
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N2)

    cluster.restart_daemon(N1)
    assert not alone(cluster)


def test_a_node_without_any_agreed_state_begins_alone() -> None:
    cluster = Cluster(spec=spec(nodes=2))
    cluster.boot(N1)

    assert alone(cluster)


def test_whom_the_configuration_has_dropped_begins_nothing_of_its_own() -> None:
    """Its state would have the greater numbers, and win over what the other one goes on with."""
    cluster = pair()
    small = replace(spec(nodes=1), version=2, digest="d2")
    cluster.feed(N2, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N2)
    cluster.view(N1, quorate=True)
    load(cluster, small)
    cluster.boot(N2)
    cluster.view(N1, N2)
    agreed = cluster.states[N2].cluster
    assert N2 not in agreed.nodes

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N1)
    cluster.view(N2, ring_nodes=(N1, N2), quorate=True)
    cluster.run(60_000)

    assert cluster.states[N2].cluster.epoch == agreed.epoch
    reason = "this node is not configured; start rgmgrd on one that is"
    assert cluster.states[N2].local.emergency == reason
