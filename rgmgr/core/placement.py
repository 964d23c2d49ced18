# SPDX-License-Identifier: Apache-2.0
"""Where services start: asked after every agreed event, answered alike by every member.

A service may start only when nobody else can have it (`unproven.py`). Which node it gets is
the theory of `domains`; here the decisions are taken, in turn, and the moves that follow from them.
"""

from __future__ import annotations

from domains.displacement import Displacement
from domains.model import NodeId, ServiceName
from domains.occupancy import Occupancy
from domains.rank import rank_nodes
from rgmgr.core import awaiting, depend, failback, migration, retrying, rivals, unproven
from rgmgr.core.actions import Severity
from rgmgr.core.choice import why_chosen
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.recovery import begin_stop
from rgmgr.core.seating import (
    IDLE,
    RUNNING,
    eligible,
    illness,
    in_turn,
    is_awaited,
    is_barred,
    is_examined,
    is_wanted,
    keep_room,
    may_run,
    obstacle_at,
    occupancy,
    online,
    room_for,
    seated_for,
    seats,
)
from rgmgr.core.spec import ServiceSpec
from rgmgr.core.standing import is_left_alone, why_nothing_starts
from rgmgr.core.survey import catalogue_of, in_order, restless


def targets(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the nodes that could start it now, best first; those that failed are left out."""
    return seats(cluster, service, seated_for(cluster, service))


def settle(ledger: Ledger) -> None:
    """Start what should run and can, move what must move. Called after every agreed event."""
    configured = catalogue_of(ledger.state.spec).by_name
    idle: list[Service] = []
    for name in _concerned(ledger):
        service = ledger.state.services[name]
        if name in configured and configured[name] != service.spec and not service.keeps_tree:
            service = replace(service, spec=configured[name])  # its domain decides where it starts
            ledger.put(service)
        if name not in configured:
            _retire(ledger, service)
        elif service.state in RUNNING:
            _leave(ledger, service)
        elif service.state in IDLE:
            idle.append(service)
    depend.stop_dependents(ledger)  # nothing may start that needs one of them
    if idle:
        _consider_all(ledger, idle, configured)
    if ledger.state.failbacks:
        failback.prune(ledger)


def _concerned(ledger: Ledger) -> list[ServiceName]:
    """Return the services about which there may be something to do, in their order.

    Of one that does not look for a node, and goes with no other one, only its own record and its
    ground decide: as long as both are as they were settled last, nothing is to be done about it.
    """
    before, now = ledger.before, ledger.state
    if not _is_same_ground(before, now):
        return list(now.services)
    news = set(ledger.changed())
    return [
        name
        for name in in_order(news | restless(before), now.services)
        if (service := now.services[name]).state in IDLE
        or name in news
        or service.spec.terms.together
    ]


def _is_same_ground(before: ClusterState, now: ClusterState) -> bool:
    """Tell whether services may stay that could stay before; what is pinged may change any time."""
    return (
        before.spec is now.spec
        and before.epoch == now.epoch
        and not now.spec.pings
        and before.standby is now.standby
        and before.locked is now.locked
        and before.disarmed is now.disarmed
        and before.nodes.keys() == now.nodes.keys()
        and all(node.status is before.nodes[n].status for n, node in now.nodes.items())
    )


def _consider_all(
    ledger: Ledger, idle: list[Service], configured: dict[ServiceName, ServiceSpec]
) -> None:
    """Give each its turn; what found no room may then make room for itself."""
    ready = [s.spec.name for s in idle if _is_wanted(ledger, s.spec.name, configured)]
    if not ready:
        return
    seated = occupancy(ledger.state)
    for name in in_turn([ledger.state.services[name] for name in ready]):
        # what it needs may just have made room for another one
        if not configured[name].depend or _is_wanted(ledger, name, configured):
            _place(ledger, ledger.state.services[name], seated)


def offer_to_joiners(
    ledger: Ledger, away_since: dict[NodeId, int], among: tuple[NodeId, ...] | None = None
) -> None:
    """Move running services to a node that has just joined and suits them better, now or later.

    `away_since`: for each owner the epoch from which on joiners count; an owner that was away when
    one joined makes up for it. `among`: the joiners to look at; None: all.
    """
    if why_nothing_starts(ledger.state):
        return
    there = eligible(ledger.state)
    candidates = there if among is None else tuple(n for n in there if n in among)
    nodes = ledger.state.nodes
    for service in tuple(ledger.state.services.values()):
        owner = service.owner
        if service.state not in RUNNING or owner not in there or service.frozen:
            continue
        since = away_since.get(owner, ledger.state.epoch)
        joined = [n for n in candidates if nodes[n].joined_epoch >= since]
        if joined:
            failback.offer(ledger, service, joined)


def because(cluster: ClusterState, name: ServiceName) -> str | None:
    """Say what a service waits for; None when it runs where it should, or is on its way."""
    service = cluster.services[name]
    match service.state:
        case ServiceState.STARTED | ServiceState.STARTING | ServiceState.STOPPING:
            return _because_owned(cluster, service)
        case ServiceState.RECOVERABLE:
            fault = service.fault or "a failure"
            return _because_owned(cluster, service) or f"recovering from: {fault}"
        case ServiceState.DISABLED:
            return service.fault or "disabled until an administrator enables it"
        case ServiceState.FAILED:
            return _because_failed(cluster, service)
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            return _because_idle(cluster, service)


def _because_failed(cluster: ClusterState, service: Service) -> str:
    holder = service.last_owner
    node = cluster.nodes.get(holder) if holder is not None else None
    where = cluster.spec.node_name(holder) if holder is not None else "a node"
    is_down = node is not None and node.status in (NodeStatus.LEFT, NodeStatus.FENCED)
    advice = (
        f"{where} is down since, so disable it" if is_down else "clear it there, then disable it"
    )
    if service.landing is not None:
        other = cluster.spec.node_name(service.landing)
        advice = f"{other} may have it as well: look at both, then disable it"
    return f"stop failed on {where}: {service.fault}; {advice}"


def _because_owned(cluster: ClusterState, service: Service) -> str | None:
    return (
        _because_of_owner(cluster, service)
        or _because_left_alone(cluster, service)
        or migration.because(cluster, service)
        or _because_doubted(cluster, service)
        or _because_held_up(cluster, service)
    )


def _because_of_owner(cluster: ClusterState, service: Service) -> str | None:
    owner = service.owner
    if owner is None or (node := cluster.nodes.get(owner)) is None:
        return None
    name = cluster.spec.node_name(owner)
    match node.status:
        case NodeStatus.UNCLEAN:
            fault = f" (last attempt: {node.last_fault})" if node.last_fault else ""
            return f"waiting for proof that {name} is down{fault}"
        case NodeStatus.DETACHED:
            return f"runs unmanaged: the daemon on {name} is gone"
        case _:
            return None


def _because_left_alone(cluster: ClusterState, service: Service) -> str | None:
    """Say that nothing is done about a service, whatever becomes of it; None when that is not so.

    One that is well while the cluster is disarmed waits for nothing.
    """
    is_up = service.state is ServiceState.STARTED and not service.fault
    if not is_left_alone(cluster, service) or (is_up and not service.frozen):
        return None
    why = why_nothing_starts(cluster) or _because_asked(service)
    return why if is_up else f"{service.fault or service.state.value}; left alone: {why}"


def _because_doubted(cluster: ClusterState, service: Service) -> str | None:
    """Say who may have it besides, so that no more of it starts; None when nothing else is to."""
    name, is_up = service.spec.name, service.state is ServiceState.STARTED
    is_as_meant = service.spec == catalogue_of(cluster.spec).by_name.get(name, service.spec)
    is_staying = name not in cluster.failbacks and not service.is_being_mended
    if service.state not in RUNNING or (is_up and is_as_meant and is_staying):
        return None
    return unproven.because(cluster, service, unproven.unasked(cluster, service))


def _because_held_up(cluster: ClusterState, service: Service) -> str | None:
    """Say what keeps a service from leaving its node; None when it does not want to."""
    if first := depend.must_go_first(cluster, service):
        return f"its stop waits for that of {', '.join(first)}"
    if service.owner is None or service.state is not ServiceState.STARTED:
        return None
    if waits := rivals.because(cluster, service):
        return f"its new tree is {waits}"
    order, why = cluster.standby.get(service.owner), why_nothing_starts(cluster)
    if order is not None and why:
        return f"stays on {cluster.spec.node_name(service.owner)}, which is in standby: {why}"
    return failback.because(cluster, service)


def _because_idle(cluster: ClusterState, service: Service) -> str:
    asked = _because_asked(service) or why_nothing_starts(cluster)
    if waits := asked or depend.because(cluster, service.spec):
        return waits
    if (waits := awaiting.because(cluster, service)) and not targets(cluster, service):
        return waits
    if waits := unproven.because(cluster, service, unproven.blockers(cluster, service)):
        return waits
    if waits := rivals.because(cluster, service):
        return waits
    return because_no_seat(cluster, service)


def because_no_seat(cluster: ClusterState, service: Service) -> str:
    """Say why no node can take a service that is to run, node by node."""
    names, seated = cluster.spec.node_name, seated_for(cluster, service)
    if seats(cluster, service, seated):
        return "about to start"
    if (room := room_for(cluster, service, seated)) and not room.victims:
        return f"waiting for room on {names(room.node)}"
    open_to = [n for n in eligible(cluster) if may_run(cluster, service, n)]
    idle = [n for n in online(cluster) if n in cluster.standby and may_run(cluster, service, n)]
    if not open_to and idle:
        return f"every node that may run it is in standby: {', '.join(map(names, idle))}"
    if not open_to:
        return f"no node of domain {service.spec.domain!r} is online"
    found = {n: _obstacle_in_words(cluster, service, n, seated) for n in open_to}
    if set(open_to) <= set(service.failed_on):
        tried = ", ".join(map(names, service.failed_on))
        pause = f"{retrying.pause_ms(service) / 1_000:g} s"
        return f"start failed on {tried}: {service.fault}; tried again in {pause} at most"
    words = "; ".join(f"{names(n)}: {reason}" for n, reason in found.items())
    return f"no node can take it now: {words}"


def _obstacle_in_words(
    cluster: ClusterState, service: Service, node: NodeId, seated: Occupancy
) -> str:
    if node in service.failed_on:
        return f"it failed there ({service.fault})"
    found = obstacle_at(cluster, service, node, seated)
    return found.text if found else "free"


def _because_asked(service: Service) -> str | None:
    if service.frozen:
        return "frozen by an administrator until it is unfrozen"
    return "stopped by an administrator until the membership changes" if service.is_held else None


def _retire(ledger: Ledger, service: Service) -> None:
    """A service that is no longer configured is stopped, then forgotten."""
    owner = ledger.state.nodes.get(service.owner) if service.owner is not None else None
    is_going = owner is not None and owner.status is NodeStatus.LEAVING
    if is_left_alone(ledger.state, service) and not is_going:
        return
    if service.state in RUNNING:
        begin_stop(ledger, service, After.DISABLE)
    elif service.owner is None and not service.cleanup and service.state is not ServiceState.FAILED:
        ledger.drop(service.spec.name)


def _leave(ledger: Ledger, service: Service) -> None:
    """Its owner goes or stands by, may not run it any more, or it must be with another one."""
    owner = ledger.state.nodes.get(service.owner) if service.owner is not None else None
    if service.owner is None or owner is None:
        return
    if owner.status is NodeStatus.LEAVING:
        begin_stop(ledger, service, After.SETTLE)
    elif is_left_alone(ledger.state, service):
        return
    elif not may_run(ledger.state, service, service.owner) or (
        service.owner in ledger.state.standby and not why_nothing_starts(ledger.state)
    ):
        begin_stop(ledger, service, After.SETTLE)
    elif owner.status is NodeStatus.ONLINE and not why_nothing_starts(ledger.state):
        if unproven.is_elsewhere(ledger.state, service):
            return  # it would be stopped, and could not start
        _follow(ledger, service)
        if illness(ledger.state, service.owner):
            _evacuate(ledger, ledger.state.services[service.spec.name], service.owner)


def _evacuate(ledger: Ledger, service: Service, owner: NodeId) -> None:
    """Give it to a node that reaches more of what is pinged, if one can take it."""
    if service.state not in RUNNING:
        return
    better = [
        n
        for n in eligible(ledger.state)
        if is_examined(ledger.state, n)
        and illness(ledger.state, n) < illness(ledger.state, owner)
        and n not in service.failed_on
    ]
    seated = occupancy(ledger.state)
    ranked = rank_nodes(ledger.state.spec.tenant(service.spec), better, seated)
    if ranked:
        ledger.note(
            "service.evacuated",
            Severity.WARNING,
            service=service.spec.name,
            node=ledger.name(owner),
            target=ledger.name(ranked[0]),
            lost=", ".join(ledger.state.nodes[owner].ills or ()),
        )
        begin_stop(ledger, service, After.RELOCATE, ranked[0])


def _follow(ledger: Ledger, service: Service) -> None:
    """Go where the one runs that this service must be with, if that node can take it."""
    for tie in service.spec.terms.together:
        leader = ledger.state.services.get(tie.service)
        if not tie.hard or leader is None or leader.state is not ServiceState.STARTED:
            continue
        node = leader.owner
        if node in (None, service.owner, *service.failed_on) or node not in eligible(ledger.state):
            continue
        if obstacle_at(ledger.state, service, node) is None:
            ledger.note(
                "service.follows",
                service=service.spec.name,
                leader=tie.service,
                target=ledger.name(node),
            )
            begin_stop(ledger, service, After.RELOCATE, node)
            return


def _is_wanted(
    ledger: Ledger, name: ServiceName, configured: dict[ServiceName, ServiceSpec]
) -> bool:
    """Tell whether it is to run; what is never started by itself is disabled."""
    service, spec = ledger.state.services[name], configured[name]
    if why_nothing_starts(ledger.state):
        return False
    if service.is_new and not spec.autostart and not (service.frozen or service.is_held):
        ledger.move(replace(service, is_new=False), ServiceState.DISABLED)
        return False
    if awaiting.is_void(ledger.state, service):
        service = replace(service, awaits=None)
        ledger.put(service)
    waits = depend.because(ledger.state, spec)
    if waits and is_awaited(service):
        _wait(ledger, service, waits)
    return is_wanted(ledger.state, service)


def _wait(ledger: Ledger, service: Service, reason: str) -> None:
    """It wants to start and cannot: that is a stopped service, and it says why."""
    if service.state is ServiceState.RECOVERING:
        ledger.move(service, ServiceState.STOPPED)
        ledger.note("service.waiting", service=service.spec.name, reason=reason)


def _place(ledger: Ledger, service: Service, seated: Occupancy) -> None:
    """Start it where it should be, or else make room for it, or else let it wait."""
    may_start = not is_barred(ledger.state, service)
    tenant = ledger.state.spec.tenant(service.spec)
    ranked = seats(ledger.state, service, seated)
    if ranked and may_start:
        merit = why_chosen(ledger.state, service, ranked, seated)
        seated.take(ranked[0], tenant)
        _start(ledger, service, ranked[0], merit)
    if ranked:
        return
    room = room_for(ledger.state, service, seated) if may_start else None
    is_news = service.state is ServiceState.RECOVERING
    if is_news:
        ledger.move(retrying.in_vain(service), ServiceState.STOPPED)
    if is_news and not room:
        reason = because(ledger.state, service.spec.name)
        ledger.note("service.waiting", Severity.ERROR, service=service.spec.name, reason=reason)
    if room:
        keep_room(ledger.state, service, seated, room)
        _make_room(ledger, service.spec.name, room)


def _make_room(ledger: Ledger, by: ServiceName, room: Displacement) -> None:
    for name in room.victims:
        ledger.note(
            "service.displaced",
            Severity.WARNING,
            service=name,
            by=by,
            node=ledger.name(room.node),
        )
        begin_stop(ledger, ledger.state.services[name], After.SETTLE)


def _start(ledger: Ledger, service: Service, target: NodeId, reason: str) -> None:
    is_again = service.state is ServiceState.RECOVERING
    starting = replace(
        service,
        owner=target,
        adopted_epoch=0,
        target=None,
        awaits=None,
        after=After.STOP,
        is_new=False,
        restarts=service.restarts + 1 if is_again else 0,
    )
    placed = ledger.move(starting, ServiceState.STARTING)
    owner = ledger.name(target)
    ledger.note("service.starting", service=service.spec.name, owner=owner, reason=reason)
    if service.awaits is not None:
        failback.offer_later(ledger, placed)
