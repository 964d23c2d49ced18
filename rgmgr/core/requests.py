# SPDX-License-Identifier: Apache-2.0
"""What operators ask: accepted or refused alike by every member, answered by the one asked.

`apply` changes the agreed state. `outcome` watches the record until the request is done; only
the asking member calls it. Source: rgmanager, operations against states; departures in docs.
"""

from __future__ import annotations

from collections.abc import Callable

from domains.model import NodeId
from rgmgr.core import awaiting, depend, freezing, migration, retrying, unproven
from rgmgr.core.actions import Answer
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because, because_no_seat
from rgmgr.core.recovery import begin_stop
from rgmgr.core.seating import has_prospects, may_run, obstacle_at, online, other_seats
from rgmgr.core.standing import why_nothing_starts
from rgmgr.core.subtrees import convalescing, is_partial, tops_off
from rgmgr.core.verdict import ACCEPTED, Verdict

PROVEN_DOWN = (NodeStatus.LEFT, NodeStatus.FENCED)
MOVING_VERBS = (Verb.RELOCATE, Verb.RESTART, Verb.MIGRATE)
MOVING = (ServiceState.STOPPING, ServiceState.RECOVERABLE)
STARTING_VERBS = (Verb.ENABLE, Verb.RELOCATE, Verb.RESTART, Verb.MIGRATE)
UP = (ServiceState.STARTING, ServiceState.STARTED)


def apply(ledger: Ledger, request: Request) -> Verdict:
    """Accept the request, changing the agreed state, or refuse it and change nothing."""
    service = ledger.state.services.get(request.service)
    if service is None:
        return Verdict(Answer.UNKNOWN_SERVICE, f"service {request.service!r} is not configured")
    if request.verb in freezing.VERBS:
        return freezing.apply(ledger, service, request)
    refusal = _refuse_by_order(ledger.state, service, request.verb)
    if refusal is None and request.verb in STARTING_VERBS:
        refusal = _refuse_target(ledger.state, service, request.target)
    if refusal is None and request.verb in MOVING_VERBS:
        refusal = _refuse_in_doubt(ledger.state, service)
    if refusal is None and request.verb in awaiting.VERBS:
        refusal = awaiting.decide(ledger, service, request)
    return refusal or _APPLY[request.verb](ledger, service, request.target)


def _refuse_by_order(cluster: ClusterState, service: Service, verb: Verb) -> Verdict | None:
    """Refuse what an earlier word of an administrator forbids."""
    if service.frozen:
        return Verdict(Answer.FROZEN, f"{service.spec.name} is frozen; unfreeze it first")
    why = why_nothing_starts(cluster)
    if why and cluster.disarmed is not None:
        return Verdict(Answer.FROZEN, f"{why}; 'rgmgr arm' ends it")
    if why and verb in STARTING_VERBS:
        return Verdict(Answer.TRY_AGAIN, f"{why}; 'rgmgr unlock' ends it")
    return None


def _refuse_in_doubt(cluster: ClusterState, service: Service) -> Verdict | None:
    """Refuse to stop what could not start again, for others may have it as well."""
    if service.state is not ServiceState.STARTED:
        return None
    waits = unproven.because(cluster, service, unproven.unasked(cluster, service))
    text = f"{service.spec.name} would stop, and not start: {waits}"
    return Verdict(Answer.TRY_AGAIN, text) if waits else None


def outcome(cluster: ClusterState, request: Request, accepted_op: int) -> Verdict:
    """Tell how an accepted request stands. `accepted_op`: the record's number at acceptance."""
    service = cluster.services.get(request.service)
    if service is None:
        return Verdict(Answer.FAILED, f"{request.service} was removed from the configuration")
    if request.verb in freezing.VERBS:
        return freezing.outcome(service, request)
    if service.state is ServiceState.FAILED:
        return Verdict(Answer.ABORTED, because(cluster, request.service) or "")
    if request.verb in _OUTCOMES:
        return _OUTCOMES[request.verb](service)
    if request.verb in (Verb.DISABLE, Verb.STOP):
        return _outcome_of_stop(service, request.verb)
    return _outcome_of_start(cluster, service, request, accepted_op)


def _enable(ledger: Ledger, service: Service, target: NodeId | None) -> Verdict:
    match service.state:
        case ServiceState.STARTED | ServiceState.STARTING:
            where = ledger.name(service.owner)
            return Verdict(Answer.ALREADY_RUNNING, f"{service.spec.name} runs on {where}")
        case ServiceState.FAILED:
            text = because(ledger.state, service.spec.name) or ""
            return Verdict(Answer.ABORTED, text)
        case ServiceState.STOPPING:
            return Verdict(Answer.TRY_AGAIN, f"{service.spec.name} is being stopped; try again")
        case ServiceState.STOPPED | ServiceState.DISABLED:
            return _make_startable(ledger, service, target)
        case ServiceState.RECOVERABLE | ServiceState.RECOVERING:
            return ACCEPTED


