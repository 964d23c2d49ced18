# SPDX-License-Identifier: Apache-2.0
"""What becomes of a service: results of its owner, failures, and the loss of its owner.

A service is worked on by its owner alone, under the number in `Service.op`; a result with
another number is stale and changes nothing. Every way to run elsewhere leads through the owner's
word that it holds nothing any more, or through proof that the owner is down.

Source: rgmanager `svc_start`, `svc_stop`, `handle_recover_req`; departures in docs.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import awaiting, ladder, migration
from rgmgr.core.actions import Severity
from rgmgr.core.evolve import replace
from rgmgr.core.incidents import service_back
from rgmgr.core.ledger import Ledger
from rgmgr.core.mending import clear_off, mend, mended
from rgmgr.core.messages import (
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStayed,
    ServiceStopFailed,
    ServiceStopped,
)
from rgmgr.core.model import After, NodeStatus, Service, ServiceState
from rgmgr.core.spec import Deed
from rgmgr.core.standing import is_left_alone
from rgmgr.core.subtrees import with_all_parts, without_parts

Result = (
    ServiceStarted
    | ServiceStartFailed
    | ServiceFailed
    | ServiceStopped
    | ServiceStopFailed
    | ServiceStayed
)
STOPPING_STATES = (ServiceState.STOPPING, ServiceState.RECOVERABLE)


def begin_stop(
    ledger: Ledger, service: Service, after: After, target: NodeId | None = None
) -> Service:
    """Have the owner stop the service; `after` says what for."""
    recovers = after in (After.RECOVER, After.SETTLE, After.REPAIR)
    state = ServiceState.RECOVERABLE if recovers else ServiceState.STOPPING
    kept = service if after is After.REPAIR else with_all_parts(service)
    return ledger.move(replace(kept, after=after, target=target, mending=()), state)


def started(ledger: Ledger, sender: NodeId, body: ServiceStarted) -> None:
    """The owner brought the tree up, or mended what was to be mended."""
    service = current(ledger, sender, body)
    if service is None:
        return
    if service.state is ServiceState.STARTED and service.is_being_mended:
        mended(ledger, service, sender)
        return
    if service.state is not ServiceState.STARTING:
        return
    up = without_parts(service, body.off)
    up = replace(up, failed_on=(), rounds=0, fault="", target=None, landing=None)
    ledger.move(up, ServiceState.STARTED)
    service_back(ledger, service.spec.name, sender)
    ledger.note("service.started", service=service.spec.name, owner=ledger.name(sender))
    if body.off:
        clear_off(ledger, body.service, sender, body.off)


def start_failed(ledger: Ledger, sender: NodeId, body: ServiceStartFailed) -> None:
    """The owner could not start it: clean up there, then try the next node."""
    service = current(ledger, sender, body)
    if service is None or service.state is not ServiceState.STARTING:
        return
    failed = replace(service, fault=body.reason, failed_on=_add(service.failed_on, sender))
    begin_stop(ledger, failed, After.SETTLE)
    note_failure(ledger, "service.start_failed", failed, sender, body.reason)


def failed(ledger: Ledger, sender: NodeId, body: ServiceFailed) -> None:
    """Something failed on the owner: mend the part, or stop all of it and apply the policy."""
    service = current(ledger, sender, body)
    if service is None or service.state is not ServiceState.STARTED:
        return
    faulty = replace(service, fault=body.reason)
    rung = ladder.next_rung(faulty, ledger.state.now_ms)
    if is_left_alone(ledger.state, service):
        note_failure(ledger, "service.failed", service, sender, body.reason)
        ledger.put(faulty)
        return
    if mend(ledger, faulty, sender, body.resources, body.unstartable):
        return
    if rung.deed is Deed.TOLERATE:
        ledger.note(
            "service.failure_tolerated",
            Severity.WARNING,
            service=service.spec.name,
            node=ledger.name(sender),
            reason=body.reason,
        )
    else:
        note_failure(ledger, "service.failed", service, sender, body.reason)
    if ladder.repairs_only(faulty, rung):
        begin_stop(ledger, ladder.counted(faulty, rung, ledger.state.now_ms), After.REPAIR)
    else:
        begin_stop(ledger, faulty, After.RECOVER)


def stopped(ledger: Ledger, sender: NodeId, body: ServiceStopped, first_epoch: int) -> None:
    """The owner, or a node with left-overs, holds nothing of the service any more."""
    service = current(ledger, sender, body)
    if service is not None and service.state in STOPPING_STATES:
        landing = None if service.landing == sender else service.landing
        finish_stop(ledger, replace(service, freed_epoch=first_epoch, landing=landing))
        return
    service = ledger.state.services.get(body.service)
    if service and sender in service.cleanup and body.op == service.cleanup_op:
        rest = tuple(n for n in service.cleanup if n != sender)
        ledger.put(replace(service, cleanup=rest))


def stayed(ledger: Ledger, sender: NodeId, body: ServiceStayed) -> None:
    """A migration came to nothing, and the owner has it up as before."""
    service = current(ledger, sender, body)
    if service is not None and service.after is After.MIGRATE:
        migration.stayed(ledger, service, body.reason)


def finish_stop(ledger: Ledger, service: Service) -> None:
    """The owner holds nothing any more: go where the stop was meant to lead."""
    service = replace(service, former=())
    if service.after is After.REPAIR:
        _finish_repair(ledger, service)
    elif service.after is not After.MIGRATE or not migration.hand_over(ledger, service):
        _free(ledger, migration.doubted(ledger, service))


def _free(ledger: Ledger, service: Service) -> None:
    """Nobody has it, but for left-overs that are known."""
    owner = service.owner
    freed = replace(service, owner=None, last_owner=owner, target=None)
    ledger.note("service.stopped", service=service.spec.name, last_owner=ledger.name(owner))
    is_asked = service.after in (After.STOP, After.DISABLE)
    if service.after is After.SETTLE and owner is not None and _is_leaving(ledger, owner):
        freed = awaiting.after_shutdown(ledger, freed, owner)
    if (service.frozen or freed.awaits is not None) and not is_asked:
        ledger.move(freed, ServiceState.STOPPED)
        return
    match service.after:
        case After.STOP:
            ledger.move(replace(freed, is_held=True), ServiceState.STOPPED)
        case After.DISABLE:
            ledger.move(freed, ServiceState.DISABLED)
        case After.RESTART:
            ledger.move(replace(freed, target=owner), ServiceState.RECOVERING)
        case After.RELOCATE | After.MIGRATE:
            ledger.move(replace(freed, target=service.target), ServiceState.RECOVERING)
        case After.SETTLE | After.FAILBACK | After.REPAIR:  # a repair has ended before
            ledger.move(freed, ServiceState.RECOVERING)
        case After.RECOVER:
            _apply_policy(ledger, freed)


def _is_leaving(ledger: Ledger, owner: NodeId) -> bool:
    node = ledger.state.nodes.get(owner)
    return node is not None and node.status is NodeStatus.LEAVING


def _finish_repair(ledger: Ledger, service: Service) -> None:
    """What was broken is down; the owner keeps the rest and starts again, if it may stay."""
    owner = ledger.state.nodes.get(service.owner) if service.owner is not None else None
    is_staying = owner is not None and owner.status is NodeStatus.ONLINE
    if is_staying and not migration.may_be_elsewhere(ledger.state, service):
        ledger.move(replace(service, restarts=service.restarts + 1), ServiceState.STARTING)
    else:
        begin_stop(ledger, service, After.SETTLE)


def release(ledger: Ledger, node: NodeId, freed_epoch: int) -> None:
    """A node is proven down: whatever it owned or was to start is free again."""
    for service in tuple(ledger.state.services.values()):
        rest = tuple(n for n in service.cleanup if n != node)
        landing = None if service.landing == node else service.landing
        if service.owner != node:
            if (rest, landing) != (service.cleanup, service.landing):
                ledger.put(replace(service, cleanup=rest, landing=landing))
            continue
        is_stopping = service.state is ServiceState.STOPPING
        after = service.after if is_stopping else After.SETTLE
        free = replace(service, cleanup=rest, landing=landing, after=after, freed_epoch=freed_epoch)
        finish_stop(ledger, free if is_stopping else awaiting.after_loss(ledger, free, node))
    awaiting.of_last_owner(ledger, node)


def current(ledger: Ledger, sender: NodeId, body: Result) -> Service | None:
    """Return the record if the result is its owner's and of its present number."""
    service = ledger.state.services.get(body.service)
    if service is None or service.owner != sender or service.op != body.op:
        return None
    return service


