# SPDX-License-Identifier: Apache-2.0
"""Every state of a service meets every event: what comes of it is the table of docs/services.md.

The table is read from the page, so page and core cannot part.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.core import recovery, requests
from rgmgr.core.actions import Answer
from rgmgr.core.invariants import check_cluster
from rgmgr.core.ledger import Ledger
from rgmgr.core.membership import new_chance, with_spec
from rgmgr.core.messages import (
    Request,
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStopFailed,
    ServiceStopped,
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


EVENTS: dict[str, Callable[[Ledger, Service], str]] = {
    **{verb.value: asked(verb) for verb in Verb},
    "its owner: it is up": told(ServiceStarted),
    "its owner: it does not start": told(ServiceStartFailed, reason="no"),
    "its owner: it failed": told(ServiceFailed, reason="killed"),
    "its owner: it is down": told(ServiceStopped),
    "its owner: it does not stop": told(ServiceStopFailed, reason="busy"),
    "its owner is proven down": owner_is_proven_down,
    "its owner is shut down": owner_is_shut_down,
    "the membership changes": membership_changes,
    "it is not configured any more": it_is_not_configured_any_more,
}


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


def test_the_page_has_every_event_and_no_other() -> None:
    assert list(printed()) == list(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", ServiceState)
def test_what_comes_of_it_is_what_the_page_says(state: ServiceState, event: str) -> None:
    found, after = outcome(state, event)

    assert printed()[event][state.value] == found
    assert check_cluster(after) == ()
