# SPDX-License-Identifier: Apache-2.0
"""How much one event may cost: calls are counted, for seconds depend on the machine.

A cluster has thousands of such events after a power cut; whoever makes one of them look at every
service for every service makes them too slow together.
"""

from __future__ import annotations

import sys
from types import FrameType

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import SaveState
from rgmgr.core.events import Delivered, Event
from rgmgr.core.local import State
from rgmgr.core.machine import step
from rgmgr.core.messages import Operation, ServiceFailed, Tick, Verb
from rgmgr.core.model import ServiceState
from rgmgr.core.spec import TakeoverMode
from tests.unit.core_cluster import N1, N2, N3, formed, spec, web

FEW, MANY = 20, 80
PER_SERVICE_MAX = 5
"""Calls for each service that one agreed event may cost; it was 2 when this was written."""


def state_with(services: int) -> State:
    many = [web(name=ServiceName(f"s{number}")) for number in range(services)]
    return formed(spec=spec(*many)).states[N1]


def calls(state: State, event: Event) -> int:
    """Count the Python functions that one step calls."""
    count = 0

    def note(_frame: FrameType, kind: str, _value: object) -> None:
        nonlocal count
        count += kind == "call"

    sys.setprofile(note)
    try:
        step(state, event, 1_000_000)
    finally:
        sys.setprofile(None)
    return count


def failure(state: State) -> Delivered:
    """Return the word of its owner that a service has failed."""
    service = next(s for s in state.cluster.services.values() if s.owner is not None)
    assert service.owner is not None
    node = state.cluster.nodes[service.owner]
    body = ServiceFailed(service=service.spec.name, op=service.op, reason="killed")
    operation = Operation(
        epoch=state.cluster.epoch,
        incarnation=node.incarnation,
        sequence=node.sequence + 1,
        first_epoch=state.cluster.epoch,
        at_ms=state.cluster.now_ms + 1,
        body=body,
    )
    return Delivered(sender=service.owner, message=operation)


def test_an_agreed_event_costs_no_more_than_a_little_for_each_service() -> None:
    few, many = state_with(FEW), state_with(MANY)

    cost = (calls(many, failure(many)) - calls(few, failure(few))) / (MANY - FEW)

    assert step(many, failure(many), 1_000_000).state.cluster is not many.cluster
    assert cost <= PER_SERVICE_MAX


def test_a_tick_of_another_member_costs_the_same_however_many_services_there_are() -> None:
    """An idle cluster hears six of them a second."""

    def cost(state: State) -> int:
        other = next(node for node in state.cluster.members() if node != N1)
        tick = Tick(
            incarnation=state.cluster.nodes[other].incarnation,
            count=1,
            epoch=state.cluster.epoch,
            applied=state.cluster.applied,
            config_version=1,
            config_digest="",
        )
        heard = Delivered(sender=NodeId(other), message=tick)
        return calls(step(state, heard, 1_000_000).state, heard)  # the first one told news

    assert cost(state_with(MANY)) == cost(state_with(FEW))


def saves_after_a_loss(services: int) -> int:
    many = [web(name=ServiceName(f"s{number}")) for number in range(services)]
    cluster = formed(spec=spec(*many))
    began = len(cluster.actions)
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert {s.owner for s in cluster.states[N2].cluster.services.values()} == {N2}
    return sum(n == N2 and isinstance(a, SaveState) for n, a in cluster.actions[began:])


def test_the_disk_is_not_asked_for_each_service_that_starts_elsewhere() -> None:
    assert saves_after_a_loss(12) == saves_after_a_loss(1)


def test_where_a_service_last_ran_is_on_disk_if_somebody_may_decide_about_it() -> None:
    asked = web(takeover=TakeoverMode.CONFIRM)
    cluster = formed(spec=spec(asked))

    assert cluster.disks[N2].services[asked.name].last_owner == N1


def test_a_service_that_is_not_started_by_itself_is_new_on_disk_until_somebody_enables_it() -> None:
    manual = web(autostart=False)
    cluster = formed(spec=spec(manual))
    assert cluster.disks[N2].services[manual.name].state is ServiceState.DISABLED

    cluster.ask(N1, Verb.ENABLE)

    assert not cluster.disks[N2].services[manual.name].is_new
