# SPDX-License-Identifier: Apache-2.0
"""Freeze: an administrator works on a service, and the cluster leaves it as it is.

While it is frozen it is neither checked, recovered, moved, stopped nor started. Two things go on:
a node that is shut down stops it, for a goodbye says that nothing runs; and an owner that is lost
is fenced. After both it waits, frozen, until somebody unfreezes it. Source: rgmanager
`svc_freeze`, which called the death of a frozen service's owner undefined; ADR 16.
"""

from __future__ import annotations

from rgmgr.core.actions import Answer
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.verdict import ACCEPTED, Verdict

VERBS = (Verb.FREEZE, Verb.UNFREEZE)


def apply(ledger: Ledger, service: Service, request: Request) -> Verdict:
    """Accept the request, changing the agreed state, or refuse it and change nothing."""
    if request.verb is Verb.FREEZE:
        return _freeze(ledger, service)
    if service.frozen:
        ledger.put(replace(service, frozen=False))
    return ACCEPTED


def outcome(service: Service, request: Request) -> Verdict:
    """Tell how an accepted request stands."""
    name = service.spec.name
    if service.frozen is (request.verb is Verb.FREEZE):
        return Verdict(Answer.DONE, f"{name} is {'frozen' if service.frozen else 'not frozen'}")
    return Verdict(Answer.FAILED, f"overtaken by another request for {name}")


def _freeze(ledger: Ledger, service: Service) -> Verdict:
    name = service.spec.name
    frozen = replace(service, frozen=True)
    match service.state:
        case _ if service.frozen:
            return ACCEPTED
        case ServiceState.STARTED if service.is_being_mended:
            return Verdict(Answer.TRY_AGAIN, f"{name} is being mended or refitted; try again")
        case ServiceState.STARTED:
            # a fresh number: what its owner has said of it but a moment ago counts no more
            ledger.put(replace(frozen, op=ledger.take_op()))
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            ledger.move(replace(frozen, target=None), ServiceState.STOPPED)
        case ServiceState.DISABLED:
            ledger.put(frozen)
        case ServiceState.FAILED:
            return Verdict(Answer.FAILED, f"{name} is failed; disable it first")
        case ServiceState.STARTING | ServiceState.STOPPING | ServiceState.RECOVERABLE:
            return Verdict(Answer.TRY_AGAIN, f"{name} is {service.state.value}; try again")
    return ACCEPTED