def _make_startable(ledger: Ledger, service: Service, target: NodeId | None) -> Verdict:
    ready = replace(
        service,
        target=target,
        is_held=False,
        is_new=False,
        awaits=None,
        failed_on=(),
        rounds=0,
        fault="",
    )
    if not has_prospects(ledger.state, ready):
        return Verdict(Answer.NOT_ALLOWED, because_no_seat(ledger.state, ready))
    if depend.is_hopeless(ledger.state, service.spec):
        text = f"{service.spec.name} is {depend.because(ledger.state, service.spec)}"
        return Verdict(Answer.NOT_ALLOWED, text)
    ledger.move(ready, ServiceState.STOPPED)
    return ACCEPTED


def _disable(ledger: Ledger, service: Service, _target: NodeId | None) -> Verdict:
    match service.state:
        case ServiceState.STARTED | ServiceState.STARTING:
            begin_stop(ledger, service, After.DISABLE)
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            begin_stop(ledger, service, After.DISABLE)
        case ServiceState.FAILED:
            return _disable_failed(ledger, service)
        case ServiceState.STOPPED | ServiceState.RECOVERING | ServiceState.DISABLED:
            done = replace(service, is_held=False, is_new=False, awaits=None, fault="", target=None)
            ledger.move(done, ServiceState.DISABLED)
    return ACCEPTED


def _disable_failed(ledger: Ledger, service: Service) -> Verdict:
    """The only way out of `failed`: stop once more where it failed, or rely on proof."""
    holder = service.last_owner
    node = ledger.state.nodes.get(holder) if holder is not None else None
    if holder is None or node is None or node.status in PROVEN_DOWN:
        cleared = migration.doubted(ledger, replace(service, fault=""))
        ledger.move(cleared, ServiceState.DISABLED)
        return ACCEPTED
    if holder not in online(ledger.state):
        where = ledger.name(holder)
        return Verdict(Answer.TRY_AGAIN, f"{where} may hold it and is neither online nor fenced")
    begin_stop(ledger, replace(service, owner=holder), After.DISABLE)
    return ACCEPTED


def _stop(ledger: Ledger, service: Service, _target: NodeId | None) -> Verdict:
    match service.state:
        case ServiceState.STARTED | ServiceState.STARTING:
            begin_stop(ledger, service, After.STOP)
        case ServiceState.STOPPING if service.after is After.DISABLE:
            pass
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            begin_stop(ledger, service, After.STOP)
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            held = replace(service, is_held=True, awaits=None, target=None)
            ledger.move(held, ServiceState.STOPPED)
        case ServiceState.DISABLED:
            pass
        case ServiceState.FAILED:
            text = because(ledger.state, service.spec.name) or ""
            return Verdict(Answer.FAILED, text)
    return ACCEPTED


def _restart(ledger: Ledger, service: Service, _target: NodeId | None) -> Verdict:
    return _stop_and_start(ledger, service, After.RESTART, None)


def _relocate(ledger: Ledger, service: Service, target: NodeId | None) -> Verdict:
    if service.state is not ServiceState.STARTED:
        return _stop_and_start(ledger, service, After.RELOCATE, target)
    goal = target or _best_other(ledger.state, service)
    if goal is None:
        text = f"no other node may run {service.spec.name} now; it stays where it is"
        return Verdict(Answer.NOT_ALLOWED, text)
    after = After.RESTART if goal == service.owner else After.RELOCATE
    return _stop_and_start(ledger, service, after, goal)


def _migrate(ledger: Ledger, service: Service, target: NodeId | None) -> Verdict:
    if refusal := migration.refusal(ledger.state, service, target):
        return refusal
    begin_stop(ledger, replace(service, landing=target, fault=""), After.MIGRATE, target)
    return ACCEPTED


def _stop_and_start(
    ledger: Ledger, service: Service, after: After, target: NodeId | None
) -> Verdict:
    name = service.spec.name
    match service.state:
        case ServiceState.STARTED:
            if service.owner not in ledger.state.members():
                where = ledger.name(service.owner)
                return Verdict(Answer.TRY_AGAIN, f"{name} runs on {where}, which cannot be asked")
            begin_stop(ledger, service, after, target)
            return ACCEPTED
        case ServiceState.STOPPED:
            return _make_startable(ledger, service, target)
        case ServiceState.DISABLED:
            return Verdict(Answer.INVALID, f"{name} is disabled; enable it first")
        case ServiceState.FAILED:
            return Verdict(Answer.FAILED, because(ledger.state, name) or "")
        case _:
            return Verdict(Answer.TRY_AGAIN, f"{name} is {service.state.value}; try again")


