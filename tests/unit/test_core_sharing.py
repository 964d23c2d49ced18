# SPDX-License-Identifier: Apache-2.0
"""A resource that several services use: started by the first, stopped by the last, on one node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import ServiceName, Terms, Tie
from rgmgr.core.actions import Answer, StartResource, StopResource
from rgmgr.core.events import (
    ConfigLoaded,
    ProbeFinished,
    QuorumChanged,
    Requested,
    ResourceFailed,
    ServiceProbed,
    ViewChanged,
)
from rgmgr.core.machine import begin
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import RingId, Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.sharing import exists_once, places
from rgmgr.core.spec import ClusterSpec, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec

DB = ServiceName("db")


def unit(name: str, *children: ResourceSpec) -> ResourceSpec:
    parameters = {"unit": f"{name}.service"}
    return ResourceSpec(
        name=ResourceName(name), type="systemd", parameters=parameters, children=children
    )


def data(*children: ResourceSpec, fstype: str = "xfs") -> ResourceSpec:
    parameters = {"device": "/dev/vg0/data", "mountpoint": "/srv", "fstype": fstype}
    return ResourceSpec(
        name=ResourceName("data"), type="fs", parameters=parameters, children=children,
        is_shared=True,
    )  # fmt: skip


def service(name: str, *tree: ResourceSpec, **changes: object) -> ServiceSpec:
    made = ServiceSpec(name=ServiceName(name), domain="prefer", resources=tree)
    return replace(made, **changes)  # type: ignore[arg-type]


TIED = {"depend": (DB,), "terms": Terms(together=(Tie(DB),))}
SHARING = (service("db", data(unit("postgres"))), service("web", data(unit("nginx")), **TIED))


def record(cluster: Cluster, name: ServiceName) -> Service:
    return cluster.states[N2].cluster.services[name]


def ask(cluster: Cluster, verb: Verb, name: ServiceName, **more: object) -> Answer | None:
    number = len(cluster.actions) + 1
    request = Request(number=number, verb=verb, service=name, **more)  # type: ignore[arg-type]
    cluster.feed(N2, Requested(request))
    cluster.settle()
    reply = cluster.reply(N2, number)
    return reply.answer if reply else None


def deeds(cluster: Cluster) -> list[str]:
    """Return what was started, stopped, and only let go of (~), in order."""
    found = []
    for _, action in cluster.actions:
        if isinstance(action, StartResource):
            found.append(f"+{action.service}/{action.resource.name}")
        elif isinstance(action, StopResource):
            found.append(f"{'~' if action.is_kept else '-'}{action.service}/{action.resource.name}")
    return found


def running(*services: ServiceSpec) -> Cluster:
    cluster = formed(spec=spec(*(services or SHARING)))
    assert [s.owner for s in cluster.states[N2].cluster.services.values()] == [N1] * 2
    del cluster.actions[:]
    return cluster


def test_the_last_one_that_uses_it_stops_it() -> None:
    cluster = running()

    assert ask(cluster, Verb.DISABLE, WEB) is Answer.DONE
    assert deeds(cluster) == ["-web/nginx", "~web/data"]
    assert ask(cluster, Verb.DISABLE, DB) is Answer.DONE
    assert deeds(cluster)[2:] == ["-db/postgres", "-db/data"]


def test_a_daemon_that_begins_without_quorum_knows_who_uses_it_before_it_stops_it() -> None:
    """It looks at one service after the other, and must stop what it has found at once."""
    cluster = running()
    boot_id = cluster.states[N1].local.boot_id
    cluster.kill(N1)
    begun = begin(me=N1, incarnation=9, boot_id=boot_id, spec=cluster.spec, saved=cluster.disks[N1])
    cluster.states[N1] = begun
    ring = RingId(N1, 100)
    cluster.feed(N1, ViewChanged(ring=ring, ring_nodes=(N1,), members=(N1,)))
    cluster.feed(N1, QuorumChanged(ring, is_quorate=False))
    for sharer in SHARING:
        active = tuple(resource.name for resource in start_order(sharer))
        cluster.feed(N1, ServiceProbed(service=sharer.name, active=active))
        cluster.settle((N1,))
    assert deeds(cluster) == ["-db/postgres", "-web/nginx"]

    cluster.feed(N1, ProbeFinished())
    cluster.settle((N1,))

    assert sorted(deeds(cluster)[2:]) == ["-db/data", "-web/data"]


def test_the_leader_takes_its_company_along_and_nothing_is_on_two_nodes() -> None:
    cluster = running()

    assert ask(cluster, Verb.RELOCATE, DB, target=N3) is Answer.DONE
    cluster.settle()

    assert deeds(cluster) == [
        *("-web/nginx", "~web/data", "-db/postgres", "-db/data"),
        *("+db/data", "+db/postgres", "+web/data", "+web/nginx"),
    ]
    assert (record(cluster, DB).owner, record(cluster, WEB).owner) == (N3, N3)


def test_what_is_held_by_a_stop_that_failed_keeps_the_others_there() -> None:
    """Promise 1 holds for the file system, too, whichever service has it mounted."""
    cluster = running()
    cluster.broken_stops.add((N1, "nginx"))

    ask(cluster, Verb.STOP, WEB)
    assert record(cluster, WEB).state is ServiceState.FAILED
    assert ask(cluster, Verb.RELOCATE, DB, target=N3) is Answer.NOT_ALLOWED
    cluster.settle()

    assert record(cluster, DB).owner == N1
    assert not [n for n, a in cluster.actions if isinstance(a, StartResource) and n != N1]


def test_a_service_that_waits_for_what_another_one_holds_says_so() -> None:
    cluster = running()
    cluster.broken_stops.add((N1, "nginx"))
    ask(cluster, Verb.STOP, WEB)
    cluster.broken_starts.add((N1, "postgres"))
    event = ResourceFailed(service=DB, resource=ResourceName("postgres"), reason="exit")
    cluster.local.append((N1, event))
    cluster.settle()

    words = because(cluster.states[N2].cluster, DB) or ""

    assert "node2: what it shares with web is elsewhere" in words
    assert record(cluster, DB).owner is None


def test_a_failure_of_what_is_shared_stops_both_and_starts_both() -> None:
    cluster = running()
    cluster.units[N1].discard("data")
    for name in (DB, WEB):
        event = ResourceFailed(service=name, resource=ResourceName("data"), reason="gone")
        cluster.local.append((N1, event))
    cluster.settle()

    done = deeds(cluster)
    assert done.index("-web/nginx") < done.index("+db/data") < done.index("+web/data")
    assert {record(cluster, n).state for n in (DB, WEB)} == {ServiceState.STARTED}
    assert "data" in cluster.units[N1]


def test_what_is_on_every_node_is_counted_on_each() -> None:
    """A unit of the node is no promise to any other node: no ties, no waiting."""
    agent = replace(unit("agent"), is_shared=True)
    cluster = running(service("db", agent, unit("postgres")), service("web", agent, unit("nginx")))

    assert ask(cluster, Verb.RELOCATE, DB, target=N3) is Answer.DONE

    assert deeds(cluster) == ["-db/postgres", "~db/agent", "+db/agent", "+db/postgres"]
    assert (record(cluster, DB).owner, record(cluster, WEB).owner) == (N3, N1)


def changed(old: ClusterSpec, *services: ServiceSpec) -> ClusterSpec:
    return replace(old, version=old.version + 1, digest="d2", services=services)


def load(cluster: Cluster, new: ClusterSpec) -> None:
    for node in (N1, N2, N3):
        cluster.feed(node, ConfigLoaded(new))
    cluster.settle()


def redefined(device: str, *sharing: ServiceSpec) -> list[ServiceSpec]:
    """Return the services with their file system on another device."""
    other = replace(data(), parameters={**data().parameters, "device": device})
    trees = [replace(other, children=s.resources[0].children) for s in sharing or SHARING]
    return [replace(s, resources=(t,)) for s, t in zip(sharing or SHARING, trees, strict=True)]


def test_another_definition_goes_down_for_all_before_it_comes_up() -> None:
    cluster = running()
    load(cluster, changed(cluster.spec, *redefined("/dev/vg0/other")))

    done = deeds(cluster)
    assert done.count("-db/data") + done.count("-web/data") >= 1
    last_stop = max(i for i, d in enumerate(done) if d in ("-db/postgres", "-web/nginx"))
    assert last_stop < min(i for i, d in enumerate(done) if d[0] == "+")
    assert {record(cluster, n).state for n in (DB, WEB)} == {ServiceState.STARTED}


def test_a_definition_that_changes_back_waits_until_all_have_the_first() -> None:
    """Who is on the way to the first one waits for the others to leave the one before it."""
    sharing = (service("db", data()), SHARING[1])
    cluster = running(*sharing)
    cluster.slow = {"nginx"}
    first = changed(cluster.spec, *redefined("/dev/vg0/other", *sharing))
    load(cluster, first)
    load(cluster, changed(first, *sharing))

    cluster.hurry()

    for name in (DB, WEB):
        assert record(cluster, name).former == ()
        assert record(cluster, name).spec.resources[0].parameters == data().parameters
    assert cluster.units[N1] == {"data", "nginx"}


def test_what_begins_to_share_starts_where_the_other_one_is() -> None:
    """Mounted at once where it runs, the file system would be on two nodes."""
    apart = (SHARING[0], service("web", unit("nginx")))
    cluster = running(*apart)
    ask(cluster, Verb.RELOCATE, WEB, target=N3)
    del cluster.actions[:]

    load(cluster, changed(cluster.spec, *SHARING))

    assert {n for n, a in cluster.actions if isinstance(a, StartResource)} == {N1}
    assert (record(cluster, DB).owner, record(cluster, WEB).owner) == (N1, N1)


@pytest.mark.parametrize(
    ("resource", "is_once"),
    [(data(), True), (data(fstype="gfs2"), False), (unit("agent"), False)],
)
def test_a_file_system_of_one_node_exists_once(resource: ResourceSpec, *, is_once: bool) -> None:
    assert exists_once(resource) is is_once


def test_all_of_a_lost_node_come_back_together() -> None:
    cluster = running()
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert deeds(cluster) == ["+db/data", "+db/postgres", "+web/data", "+web/nginx"]
    assert {record(cluster, name).owner for name in (DB, WEB)} == {N2}


def test_one_that_waits_holds_no_node_wherever_it_is_to_go() -> None:
    """Others could not have the node that it wants, and it would wait for itself."""
    cluster = formed().states[N2].cluster
    waiting = replace(cluster.services[WEB], owner=None, target=N3, state=ServiceState.RECOVERING)

    assert places(cluster, waiting) == ()