def _apply_policy(ledger: Ledger, service: Service) -> None:
    """All of it is down: go on as the ladder says by now."""
    now_ms = ledger.state.now_ms
    rung = ladder.next_rung(service, now_ms)
    if rung.deed not in ladder.IN_PLACE:
        _note_exhaustion(ledger, service)
    counted = ladder.counted(service, rung, now_ms)
    match rung.deed:
        case Deed.TOLERATE | Deed.RESTART:
            again = replace(counted, target=service.last_owner)
            ledger.move(again, ServiceState.RECOVERING)
        case Deed.RELOCATE:
            _elsewhere(ledger, counted)
        case Deed.DISABLE:
            _give_up(ledger, counted)


def _note_exhaustion(ledger: Ledger, service: Service) -> None:
    restarts = next((r for r in ladder.rungs_of(service.spec) if r.deed is Deed.RESTART), None)
    if restarts is not None:
        ledger.note(
            "service.restarts_exhausted",
            Severity.WARNING,
            service=service.spec.name,
            restarts=restarts.limit,
        )


def _give_up(ledger: Ledger, service: Service) -> None:
    ledger.move(service, ServiceState.DISABLED)
    ledger.note("service.disabled", Severity.ERROR, service=service.spec.name, reason=service.fault)


def _elsewhere(ledger: Ledger, service: Service) -> None:
    tried = (
        service.failed_on
        if service.last_owner is None
        else _add(service.failed_on, service.last_owner)
    )
    ledger.move(replace(service, failed_on=tried), ServiceState.RECOVERING)


def _add(nodes: tuple[NodeId, ...], node: NodeId) -> tuple[NodeId, ...]:
    return tuple(sorted({*nodes, node}))


def note_failure(ledger: Ledger, event: str, service: Service, node: NodeId, reason: str) -> None:
    """Tell the journal that something of a service did not go well on a node."""
    ledger.note(
        event, Severity.ERROR, service=service.spec.name, node=ledger.name(node), reason=reason
    )
