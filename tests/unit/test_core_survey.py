# SPDX-License-Identifier: Apache-2.0
"""What is remembered of agreed states is what one would find by looking at all services."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from domains.model import NodeId, ServiceName
from rgmgr.core.evolve import changed
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import ClusterState, Service, ServiceState
from rgmgr.core.survey import changed_services, in_order, note_difference, restless
from tests.unit.core_cluster import N1, formed, spec, web

NAMES = tuple(ServiceName(f"s{number}") for number in range(6))


def agreed() -> ClusterState:
    """Six services that run."""
    return formed(spec=spec(*(web(name=name) for name in NAMES))).states[N1].cluster


def looked_at(cluster: ClusterState) -> frozenset[ServiceName]:
    """Return the restless services of a state that nothing is remembered of."""
    return restless(replace(cluster, services=dict(cluster.services)))


def with_changes(cluster: ClusterState, *services: Service) -> ClusterState:
    """Return the state that an event makes which puts these records."""
    ledger = Ledger(cluster)
    for service in services:
        ledger.put(service)
    note_difference(ledger)
    return ledger.state


def story() -> list[ClusterState]:
    """One state after the other, as services stop, are gone, wait for each other and run."""
    states = [agreed()]
    for name, state in (
        (NAMES[2], ServiceState.STOPPING),
        (NAMES[0], ServiceState.RECOVERING),
        (NAMES[2], ServiceState.STOPPED),
        (NAMES[2], ServiceState.STARTED),
        (NAMES[0], ServiceState.STARTED),
    ):
        service = states[-1].services[name]
        states.append(with_changes(states[-1], replace(service, state=state)))
    ledger = Ledger(states[-1])
    ledger.drop(NAMES[3])
    ledger.put(replace(ledger.state.services[NAMES[1]], rounds=1))
    note_difference(ledger)
    return [*states, ledger.state]


def test_what_is_restless_follows_from_what_has_changed() -> None:
    states = story()

    assert [restless(now, before) for before, now in pairwise(states)] == [
        looked_at(now) for now in states[1:]
    ]
    assert {len(looked_at(state)) for state in states} == {0, 1, 2}


def test_what_an_event_has_changed_is_known_without_comparing() -> None:
    states = story()

    for before, now in pairwise(states):
        assert set(changed_services(before, now)) == set(changed(before.services, now.services))


def test_a_record_that_is_put_back_as_it_was_has_not_changed() -> None:
    cluster = agreed()
    service = cluster.services[NAMES[4]]
    ledger = Ledger(cluster)

    ledger.put(replace(service, state=ServiceState.FAILED))
    ledger.put(service)

    assert ledger.changed() == []


def test_an_event_leaves_the_state_before_it_alone() -> None:
    """However often it writes, it works on a copy of its own."""
    before = agreed()
    owners = {name: service.owner for name, service in before.services.items()}

    with_changes(before, *(replace(s, owner=NodeId(3)) for s in before.services.values()))

    assert {name: service.owner for name, service in before.services.items()} == owners


def test_names_come_in_the_order_of_the_state() -> None:
    services = agreed().services

    assert [*in_order({NAMES[5], NAMES[1], ServiceName("unknown")}, services)] == [
        NAMES[1],
        NAMES[5],
    ]
