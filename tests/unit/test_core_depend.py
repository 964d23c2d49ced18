# SPDX-License-Identifier: Apache-2.0
"""Services that need others: order at start and stop, and each restarted once at most."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Answer, StartResource, StopResource
from rgmgr.core.depend import must_go_first
from rgmgr.core.events import ConfigLoaded, Requested, ResourceFailed, Shutdown, ShutdownRequested
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import (
    ClusterSpec,
    DependMode,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
    TakeoverMode,
)
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

DB = ServiceName("db")


def database(**changes: object) -> ServiceSpec:
    unit = ResourceSpec(
        name=ResourceName("postgres"), type="systemd", parameters={"unit": "postgres.service"}
    )
    return replace(ServiceSpec(name=DB, domain="prefer", resources=(unit,)), **changes)  # type: ignore[arg-type]


def pair(mode: DependMode = DependMode.HARD, **changes: object) -> ClusterSpec:
    """Return web, which needs db; web stands first in the configuration."""
    return spec(web(depend=(DB,), depend_mode=mode), database(**changes))


def both(**changes: object) -> Cluster:
    """Return three nodes with both services on node1."""
    cluster = formed(spec=pair(**changes))  # type: ignore[arg-type]
    assert owners(cluster) == (N1, N1)
    del cluster.actions[:]
    return cluster


def record(cluster: Cluster, name: ServiceName) -> Service:
    return cluster.states[N2].cluster.services[name]


def owners(cluster: Cluster) -> tuple[object, object]:
    return record(cluster, WEB).owner, record(cluster, DB).owner


def ask(cluster: Cluster, verb: Verb, service: ServiceName = DB, **more: object) -> Answer | None:
    number = len(cluster.actions) + 1
    request = Request(number=number, verb=verb, service=service, **more)  # type: ignore[arg-type]
    cluster.feed(N2, Requested(request))
    cluster.settle()
    reply = cluster.reply(N2, number)
    return reply.answer if reply else None


def deeds(cluster: Cluster) -> list[str]:
    """Return what was started and stopped, in order."""
    return [
        f"{'+' if isinstance(action, StartResource) else '-'}{action.resource.name}"
        for _, action in cluster.actions
        if isinstance(action, StartResource | StopResource)
    ]


def why(cluster: Cluster, name: ServiceName = WEB) -> str | None:
    return because(cluster.states[N2].cluster, name)


def test_what_is_needed_starts_first_wherever_it_stands_in_the_configuration() -> None:
    cluster = formed(spec=pair())

    assert deeds(cluster) == ["+postgres", "+vip", "+nginx"]


def test_a_dependent_waits_and_says_for_what() -> None:
    cluster = formed(spec=pair(autostart=False))

    assert record(cluster, WEB).state is ServiceState.STOPPED
    assert why(cluster) == "waiting for db, which is disabled"


def test_a_dependent_starts_by_itself_once_what_it_needs_is_enabled() -> None:
    cluster = formed(spec=pair(autostart=False))

    assert ask(cluster, Verb.ENABLE) is Answer.DONE
    cluster.settle()

    assert record(cluster, WEB).state is ServiceState.STARTED


def test_to_enable_what_cannot_start_before_something_else_is_refused() -> None:
    cluster = formed(spec=pair(autostart=False))
    ask(cluster, Verb.DISABLE, WEB)

    assert ask(cluster, Verb.ENABLE, WEB) is Answer.NOT_ALLOWED
    assert record(cluster, WEB).state is ServiceState.DISABLED


@pytest.mark.parametrize("verb", [Verb.DISABLE, Verb.STOP])
def test_the_dependent_is_down_before_what_it_needs_is_stopped(verb: Verb) -> None:
    """rgmanager stopped it after the fact."""
    cluster = both()

    assert ask(cluster, verb) is Answer.DONE

    assert deeds(cluster) == ["-nginx", "-vip", "-postgres"]
    assert record(cluster, WEB).state is ServiceState.STOPPED


def test_a_dependent_is_restarted_once_when_what_it_needs_moves() -> None:
    cluster = both()

    assert ask(cluster, Verb.RELOCATE, target=N3) is Answer.DONE
    cluster.settle()

    assert deeds(cluster) == ["-nginx", "-vip", "-postgres", "+postgres", "+vip", "+nginx"]
    assert record(cluster, DB).owner == N3


def test_both_of_a_lost_node_start_once_and_in_order() -> None:
    cluster = both()
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert deeds(cluster) == ["+postgres", "+vip", "+nginx"]
    assert owners(cluster) == (N2, N2)


def test_what_has_failed_does_not_wait_for_its_dependents() -> None:
    cluster = both()
    failure = ResourceFailed(service=DB, resource=ResourceName("postgres"), reason="killed")
    cluster.feed(N1, failure)
    cluster.settle()

    assert deeds(cluster).index("-postgres") < deeds(cluster).index("-vip")
    assert deeds(cluster)[-3:] == ["+postgres", "+vip", "+nginx"]
    assert record(cluster, WEB).state is ServiceState.STARTED


def test_a_soft_dependent_goes_on() -> None:
    cluster = both(mode=DependMode.SOFT)

    ask(cluster, Verb.DISABLE)

    assert deeds(cluster) == ["-postgres"]
    assert record(cluster, WEB).state is ServiceState.STARTED


def test_a_soft_dependent_needs_it_to_start_again() -> None:
    cluster = both(mode=DependMode.SOFT)
    ask(cluster, Verb.DISABLE)
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert record(cluster, WEB).state is ServiceState.STOPPED
    assert why(cluster) == "waiting for db, which is disabled"


def test_a_node_that_is_shut_down_stops_them_in_order_and_they_go_on_elsewhere() -> None:
    cluster = both(mode=DependMode.SOFT)

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert deeds(cluster) == ["-nginx", "-vip", "-postgres", "+postgres", "+vip", "+nginx"]
    assert owners(cluster) == (N2, N2)


def test_a_dependent_that_does_not_stop_holds_nothing_up() -> None:
    cluster = formed(spec=pair(), broken_stops={(N1, "nginx")})

    ask(cluster, Verb.DISABLE)

    assert record(cluster, WEB).state is ServiceState.FAILED
    assert record(cluster, DB).state is ServiceState.DISABLED


def test_a_frozen_dependent_is_not_stopped_and_not_waited_for() -> None:
    cluster = both()
    ask(cluster, Verb.FREEZE, WEB)

    ask(cluster, Verb.DISABLE)

    assert deeds(cluster) == ["-postgres"]
    assert record(cluster, WEB).state is ServiceState.STARTED


def test_a_chain_stops_from_its_end() -> None:
    mail = ServiceName("mail")
    unit = ResourceSpec(name=ResourceName("exim"), type="systemd", parameters={"unit": "x.service"})
    chain = spec(
        ServiceSpec(name=mail, domain="prefer", resources=(unit,), depend=(WEB,)),
        web(depend=(DB,)),
        database(),
    )
    cluster = formed(spec=chain)
    del cluster.actions[:]

    ask(cluster, Verb.DISABLE)

    assert deeds(cluster) == ["-exim", "-nginx", "-vip", "-postgres"]
    assert why(cluster, mail) == "waiting for web, which is stopped"


def test_those_that_are_removed_together_stop_in_order() -> None:
    cluster = both()
    rest = ServiceSpec(name=ServiceName("mail"), domain="prefer", resources=database().resources)
    cluster.feed(N2, ConfigLoaded(replace(spec(rest), version=2, digest="d2")))
    cluster.settle()

    assert [deed for deed in deeds(cluster) if deed[0] == "-"] == ["-nginx", "-vip", "-postgres"]


def test_what_runs_on_a_node_that_is_lost_is_not_relied_on() -> None:
    cluster = formed(spec=pair(), auto_fence=False)
    ask(cluster, Verb.RELOCATE, WEB, target=N3)
    ask(cluster, Verb.STOP, WEB)
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert record(cluster, WEB).state is ServiceState.STOPPED
    assert why(cluster) == "waiting for db, which is on node1, which is unclean"


def test_what_an_unknown_node_is_said_to_have_holds_no_stop_up() -> None:
    """Such a record breaks an invariant; that it can be shown helps whoever asks why."""
    cluster = formed(spec=pair()).states[N1].cluster
    db, user = (cluster.services[name] for name in (DB, WEB))
    stopping = replace(db, state=ServiceState.STOPPING)
    stray = replace(user, state=ServiceState.STOPPING, owner=NodeId(9))
    services = {**cluster.services, DB: stopping, WEB: stray}

    assert must_go_first(replace(cluster, services=services), stopping) == ()


def test_nothing_starts_on_the_strength_of_what_is_just_being_stopped() -> None:
    """Node1 has db and mail; web, on node3, needs db; mail, which is freed, needs web to start."""
    mail = ServiceName("mail")
    unit = ResourceSpec(name=ResourceName("exim"), type="systemd", parameters={"unit": "x.service"})
    soft = ServiceSpec(
        name=mail, domain="prefer", resources=(unit,), depend=(WEB,), depend_mode=DependMode.SOFT
    )
    db = database(takeover=TakeoverMode.CONFIRM)
    cluster = formed(spec=spec(soft, web(depend=(DB,)), db))
    ask(cluster, Verb.RELOCATE, WEB, target=N3)
    del cluster.actions[:]

    cluster.kill(N1)
    cluster.view(N2, N3)

    assert deeds(cluster) == ["-nginx", "-vip"]
    assert why(cluster, mail) == "waiting for web, which is stopped"
