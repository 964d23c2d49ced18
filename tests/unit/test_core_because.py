# SPDX-License-Identifier: Apache-2.0
"""What a service with an owner says while it waits; what is well says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import FailoverDomain, ServiceName
from rgmgr.core.messages import Verb
from rgmgr.core.model import After, ClusterState, Failback, Service, ServiceState, StandingOrder
from rgmgr.core.placement import because
from rgmgr.core.reasons import why_there
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from tests.unit.core_cluster import N1, N2, WEB, formed, spec, web

DB = ServiceName("db")
ORDER = StandingOrder(by="bob")


def state() -> ClusterState:
    """Return web on node1, which depends on db there; both are well."""
    unit = ResourceSpec(name=ResourceName("db"), type="systemd", parameters={"unit": "db.service"})
    needed = ServiceSpec(name=DB, domain="prefer", resources=(unit,))
    return formed(spec=spec(web(depend=(DB,)), needed)).states[N2].cluster


def changed(cluster: ClusterState, name: ServiceName, **changes: object) -> ClusterState:
    record: Service = replace(cluster.services[name], **changes)  # type: ignore[arg-type]
    return replace(cluster, services={**cluster.services, name: record})


def test_what_is_well_waits_for_nothing() -> None:
    assert [because(state(), name) for name in (WEB, DB)] == [None, None]
    assert because(replace(state(), disarmed=ORDER), WEB) is None


@pytest.mark.parametrize("moving", [ServiceState.STARTING, ServiceState.STOPPING])
def test_what_is_on_its_way_waits_for_nothing(moving: ServiceState) -> None:
    assert because(changed(state(), WEB, state=moving), WEB) is None


def test_a_frozen_service_that_runs_waits_to_be_unfrozen() -> None:
    cluster = formed()
    cluster.ask(N2, Verb.FREEZE)

    assert because(cluster.states[N2].cluster, WEB) == (
        "frozen by an administrator until it is unfrozen"
    )


def test_a_stop_says_which_other_stop_it_waits_for() -> None:
    both = changed(state(), WEB, state=ServiceState.STOPPING, after=After.SETTLE)

    stopping = changed(both, DB, state=ServiceState.STOPPING, after=After.DISABLE)
    failing = changed(both, DB, state=ServiceState.RECOVERABLE, after=After.RELOCATE)

    assert because(stopping, DB) == "its stop waits for that of web"
    assert because(failing, DB) == "its stop waits for that of web"
    assert because(both, WEB) is None


def test_a_recovery_without_a_known_fault_says_what_it_is() -> None:
    cluster = changed(state(), WEB, state=ServiceState.RECOVERABLE, after=After.RECOVER)

    assert because(cluster, WEB) == "recovering from: a failure"


def test_a_lock_keeps_a_service_on_a_node_in_standby() -> None:
    cluster = replace(state(), standby={N1: ORDER})

    assert because(replace(cluster, locked=ORDER), WEB) == (
        "stays on node1, which is in standby: services are locked by bob"
    )


def test_a_failback_that_is_put_off_says_where_and_when() -> None:
    domain = FailoverDomain(
        name="prefer", priorities={N2: 1, N1: 2}, ordered=True, failback_delay_ms=60_000
    )
    cluster = state()
    put_off = replace(
        cluster,
        spec=replace(cluster.spec, domains={"prefer": domain}),
        failbacks={WEB: Failback(N1, 5)},
    )

    assert because(put_off, WEB) == "goes back to node2 once it has been there for 60 s"
    assert why_there(put_off, WEB).startswith("stays where it is, though node2 is preferred")
