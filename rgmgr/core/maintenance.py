# SPDX-License-Identifier: Apache-2.0
"""Standing orders: given and ended alike by every member, answered by the one asked.

`apply` changes the agreed state. `outcome` watches it until the order is carried out; only the
asking member calls it. What the orders mean for other decisions: `standing.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Answer, Severity
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import MaintenanceOrder, MaintenanceRequest, TermOver, words_of
from rgmgr.core.model import After, ClusterState, NodeStatus, ServiceState, StandingOrder
from rgmgr.core.placement import because, offer_to_joiners
from rgmgr.core.recovery import begin_stop
from rgmgr.core.seating import may_run, online
from rgmgr.core.standing import why_nothing_starts
from rgmgr.core.verdict import ACCEPTED, Verdict

DISARM_MAX_MS = 7 * 86_400_000
UNDER_WAY = (ServiceState.STARTING, ServiceState.STOPPING, ServiceState.RECOVERABLE)


def apply(ledger: Ledger, sender: NodeId, request: MaintenanceRequest) -> Verdict:
    """Accept the order, changing the agreed state, or refuse it and change nothing."""
    verdict = _APPLY[request.order](ledger, request)
    if verdict.answer is not None and verdict.answer is not Answer.DONE:
        ledger.note(
            "request.refused",
            Severity.INFO,
            request=request.order.value,
            node=ledger.name(request.node),
            by=ledger.name(sender),
            reason=verdict.text,
            **words_of(request),
        )
    return verdict


def outcome(cluster: ClusterState, request: MaintenanceRequest) -> Verdict:
    """Tell how an accepted order stands."""
    match request.order:
        case MaintenanceOrder.STANDBY:
            return _outcome_of_standby(cluster, request)
        case MaintenanceOrder.UNSTANDBY:
            return _outcome_of_unstandby(cluster, request)
        case _:
            return Verdict(Answer.DONE, _DONE[request.order])


def over(ledger: Ledger, body: TermOver) -> None:
    """The time of a standing order is up, unless another one has taken its place."""
    if body.ends is MaintenanceOrder.ARM:
        if ledger.state.disarmed and ledger.state.disarmed.until_ms == body.until_ms:
            _arm(ledger, ledger.state.disarmed, "its time is over")
    elif body.node is not None:
        order = ledger.state.standby.get(body.node)
        is_there = body.node in online(ledger.state) and not why_nothing_starts(ledger.state)
        if order and order.until_ms == body.until_ms and is_there:
            _end_standby(ledger, body.node, order, "its time is over")


# Standby.


def _standby(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    node = request.node
    if node is None or node not in ledger.state.nodes:
        return _NO_NODE
    if why := why_nothing_starts(ledger.state):
        return Verdict(Answer.TRY_AGAIN, f"{why}: its services could not start elsewhere")
    known = ledger.state.standby.get(node)
    moved = dict.fromkeys((*(known.services if known else ()), *ledger.state.owned_by(node)))
    order = replace(_order(ledger, request), services=tuple(moved))
    ledger.state = replace(ledger.state, standby=_by_id({**ledger.state.standby, node: order}))
    ledger.note("standby.begun", Severity.INFO, node=ledger.name(node), **_said(request))
    return ACCEPTED


def _unstandby(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    node = request.node
    if node is None or node not in ledger.state.nodes:
        return _NO_NODE
    order = ledger.state.standby.get(node)
    if order is None:
        return Verdict(Answer.DONE, f"{ledger.name(node)} is not in standby")
    if why := why_nothing_starts(ledger.state):
        return Verdict(Answer.TRY_AGAIN, f"{why}: nothing could be moved to it")
    order = replace(order, brings_back=order.brings_back or request.brings_back)
    if order.brings_back and node not in online(ledger.state):
        due = replace(order, until_ms=ledger.state.now_ms or 1)  # as soon as it is there
        ledger.state = replace(ledger.state, standby=_by_id({**ledger.state.standby, node: due}))
        ledger.note(
            "request.accepted",
            Severity.INFO,
            request=request.order.value,
            node=ledger.name(node),
            **words_of(request),
        )
        return ACCEPTED
    _end_standby(ledger, node, order, _ended(request))
    return ACCEPTED


def _end_standby(ledger: Ledger, node: NodeId, order: StandingOrder, reason: str) -> None:
    """Let the node have services again; for their failover domains it has just joined."""
    rest = {n: other for n, other in ledger.state.standby.items() if n != node}
    ledger.state = replace(ledger.state, standby=rest)
    ledger.note("standby.ended", node=ledger.name(node), reason=reason)
    if node not in online(ledger.state):
        return  # its domains see it when it joins
    record = ledger.state.nodes[node]
    ledger.put_node(node, replace(record, joined_epoch=ledger.state.epoch))
    if order.brings_back:
        _bring_back(ledger, node, order.services)
    offer_to_joiners(ledger, {}, among=(node,))


def _bring_back(ledger: Ledger, node: NodeId, names: Iterable[ServiceName]) -> None:
    for name in names:
        service = ledger.state.services.get(name)
        is_elsewhere = (
            service is not None
            and service.state is ServiceState.STARTED
            and service.owner != node
            and service.owner in ledger.state.members()
        )
        if service and is_elsewhere and not service.frozen and may_run(ledger.state, service, node):
            begin_stop(ledger, service, After.RELOCATE, node)


def _outcome_of_standby(cluster: ClusterState, request: MaintenanceRequest) -> Verdict:
    node = request.node
    order = cluster.standby.get(node) if node is not None else None
    if node is None or order is None:
        return Verdict(Answer.FAILED, "overtaken: the standby was ended")
    name = cluster.spec.node_name(node)
    if cluster.nodes[node].status not in (NodeStatus.ONLINE, NodeStatus.LEAVING):
        return Verdict(Answer.DONE, f"{name} is not online, and will be in standby when it is")
    moved = [cluster.services[n] for n in order.services if n in cluster.services]
    stuck = [s.spec.name for s in moved if s.state is ServiceState.FAILED and s.last_owner == node]
    if stuck:
        text = because(cluster, stuck[0]) or ""
        return Verdict(Answer.ABORTED, f"{name} is in standby, but {stuck[0]} {text}")
    is_held = any(node in s.cleanup for s in cluster.services.values())
    kept = [n for n in cluster.owned_by(node) if not cluster.services[n].frozen]
    if kept or is_held or any(s.state in UNDER_WAY for s in moved):
        return ACCEPTED
    waiting = [s.spec.name for s in moved if s.state in _WAITING]
    text = f"; these wait: {', '.join(waiting)}" if waiting else ""
    return Verdict(Answer.DONE, f"{name} is in standby{text}")


def _outcome_of_unstandby(cluster: ClusterState, request: MaintenanceRequest) -> Verdict:
    node = request.node
    name = cluster.spec.node_name(node) if node is not None else ""
    if order := cluster.standby.get(node) if node is not None else None:
        if order.brings_back and 0 < order.until_ms <= cluster.now_ms:
            return Verdict(Answer.DONE, f"{name} is not online: its standby ends when it is")
        return Verdict(Answer.FAILED, f"overtaken: {name} is in standby again")
    for service in cluster.services.values():
        is_coming = service.state is ServiceState.STOPPING and service.target == node
        if is_coming or (service.state is ServiceState.STARTING and service.owner == node):
            return ACCEPTED
    return Verdict(Answer.DONE, f"{name} may run services again")


# The whole cluster.


def _lock(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    ledger.state = replace(ledger.state, locked=_order_to_all(ledger, request))
    ledger.note("services.locked", Severity.WARNING, **_said(request))
    return ACCEPTED


def _unlock(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    order = ledger.state.locked
    if order is not None:
        ledger.state = replace(ledger.state, locked=None)
        ledger.note("services.unlocked", Severity.INFO, **_said(request))
        _make_up(ledger, order)
    return ACCEPTED


def _disarm(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    if not 0 < request.for_ms <= DISARM_MAX_MS:
        return Verdict(Answer.INVALID, "say for how long: at most 7 days")
    ledger.state = replace(ledger.state, disarmed=_order_to_all(ledger, request))
    ledger.note("cluster.disarmed", Severity.WARNING, **_said(request))
    return ACCEPTED


def _arm_again(ledger: Ledger, request: MaintenanceRequest) -> Verdict:
    if ledger.state.disarmed is not None:
        _arm(ledger, ledger.state.disarmed, _ended(request))
    return ACCEPTED


def _arm(ledger: Ledger, order: StandingOrder, reason: str) -> None:
    """Act again; a service that failed meanwhile is looked at anew by its owner."""
    ledger.state = replace(ledger.state, disarmed=None)
    ledger.note("cluster.armed", reason=reason)
    _make_up(ledger, order)
    for service in tuple(ledger.state.services.values()):
        if service.state is ServiceState.STARTED and service.fault and not service.frozen:
            ledger.put(replace(service, op=ledger.take_op()))


def _make_up(ledger: Ledger, order: StandingOrder) -> None:
    """Move services to nodes that have joined while nothing was moved."""
    since = order.epoch + 1
    offer_to_joiners(ledger, dict.fromkeys(ledger.state.nodes, since))


def _order(ledger: Ledger, request: MaintenanceRequest) -> StandingOrder:
    now_ms = ledger.state.now_ms
    return StandingOrder(
        by=request.by,
        because=request.because,
        epoch=ledger.state.epoch,
        since_ms=now_ms,
        until_ms=now_ms + request.for_ms if request.for_ms else 0,
        wall_s=request.wall_s,
        brings_back=request.brings_back,
    )


def _order_to_all(ledger: Ledger, request: MaintenanceRequest) -> StandingOrder:
    """Return an order under which nothing starts: it takes over what the present ones put off."""
    order, standing = _order(ledger, request), (ledger.state.locked, ledger.state.disarmed)
    return replace(order, epoch=min([order.epoch, *(known.epoch for known in standing if known)]))


def _ended(request: MaintenanceRequest) -> str:
    return f"ended by {request.by}{f': {request.because}' if request.because else ''}"


def _said(request: MaintenanceRequest) -> dict[str, str | int]:
    """Return who ordered it, for how long and why, as far as that was said."""
    said: dict[str, str | int] = {
        "by": request.by,
        "for_ms": request.for_ms,
        "because": request.because,
    }
    return {name: fact for name, fact in said.items() if fact}


def _by_id(orders: dict[NodeId, StandingOrder]) -> dict[NodeId, StandingOrder]:
    return dict(sorted(orders.items()))


_WAITING = (ServiceState.STOPPED, ServiceState.RECOVERING)
_NO_NODE = Verdict(Answer.NODE_OFFLINE, "no such node is configured")
_DONE = {
    MaintenanceOrder.LOCK: "services are locked: none starts until they are unlocked",
    MaintenanceOrder.UNLOCK: "services are unlocked",
    MaintenanceOrder.DISARM: "the cluster is disarmed: it starts, stops and fences nothing itself",
    MaintenanceOrder.ARM: "the cluster is armed",
}
_APPLY: dict[MaintenanceOrder, Callable[[Ledger, MaintenanceRequest], Verdict]] = {
    MaintenanceOrder.STANDBY: _standby,
    MaintenanceOrder.UNSTANDBY: _unstandby,
    MaintenanceOrder.LOCK: _lock,
    MaintenanceOrder.UNLOCK: _unlock,
    MaintenanceOrder.DISARM: _disarm,
    MaintenanceOrder.ARM: _arm_again,
}
