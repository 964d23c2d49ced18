# SPDX-License-Identifier: Apache-2.0
"""A service that starts nowhere: it is tried again, with growing pauses, for ever.

Each change of the membership is another chance at once, and so is an administrator's `retry`.
rgmanager left it stopped until the next event, silently.
"""

from __future__ import annotations

from rgmgr.core.actions import Answer
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import RetryDue
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.verdict import ACCEPTED, Verdict

PAUSE_FIRST_MS = 30_000
PAUSE_MAX_MS = 600_000


def pause_ms(service: Service) -> int:
    """Return the pause after so many rounds in vain: 30 s, 1, 2, 4, 8 and then 10 minutes."""
    return min(PAUSE_MAX_MS, PAUSE_FIRST_MS << min(max(service.rounds - 1, 0), 10))


def is_waiting(service: Service) -> bool:
    """Tell whether it was tried on every node that could have it, in vain.

    Once the pause is over it does not wait for that any more, be it that no node can take it yet.
    """
    is_idle = service.state is ServiceState.STOPPED and service.awaits is None
    has_failed = service.rounds > 0 and bool(service.failed_on)
    return is_idle and has_failed and not (service.is_held or service.frozen)


def in_vain(service: Service) -> Service:
    """Return the record after one more round; one that nobody could try does not count."""
    return replace(service, rounds=service.rounds + 1) if service.failed_on else service


def due(ledger: Ledger, body: RetryDue) -> None:
    """The pause is over: all nodes may try again."""
    service = ledger.state.services.get(body.service)
    if service and is_waiting(service) and service.rounds == body.rounds:
        ledger.put(replace(service, failed_on=()))


def retry(ledger: Ledger, service: Service) -> Verdict:
    """Try again now, as an administrator wants."""
    name = service.spec.name
    if service.state is ServiceState.STARTED:
        return Verdict(Answer.ALREADY_RUNNING, f"{name} runs on {ledger.name(service.owner)}")
    if not is_waiting(service):
        return Verdict(
            Answer.INVALID, f"{name} is {service.state.value} and does not wait for a retry"
        )
    ledger.put(replace(service, failed_on=(), rounds=0))
    return ACCEPTED


def due_of(service: Service) -> RetryDue | None:
    """Return what the end of its pause is; None when it does not wait for one."""
    if not is_waiting(service):
        return None
    return RetryDue(service=service.spec.name, rounds=service.rounds)


def key_of(service: Service) -> str:
    """Return the key of the timer of the next try; empty when none runs."""
    due = due_of(service)
    return f"retry:{due.service}:{due.rounds}" if due else ""
