# SPDX-License-Identifier: Apache-2.0
"""Every state of a service meets every event: what comes of it is the table of docs/services.md.

The table is read from the page, so page and core cannot part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from domains.model import NodeId
from rgmgr.core import awaiting, failback, maintenance, recovery, requests, retrying
from rgmgr.core.actions import Answer
from rgmgr.core.invariants import check_cluster
from rgmgr.core.ledger import Ledger
from rgmgr.core.membership import new_chance, with_spec
from rgmgr.core.messages import (
    AwaitOver,
    Body,
    ConfigProposed,
    FailbackDue,
    FenceDue,
    FenceFailed,
    FenceRequest,
    Goodbye,
    GraceExpired,
    HealthSettled,
    JoinDelayOver,
    Leaving,
    LinksSeen,
    MaintenanceOrder,
    MaintenanceRequest,
    NodeFenced,
    PathsTested,
    PowerRestored,
    Reached,
    Request,
    RetryDue,
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStayed,
    ServiceStopFailed,
    ServiceStopped,
    TermOver,
    Verb,
)
from rgmgr.core.model import (
    After,
    ClusterState,
    NodeStatus,
    Proof,
    ProofKind,
    Service,
    ServiceState,
)
from rgmgr.core.settle import settle
from rgmgr.core.stop_failures import stop_failed
from tests.unit.core_cluster import N1, N2, N3, WEB, formed

PAGE = Path(__file__).parents[2] / "docs" / "services.md"
NOTHING = "–"  # noqa: RUF001  # as it is printed
OWNED = (
    ServiceState.STARTING,
    ServiceState.STARTED,
    ServiceState.STOPPING,
    ServiceState.RECOVERABLE,
)
BASE = formed().states[N2].cluster


def record(state: ServiceState) -> Service:
    """Return a service in a state, as it comes to stay in it."""
    last = BASE.services[WEB]
    owner = N1 if state in OWNED else None
    plain = replace(last, state=state, owner=owner, last_owner=N1)
    match state:
        case ServiceState.STOPPED:
            return replace(plain, is_held=True)
        case ServiceState.STOPPING:
            return replace(plain, after=After.STOP)
        case ServiceState.RECOVERABLE:
            return replace(plain, after=After.RECOVER, fault="killed")
        case ServiceState.RECOVERING:
            return replace(plain, cleanup=(N3,))  # else it starts at once
        case ServiceState.FAILED:
            return replace(plain, fault="busy")
        case _:
            return plain


def asked(verb: Verb) -> Callable[[Ledger, Service], str]:
    def ask(ledger: Ledger, service: Service) -> str:
        verdict = requests.apply(ledger, Request(number=1, verb=verb, service=service.spec.name))
        if verdict.answer is None or verdict.answer is Answer.DONE:
            return ""
        return f"({verdict.answer.name.lower().replace('_', ' ')})"

    return ask


def told(kind: type, **more: str) -> Callable[[Ledger, Service], str]:
    handlers: dict[type, Callable[..., None]] = {
        ServiceStarted: recovery.started,
        ServiceStartFailed: recovery.start_failed,
        ServiceFailed: recovery.failed,
        ServiceStopFailed: stop_failed,
        ServiceStayed: recovery.stayed,
    }

    def tell(ledger: Ledger, service: Service) -> str:
        body = kind(service=WEB, op=service.op, **more)
        if kind is ServiceStopped:
            recovery.stopped(ledger, N1, body, ledger.state.epoch)
        else:
            handlers[kind](ledger, N1, body)
        return ""

    return tell


def owner_is_proven_down(ledger: Ledger, _service: Service) -> str:
    proof = Proof(kind=ProofKind.FENCED, at_ms=1, by=N2)
    node = replace(ledger.state.nodes[N1], status=NodeStatus.FENCED, proof=proof)
    ledger.put_node(N1, node)
    recovery.release(ledger, N1, ledger.state.epoch)
    return ""


def owner_is_shut_down(ledger: Ledger, _service: Service) -> str:
    ledger.put_node(N1, replace(ledger.state.nodes[N1], status=NodeStatus.LEAVING))
    return ""


def membership_changes(ledger: Ledger, _service: Service) -> str:
    new_chance(ledger)
    return ""


def it_is_not_configured_any_more(ledger: Ledger, _service: Service) -> str:
    ledger.state = with_spec(ledger.state, replace(ledger.state.spec, services=()))
    return ""


def wait_is_over(ledger: Ledger, _service: Service) -> str:
    awaiting.over(ledger, AwaitOver(service=WEB, until_ms=0))
    return ""


def pause_is_over(ledger: Ledger, service: Service) -> str:
    retrying.due(ledger, RetryDue(service=WEB, rounds=service.rounds))
    return ""


def it_may_go_back(ledger: Ledger, _service: Service) -> str:
    failback.due(ledger, FailbackDue(service=WEB, owner=N1, since_ms=0))
    return ""


def ordered(order: MaintenanceOrder, node: NodeId | None) -> Callable[[Ledger, Service], str]:
    def give(ledger: Ledger, _service: Service) -> str:
        request = MaintenanceRequest(number=1, order=order, by="bob", node=node, for_ms=9_000)
        assert maintenance.apply(ledger, N2, request).answer is None
        return ""

    return give


EVENTS: dict[str, Callable[[Ledger, Service], str]] = {
    **{verb.value: asked(verb) for verb in Verb},
    "its owner: it is up": told(ServiceStarted),
    "its owner: it does not start": told(ServiceStartFailed, reason="no"),
    "its owner: it failed": told(ServiceFailed, reason="killed"),
    "its owner: it is down": told(ServiceStopped),
    "its owner: it does not stop": told(ServiceStopFailed, reason="busy"),
    "its owner: it was not migrated": told(ServiceStayed, reason="no route"),
    "its owner is proven down": owner_is_proven_down,
    "its owner is shut down": owner_is_shut_down,
    "its node is put in standby": ordered(MaintenanceOrder.STANDBY, N1),
    "the cluster is locked": ordered(MaintenanceOrder.LOCK, None),
    "the cluster is disarmed": ordered(MaintenanceOrder.DISARM, None),
    "its wait for a node is over": wait_is_over,
    "its pause is over": pause_is_over,
    "it may go back": it_may_go_back,
    "the membership changes": membership_changes,
    "it is not configured any more": it_is_not_configured_any_more,
}


NOT_ABOUT_ONE_SERVICE = ""
EVENT_BY_BODY: dict[type, str] = {
    Request: "enable",  # and every other verb
    ServiceStarted: "its owner: it is up",
    ServiceStartFailed: "its owner: it does not start",
    ServiceStopped: "its owner: it is down",
    ServiceStopFailed: "its owner: it does not stop",
    ServiceStayed: "its owner: it was not migrated",
    ServiceFailed: "its owner: it failed",
    NodeFenced: "its owner is proven down",
    Leaving: "its owner is shut down",
    Goodbye: "the membership changes",
    ConfigProposed: "it is not configured any more",
    MaintenanceRequest: "its node is put in standby",
    TermOver: "the membership changes",  # for its domains the node has joined
    AwaitOver: "its wait for a node is over",
    RetryDue: "its pause is over",
    FailbackDue: "it may go back",
    Reached: NOT_ABOUT_ONE_SERVICE,  # placement asks what it left in the records of nodes
    HealthSettled: NOT_ABOUT_ONE_SERVICE,  # likewise
    FenceDue: NOT_ABOUT_ONE_SERVICE,  # of a node that is unclean already
    FenceFailed: NOT_ABOUT_ONE_SERVICE,
    FenceRequest: NOT_ABOUT_ONE_SERVICE,  # its proof is: NodeFenced
    GraceExpired: NOT_ABOUT_ONE_SERVICE,
    LinksSeen: NOT_ABOUT_ONE_SERVICE,
    JoinDelayOver: NOT_ABOUT_ONE_SERVICE,
    PowerRestored: NOT_ABOUT_ONE_SERVICE,
    PathsTested: NOT_ABOUT_ONE_SERVICE,
}
"""What each kind of agreed message is in the table."""


FLAGS = (Verb.FREEZE.value, Verb.UNFREEZE.value)


def outcome(state: ServiceState, event: str) -> tuple[str, ClusterState]:
    """Return what comes of an event, as the table says it, and the state after it."""
    service = record(state)
    ledger = Ledger(replace(BASE, services={WEB: service}))
    refusal = EVENTS[event](ledger, service)
    settle(ledger)
    after = ledger.state.services.get(WEB)
    if refusal:
        assert after == service, "a refused request changes nothing"
        return refusal, ledger.state
    if after is None:
        return "forgotten", ledger.state
    is_same = (after.state, after.op) == (service.state, service.op) or event in FLAGS
    words = NOTHING if after.state is state and is_same else after.state.value
    return f"{words}, frozen" if after.frozen else words, ledger.state


def printed() -> dict[str, dict[str, str]]:
    """Return the table of the page: cell by event and state."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## States and what changes them")[2]
    rows = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    cells = [[cell.strip(" `*") for cell in row.split("|")] for row in rows]
    head = next(i for i, row in enumerate(cells) if row[1:] == [s.value for s in ServiceState])
    return {
        row[0]: dict(zip(cells[head][1:], row[1:], strict=True))
        for row in cells[head + 1 : head + 1 + len(EVENTS)]
    }


def test_every_kind_of_agreed_message_and_every_verb_is_an_event() -> None:
    """Fails when a new one is added and nobody has said what it does in each state."""
    assert set(EVENT_BY_BODY) == set(get_args(Body))
    assert {word for word in EVENT_BY_BODY.values() if word} <= set(EVENTS)
    assert {verb.value for verb in Verb} <= set(EVENTS)


def test_every_pair_of_state_and_event_has_its_cell() -> None:
    assert {event: set(cells) for event, cells in printed().items()} == {
        event: {state.value for state in ServiceState} for event in EVENTS
    }


def test_the_page_has_every_event_and_no_other() -> None:
    assert list(printed()) == list(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", ServiceState)
def test_what_comes_of_it_is_what_the_page_says(state: ServiceState, event: str) -> None:
    found, after = outcome(state, event)

    assert printed()[event][state.value] == found
    assert check_cluster(after) == ()
