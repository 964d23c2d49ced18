# SPDX-License-Identifier: Apache-2.0
"""The history of fencing: what was seen, who did what when, and how long services were away.

Written along with the agreed state, so every member tells the same story; decides nothing.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import CASES_MAX, TRIALS_MAX, ClusterState, FenceCase, FenceTrial, Outage


def case_of(cluster: ClusterState, number: int) -> FenceCase | None:
    """Return the history of a case; None when it is too old to be kept."""
    return next((case for case in reversed(cluster.cases) if case.number == number), None)


def opened(ledger: Ledger, number: int, node: NodeId, cause: str) -> None:
    """A node was lost."""
    case = FenceCase(
        number=number,
        node=node,
        cause=cause,
        opened_ms=ledger.state.now_ms,
        epoch=ledger.state.epoch,
        ring_seq=ledger.state.ring_seq,
    )
    ledger.state = replace(ledger.state, cases=(*ledger.state.cases, case)[-CASES_MAX:])


def noted(ledger: Ledger, number: int, **changes: object) -> None:
    """Change the history of a case that is still kept."""
    case = case_of(ledger.state, number)
    if case is not None:
        _put(ledger, replace(case, **changes))  # type: ignore[arg-type]  # names are checked at run time


def renumbered(ledger: Ledger, old: int, new: int) -> None:
    """A case goes on under another number."""
    cases = tuple(replace(c, number=new) if c.number == old else c for c in ledger.state.cases)
    ledger.state = replace(ledger.state, cases=cases)


def trial_begun(ledger: Ledger, number: int, by: NodeId, attempt: int) -> None:
    """Somebody makes an attempt."""
    case = case_of(ledger.state, number)
    if case is None:
        return
    trial = FenceTrial(by=by, begun_ms=ledger.state.now_ms)
    begun = replace(
        case,
        by=by,
        attempts=attempt,
        begun_ms=case.begun_ms or ledger.state.now_ms,
        trials=(*case.trials, trial)[-TRIALS_MAX:],
    )
    _put(ledger, begun)


def trial_ended(ledger: Ledger, number: int, result: str) -> None:
    """The latest attempt is over."""
    case = case_of(ledger.state, number)
    if case is None or not case.trials:
        return
    ended = replace(case.trials[-1], ended_ms=ledger.state.now_ms, result=result)
    _put(ledger, replace(case, trials=(*case.trials[:-1], ended)))


def services_lost(ledger: Ledger, number: int, services: tuple[ServiceName, ...]) -> None:
    """The node was proven down: these were its services."""
    noted(ledger, number, outages=tuple(Outage(service=name) for name in services))


def service_back(ledger: Ledger, service: ServiceName, node: NodeId) -> None:
    """A service runs: whatever took it away is over."""
    for case in ledger.state.cases:
        if any(o.service == service and not o.back_ms for o in case.outages):
            outages = tuple(
                replace(o, back_ms=ledger.state.now_ms, back_on=node)
                if o.service == service and not o.back_ms
                else o
                for o in case.outages
            )
            _put(ledger, replace(case, outages=outages))


def _put(ledger: Ledger, changed: FenceCase) -> None:
    cases = tuple(changed if c.number == changed.number else c for c in ledger.state.cases)
    ledger.state = replace(ledger.state, cases=cases)
