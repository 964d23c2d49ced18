# SPDX-License-Identifier: Apache-2.0
"""What exists once goes to another service by a new configuration: never is it up twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import FenceNode, Record
from rgmgr.core.events import StateSaved
from rgmgr.core.messages import Verb
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ClusterSpec, ResourceSpec
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web
from tests.unit.test_core_refit import load
from tests.unit.test_core_subtrees import resource

MAIL = ServiceName("mail")
DISK = {"device": "/dev/x", "mountpoint": "/srv", "fstype": "xfs"}
disk = resource("disk", type="fs", parameters=DISK)
vip = resource("vip", type="ip", parameters={"address": "10.0.0.7/24"})
app, log = resource("app"), resource("log")


def both(
    of_web: tuple[ResourceSpec, ...], of_mail: tuple[ResourceSpec, ...], version: int = 1
) -> ClusterSpec:
    """Return two services; the second one runs on node2 unless it has to be elsewhere."""
    mail = replace(web(resources=of_mail, domain=None), name=MAIL)
    services = spec(web(resources=of_web), mail)
    return replace(services, version=version, digest=f"d{version}")


def only(name: ServiceName, version: int) -> ClusterSpec:
    made = replace(web(resources=(disk, app)), name=name)
    return replace(spec(made), version=version, digest=f"d{version}")


def on_one_node() -> tuple[ClusterSpec, ClusterSpec]:
    """Return two services on node1, before and after the disk moves from web to mail."""
    old, new = both((disk, app), (log,)), both((app,), (disk, log), 2)
    here = [tuple(replace(s, domain="prefer") for s in each.services) for each in (old, new)]
    return replace(old, services=here[0]), replace(new, services=here[1])


def mail(cluster: Cluster) -> Service:
    return cluster.states[N2].cluster.services[MAIL]


def why(cluster: Cluster, name: ServiceName = MAIL) -> str | None:
    return because(cluster.states[N2].cluster, name)


def refusals(cluster: Cluster, node: NodeId) -> set[str | int | None]:
    """Return why this node says that a configuration has to wait."""
    return {
        action.fields["reason"]
        for who, action in cluster.actions
        if who == node and isinstance(action, Record) and action.event == "config.refused"
    }


def has(cluster: Cluster, name: str) -> list[int]:
    return [node for node, units in sorted(cluster.units.items()) if name in units]


def moving(broken: str = "", slow: str = "") -> Cluster:
    """Return a cluster whose configuration has just moved the disk from web to mail."""
    cluster = formed(spec=both((disk, app), (log,)))
    assert (cluster.service().owner, mail(cluster).owner) == (N1, N2)
    cluster.broken_stops |= {(N1, broken)} if broken else set()
    cluster.slow |= {slow} if slow else set()
    load(cluster, both((app,), (disk, log), 2))
    return cluster


def test_what_moves_to_another_service_stops_in_the_one_before_it_starts_in_the_other() -> None:
    cluster = moving(slow="disk")

    assert has(cluster, "disk") == [N1]
    assert mail(cluster).state is ServiceState.STARTED, "what it has already runs on meanwhile"
    assert why(cluster) == "its new tree is waiting for web to let go of device /dev/x"

    cluster.hurry()

    assert has(cluster, "disk") == [N2]
    assert why(cluster) is None
    assert has(cluster, "log") == [N2]


def test_what_is_not_let_go_of_is_started_nowhere_else() -> None:
    cluster = moving(broken="disk")
    cluster.run(60_000)

    assert cluster.service().state is ServiceState.FAILED
    assert has(cluster, "disk") == [N1]
    assert "web" in (why(cluster) or "")


def test_the_end_of_the_node_that_held_it_frees_it() -> None:
    cluster = moving(broken="disk")
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.run(60_000)

    assert has(cluster, "disk") == [N2]


def test_a_frozen_service_keeps_what_the_configuration_gives_away() -> None:
    cluster = formed(spec=both((disk, app), (log,)))
    cluster.ask(N1, Verb.FREEZE)
    load(cluster, both((app,), (disk, log), 2))
    assert has(cluster, "disk") == [N1]

    cluster.ask(N1, Verb.UNFREEZE)

    assert has(cluster, "disk") == [N2]


@pytest.mark.parametrize("stop", ["slow", "broken"])
def test_a_renamed_service_starts_when_the_old_one_is_down(stop: str) -> None:
    cluster = formed(spec=only(WEB, 1))
    if stop == "slow":
        cluster.slow.add("disk")
    else:
        cluster.broken_stops.add((N1, "disk"))
    load(cluster, only(MAIL, 2))
    cluster.run(30_000)

    assert has(cluster, "disk") == [N1]
    assert mail(cluster).state is ServiceState.STOPPED
    assert why(cluster) == "waiting for web to let go of device /dev/x"

    cluster.broken_stops.clear()
    cluster.hurry() if stop == "slow" else cluster.ask(N2, Verb.DISABLE)

    assert mail(cluster).state is ServiceState.STARTED
    assert has(cluster, "disk") == [mail(cluster).owner]


def test_what_two_services_swap_stops_in_both_before_it_starts_again() -> None:
    cluster = formed(spec=both((disk, app), (vip, log)))
    load(cluster, both((vip, app), (disk, log), 2))
    cluster.run(30_000)

    assert cluster.service().state is mail(cluster).state is ServiceState.STARTED
    assert has(cluster, "disk") == [mail(cluster).owner]
    assert has(cluster, "vip") == [cluster.service().owner]


def test_who_waits_for_what_another_one_has_is_not_moved_meanwhile() -> None:
    cluster = moving(broken="disk")
    number = len(cluster.actions)
    cluster.view(N1, N2, N3)
    cluster.run(30_000)

    assert mail(cluster).owner == N2
    assert has(cluster, "log") == [N2]
    assert not [a for _, a in cluster.actions[number:] if getattr(a, "service", "") == MAIL]


def test_what_a_node_may_run_unseen_is_given_to_nobody_before_it_is_proven_down() -> None:
    cluster = formed(spec=both((disk, app), (log,)), auto_fence=False)
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.boot(N2, N3)
    cluster.view(N2, N3)
    load(cluster, both((app,), (disk, log), 2))
    cluster.run(30_000)

    assert has(cluster, "disk") == [N1]
    assert cluster.states[N2].cluster.spec.version == 1
    reason = "it gives to others what web may have up on nodes that are not down: node1"
    assert refusals(cluster, N2) == {reason}

    node, order = cluster.took(FenceNode)[-1]
    assert isinstance(order, FenceNode)
    cluster.feed(node, cluster.fence_result(order))
    cluster.settle()

    assert cluster.states[N2].cluster.spec.version == 2
    assert has(cluster, "disk") == [mail(cluster).owner]


def test_a_unit_that_every_node_has_is_waited_for_by_nobody() -> None:
    cluster = formed(spec=both((app,), (log,)))
    cluster.slow.add("app")
    load(cluster, both((resource("other"),), (log, resource("more", parameters=app.parameters)), 2))

    assert has(cluster, "more") == [N2]


def test_what_moves_is_started_only_when_no_other_state_can_win() -> None:
    """Node2 may go on with the old configuration, and node1 have to give the disk back to web."""
    old, new = on_one_node()
    two = {n: node for n, node in old.nodes.items() if n != N3}
    cluster = formed(spec=replace(old, nodes=two), auto_fence=False)
    cluster.kill(N2)
    cluster.view(N1, quorate=True)
    cluster.run(10_000)
    node, order = cluster.took(FenceNode)[-1]
    load(cluster, replace(new, nodes=two))
    assert cluster.states[N1].cluster.spec.version == 1
    reason = "it gives what one service has to another, and node2 may go on without it"
    assert refusals(cluster, N1) == {reason}

    assert isinstance(order, FenceNode)
    cluster.feed(node, cluster.fence_result(order))
    cluster.settle()

    assert has(cluster, "disk") == [N1]


def test_what_moves_is_started_only_when_a_majority_has_its_configuration_on_disk() -> None:
    """Node1 may be cut off, and the others go on without having heard of it."""
    old, new = on_one_node()
    cluster = formed(spec=old)
    cluster.full |= {N2, N3}

    load(cluster, new)
    assert has(cluster, "disk") == []

    cluster.full.clear()
    for node in (N2, N3):
        agreed = cluster.states[node].cluster
        cluster.feed(node, StateSaved(agreed.epoch, agreed.applied))
    cluster.settle()

    assert has(cluster, "disk") == [N1]
