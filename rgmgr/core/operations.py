# SPDX-License-Identifier: Apache-2.0
"""Applying an operation: the one place where agreed state changes within an epoch."""

from __future__ import annotations

from dataclasses import dataclass

from domains.model import NodeId
from domains.rank import may_own
from rgmgr.core import (
    awaiting,
    evidence,
    failback,
    fence_paths,
    fence_requests,
    fencing,
    health,
    maintenance,
    outbox,
    recovery,
    requests,
    retrying,
    rivals,
)
from rgmgr.core.actions import Answer, Severity
from rgmgr.core.desk import settle_requests, verdict_given
from rgmgr.core.durable import disputed_by, save_if_changed
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import Turn
from rgmgr.core.membership import TAKING_PART, heed_strangers, new_chance, with_spec
from rgmgr.core.messages import (
    AnyRequest,
    AwaitOver,
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
    MaintenanceRequest,
    NodeFenced,
    Operation,
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
    words_of,
)
from rgmgr.core.model import ClusterState, NodeStatus
from rgmgr.core.requests import PROVEN_DOWN
from rgmgr.core.settle import settle
from rgmgr.core.spec import ClusterSpec
from rgmgr.core.stop_failures import stop_failed
from rgmgr.core.survey import note_difference
from rgmgr.core.unproven import UNPROVEN
from rgmgr.core.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Ruling:
    """What became of a request, and the number of what follows from it; 0: nothing has one."""

    request: AnyRequest
    verdict: Verdict
    number: int


def heard(turn: Turn, sender: NodeId, operation: Operation) -> None:
    """Apply an operation of the present epoch, once; drop any other."""
    node = turn.cluster.nodes.get(sender)
    if not turn.local.is_installed or operation.epoch != turn.cluster.epoch:
        return
    if node is None or node.status not in TAKING_PART:
        return
    if operation.incarnation != node.incarnation or operation.sequence <= node.sequence:
        return
    ledger, ruling = applied(turn.cluster, sender, operation)
    if ruling is not None and sender == turn.local.me:
        verdict_given(turn, ruling.request, ruling.verdict, ruling.number)
    turn.cluster = ledger.state
    note_difference(ledger)
    turn.do(*ledger.records)
    if sender == turn.local.me:
        outbox.applied(turn, operation)
    save_if_changed(turn)
    settle_requests(turn)


def applied(
    cluster: ClusterState, sender: NodeId, operation: Operation
) -> tuple[Ledger, Ruling | None]:
    """Return what an operation makes of the agreed state, and of a request: alike everywhere."""
    ledger = Ledger(
        replace(
            cluster,
            applied=cluster.applied + 1,
            now_ms=max(cluster.now_ms, operation.at_ms),
        )
    )
    ledger.put_node(sender, replace(cluster.nodes[sender], sequence=operation.sequence))
    ruling = _apply(ledger, sender, operation)
    settle(ledger)
    return ledger, ruling


def _apply(ledger: Ledger, sender: NodeId, operation: Operation) -> Ruling | None:  # noqa: C901, PLR0912, PLR0915  # one arm per kind
    first_epoch = operation.first_epoch
    match operation.body:
        case Request() as request:
            verdict = requests.apply(ledger, request)
            _note_request(ledger, sender, request, verdict)
            service = ledger.state.services.get(request.service)
            return Ruling(request, verdict, service.op if service else 0)
        case ServiceStarted() as body:
            recovery.started(ledger, sender, body)
        case ServiceStartFailed() as body:
            recovery.start_failed(ledger, sender, body)
        case ServiceStopped() as body:
            recovery.stopped(ledger, sender, body, first_epoch)
        case ServiceStopFailed() as body:
            stop_failed(ledger, sender, body)
        case ServiceStayed() as body:
            recovery.stayed(ledger, sender, body)
        case ServiceFailed() as body:
            recovery.failed(ledger, sender, body)
        case FenceDue() as body:
            fencing.due(ledger, body)
        case NodeFenced() as body:
            fencing.fenced(ledger, body)
        case FenceFailed() as body:
            fencing.attempt_failed(ledger, body)
        case FenceRequest() as request:
            verdict = fence_requests.apply(ledger, sender, request)
            return Ruling(request, verdict, fence_requests.number_of(ledger, request))
        case MaintenanceRequest() as request:
            verdict = maintenance.apply(ledger, sender, request)
            return Ruling(request, verdict, 0)
        case TermOver() as body:
            maintenance.over(ledger, body)
        case PowerRestored() as body:
            fencing.restored(ledger, body)
        case PathsTested() as body:
            fence_paths.tested(ledger, sender, body)
        case LinksSeen() as body:
            evidence.seen(ledger, sender, body)
        case GraceExpired() as body:
            fencing.grace_expired(ledger, body)
        case JoinDelayOver():
            fencing.join_delay_over(ledger)
        case Reached() as body:
            health.reported(ledger, sender, body)
        case HealthSettled() as body:
            health.settled(ledger, body)
        case AwaitOver() as body:
            awaiting.over(ledger, body)
        case RetryDue() as body:
            retrying.due(ledger, body)
        case FailbackDue() as body:
            failback.due(ledger, body)
        case Leaving():
            _leaving(ledger, sender)
        case Goodbye():
            _goodbye(ledger, sender)
        case ConfigProposed(spec=spec):
            _propose(ledger, sender, spec)
    return None