def _convalesce(ledger: Ledger, service: Service, _target: NodeId | None) -> Verdict:
    name = service.spec.name
    if service.state is not ServiceState.STARTED:
        return Verdict(
            Answer.INVALID, f"{name} is {service.state.value}; only a started one can be partial"
        )
    if service.is_being_mended:
        return Verdict(Answer.TRY_AGAIN, f"parts of {name} are being restarted; try again")
    if not is_partial(service):
        return Verdict(Answer.ALREADY_RUNNING, f"{name} is whole")
    ledger.renew(convalescing(service))
    return ACCEPTED


_APPLY: dict[Verb, Callable[[Ledger, Service, NodeId | None], Verdict]] = {
    Verb.ENABLE: _enable,
    Verb.DISABLE: _disable,
    Verb.STOP: _stop,
    Verb.RESTART: _restart,
    Verb.RELOCATE: _relocate,
    Verb.MIGRATE: _migrate,
    Verb.CONVALESCE: _convalesce,
    Verb.RETRY: lambda ledger, service, _target: retrying.retry(ledger, service),
}


def _refuse_target(
    cluster: ClusterState, service: Service, target: NodeId | None
) -> Verdict | None:
    if target is None:
        return None
    name = cluster.spec.node_name(target)
    if target not in online(cluster):
        return Verdict(Answer.NODE_OFFLINE, f"{name} is not online")
    if target in cluster.standby:
        return Verdict(Answer.NOT_ALLOWED, f"{name} is in standby")
    if not may_run(cluster, service, target):
        domain = service.spec.domain
        return Verdict(Answer.NOT_ALLOWED, f"restricted domain {domain!r} does not have {name}")
    if target != service.owner and (found := obstacle_at(cluster, service, target)):
        text = f"{service.spec.name} cannot run on {name}: {found.text}"
        return Verdict(Answer.NOT_ALLOWED, text)
    return None


def _best_other(cluster: ClusterState, service: Service) -> NodeId | None:
    return next(iter(other_seats(cluster, service)), None)


def _outcome_of_stop(service: Service, verb: Verb) -> Verdict:
    goal = ServiceState.DISABLED if verb is Verb.DISABLE else ServiceState.STOPPED
    if service.state in (goal, ServiceState.DISABLED) and service.cleanup:
        return ACCEPTED  # something of it is still being stopped somewhere
    if service.state in (goal, ServiceState.DISABLED):
        return Verdict(Answer.DONE, f"{service.spec.name} is {service.state.value}")
    if service.state in MOVING:
        return ACCEPTED
    return Verdict(Answer.FAILED, f"overtaken: {service.spec.name} is {service.state.value}")


def _outcome_of_convalescence(service: Service) -> Verdict:
    name = service.spec.name
    if service.state is not ServiceState.STARTED:
        return Verdict(Answer.FAILED, f"overtaken: {name} is {service.state.value}")
    if service.is_being_mended:
        return ACCEPTED
    if is_partial(service):
        off = ", ".join(tops_off(service))
        return Verdict(Answer.FAILED, f"{name} runs on without {off}: {service.fault}")
    return Verdict(Answer.DONE, f"{name} is whole again")


_OUTCOMES: dict[Verb, Callable[[Service], Verdict]] = {
    Verb.REFUSE: awaiting.outcome_of_refusal,
    Verb.CONVALESCE: _outcome_of_convalescence,
}


def _outcome_of_start(
    cluster: ClusterState, service: Service, request: Request, accepted_op: int
) -> Verdict:
    name = service.spec.name
    if service.state is ServiceState.STARTED and service.op != accepted_op:
        if request.verb is Verb.MIGRATE and service.fault:
            return Verdict(Answer.ON_ORIGINAL_OWNER, f"{name}: {service.fault}")
        where = cluster.spec.node_name(service.owner) if service.owner else ""
        if request.target not in (None, service.owner):
            wanted = cluster.spec.node_name(request.target) if request.target else ""
            return Verdict(Answer.DONE, f"{name} is now running on {where}, not on {wanted}")
        return Verdict(Answer.DONE, f"{name} is now running on {where}")
    if service.state is ServiceState.DISABLED or service.is_held:
        reason = service.fault or because(cluster, name)
        return Verdict(Answer.FAILED, f"{name} is {service.state.value}: {reason}")
    if service.state in (ServiceState.STOPPED, ServiceState.RECOVERING):
        return _outcome_of_wait(cluster, service)
    return ACCEPTED


def _outcome_of_wait(cluster: ClusterState, service: Service) -> Verdict:
    """Tell whether a service that is to start can still do so by itself."""
    name = service.spec.name
    if service.frozen:
        return Verdict(Answer.FROZEN, f"{name} was frozen before it could start")
    if why := why_nothing_starts(cluster):
        return Verdict(Answer.FAILED, f"{name} is {service.state.value}: {why}")
    is_stuck = not has_prospects(cluster, service) or depend.is_hopeless(cluster, service.spec)
    if service.state is ServiceState.STOPPED and is_stuck:
        return Verdict(Answer.FAILED, because(cluster, name) or "")
    return ACCEPTED