def _note_request(ledger: Ledger, sender: NodeId, request: Request, verdict: Verdict) -> None:
    is_refused = verdict.answer is not None and verdict.answer is not Answer.DONE
    ledger.note(
        "request.refused" if is_refused else "request.accepted",
        Severity.INFO,
        request=request.verb.value,
        service=request.service,
        target=ledger.name(request.target),
        by=ledger.name(sender),
        reason=verdict.text or None,
        **words_of(request),
    )


def objection(cluster: ClusterState, spec: ClusterSpec) -> str:
    """Say why a newer configuration cannot be taken yet; empty: it can."""
    if held := _held_nodes(cluster, spec):
        names = ", ".join(map(cluster.spec.node_name, held))
        return f"it drops nodes, or bars them from a service, that are not down: {names}"
    members, count = cluster.members(), len(cluster.nodes)
    is_smaller = not cluster.nodes.keys() <= spec.nodes.keys()
    if is_smaller and 2 * len(members) < count:
        return (
            f"it drops nodes while only {len(members)} of {count} are here: at least half must know"
            " it, for the others could begin without it"
        )
    if (away := disputed_by(cluster)) and rivals.found(cluster, spec.services):
        names = ", ".join(map(cluster.spec.node_name, away))
        return f"it gives what one service has to another, and {names} may go on without it"
    for name, nodes in rivals.undecided(cluster, spec.services):
        names = ", ".join(map(cluster.spec.node_name, nodes))
        return f"it gives to others what {name} may have up on nodes that are not down: {names}"
    return ""


def _held_nodes(cluster: ClusterState, spec: ClusterSpec) -> tuple[NodeId, ...]:
    """Return the nodes that a configuration drops, or bars, although they may run something."""
    return tuple(
        n
        for n, node in sorted(cluster.nodes.items())
        if (
            _is_barred(cluster, spec, n)
            if n in spec.nodes
            else node.status not in PROVEN_DOWN or _is_needed(cluster, n)
        )
    )


def _is_barred(cluster: ClusterState, spec: ClusterSpec, node: NodeId) -> bool:
    """Tell whether an unproven node loses its right to a service that it may be running."""
    if cluster.nodes[node].status not in UNPROVEN:
        return False
    known = cluster.services
    return any(
        not may_own(spec.domain_of(new), node)
        and may_own(cluster.spec.domain_of(known[new.name].spec), node)
        for new in spec.services
        if new.name in known
    )


def _propose(ledger: Ledger, sender: NodeId, spec: ClusterSpec) -> None:
    """Adopt a newer configuration, unless something is to be said against it."""
    if spec.version <= ledger.state.spec.version:
        return
    if reason := objection(ledger.state, spec):
        ledger.note(
            "config.refused",
            Severity.ERROR,
            version=spec.version,
            by=ledger.name(sender),
            reason=reason,
        )
        return
    for name, methods in fence_paths.methods_removed(ledger.state.spec, spec).items():
        ledger.note("fence.methods_removed", Severity.WARNING, node=name, methods=methods)
    ledger.state = with_spec(ledger.state, spec)
    heed_strangers(ledger)
    ledger.note("config.adopted", version=spec.version, by=ledger.name(sender))


def _is_needed(cluster: ClusterState, node: NodeId) -> bool:
    services = cluster.services.values()
    return any(node in (s.owner, s.landing, *s.cleanup) for s in services)


def _leaving(ledger: Ledger, sender: NodeId) -> None:
    node = ledger.state.nodes[sender]
    ledger.put_node(sender, replace(node, status=NodeStatus.LEAVING))
    ledger.note("member.leaving", node=ledger.name(sender))


def _goodbye(ledger: Ledger, sender: NodeId) -> None:
    """The sender runs nothing; taken at its word only if the records agree."""
    node = ledger.state.nodes[sender]
    services = ledger.state.services
    kept = [name for name, s in services.items() if sender in (s.owner, s.landing)]
    if kept:
        ledger.note(
            "goodbye.refused", Severity.ERROR, node=ledger.name(sender), services=", ".join(kept)
        )
        return
    ledger.put_node(sender, replace(node, status=NodeStatus.LEFT))
    new_chance(ledger)
    ledger.note("member.left_cleanly", node=ledger.name(sender))
