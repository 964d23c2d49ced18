# SPDX-License-Identifier: Apache-2.0
"""Where services start: asked after every agreed event, answered alike by every member.

A service may start only when nobody else can have it. A node that is not proven down ("unproven":
unseen, detached or unclean) may have been given it by messages that died with it; it cannot have
been when the owner, or the proof of the owner's end, freed the service after that node was gone.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId, ServiceName
from domains.rank import may_own, rank_nodes, should_move
from rgmgr.core.actions import Severity
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.recovery import begin_stop
from rgmgr.core.spec import ServiceSpec
from rgmgr.core.standing import is_left_alone, why_nothing_starts

UNPROVEN = (NodeStatus.UNSEEN, NodeStatus.DETACHED, NodeStatus.UNCLEAN)
IDLE = (ServiceState.STOPPED, ServiceState.RECOVERING)
RUNNING = (ServiceState.STARTING, ServiceState.STARTED)


def online(cluster: ClusterState) -> tuple[NodeId, ...]:
    """Nodes that take part and stay, lowest id first; none that is still cut off."""
    return tuple(
        sorted(
            n
            for n, x in cluster.nodes.items()
            if x.status is NodeStatus.ONLINE and not x.is_cut_off
        )
    )


def eligible(cluster: ClusterState) -> tuple[NodeId, ...]:
    """Nodes that may be given services, lowest id first: those online and not in standby."""
    return tuple(n for n in online(cluster) if n not in cluster.standby)


def may_run(cluster: ClusterState, service: Service, node: NodeId) -> bool:
    """Tell whether the domain lets this node own the service, be it online or not."""
    return may_own(cluster.spec.domain_of(service.spec), node)


def targets(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the nodes that could start it now, best first; those that failed are left out."""
    fit = [n for n in eligible(cluster) if n not in service.failed_on]
    ranked = rank_nodes(cluster.spec.domain_of(service.spec), fit, load_by_node(cluster))
    if service.target in ranked:
        return (service.target, *(n for n in ranked if n != service.target))
    return ranked


def blockers(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the unproven nodes that might run the service, as far as anybody knows."""
    return tuple(
        sorted(
            n
            for n, node in cluster.nodes.items()
            if node.status in UNPROVEN
            and may_run(cluster, service, n)
            and not _was_freed_after(service, node.lost_epoch)
        )
    )


def settle(ledger: Ledger) -> None:
    """Start what should run and can, move what must move. Called after every agreed event."""
    configured = {spec.name: spec for spec in ledger.state.spec.services}
    for name in tuple(ledger.state.services):
        service = ledger.state.services[name]
        spec = configured.get(name)
        if spec is None:
            _retire(ledger, service)
        elif service.state in RUNNING:
            _leave(ledger, service)
        elif service.state in IDLE:
            _consider(ledger, service, spec)


def offer_to_joiners(
    ledger: Ledger, away_since: dict[NodeId, int], among: tuple[NodeId, ...] | None = None
) -> None:
    """Move running services to a node that has just joined and suits them better.

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
        domain = ledger.state.spec.domain_of(service.spec)
        since = away_since.get(owner, ledger.state.epoch)
        joined = [n for n in candidates if nodes[n].joined_epoch >= since]
        better = [n for n in joined if should_move(domain, owner, n, there)]
        ranked = rank_nodes(domain, better, load_by_node(ledger.state))
        if ranked:
            ledger.note(
                "service.failback_begun",
                service=service.spec.name,
                owner=ledger.name(owner),
                target=ledger.name(ranked[0]),
            )
            begin_stop(ledger, service, After.RELOCATE, ranked[0])


def because(cluster: ClusterState, name: ServiceName) -> str | None:
    """Say why a service is not running where it should; None when it is, or is on its way."""
    service = cluster.services[name]
    match service.state:
        case ServiceState.STARTED | ServiceState.STARTING | ServiceState.STOPPING:
            return _because_of_owner(cluster, service) or _because_left_alone(cluster, service)
        case ServiceState.RECOVERABLE:
            return _because_of_owner(cluster, service) or f"recovering from: {service.fault}"
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
    return f"stop failed on {where}: {service.fault}; {advice}"


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
    """Say that a service failed and nothing is done about it; None when none of it is so."""
    is_up = service.state is ServiceState.STARTED and not service.fault
    if is_up or not is_left_alone(cluster, service):
        return None
    why = why_nothing_starts(cluster) or "frozen by an administrator"
    return f"{service.fault or service.state.value}; left alone: {why}"


def _because_idle(cluster: ClusterState, service: Service) -> str:
    names = cluster.spec.node_name
    if service.frozen or service.is_held:
        word = "frozen" if service.frozen else "stopped"
        until = "" if service.frozen else " until the membership changes"
        return f"{word} by an administrator{until}"
    if why := why_nothing_starts(cluster):
        return why
    if service.cleanup:
        return f"waiting for left-overs on {', '.join(map(names, service.cleanup))}"
    if unproven := blockers(cluster, service):
        return f"waiting for proof that {', '.join(map(names, unproven))} runs none of it"
    if targets(cluster, service):
        return "about to start"
    return _because_nowhere(cluster, service)


def _because_nowhere(cluster: ClusterState, service: Service) -> str:
    names = cluster.spec.node_name
    if service.failed_on:
        tried = ", ".join(map(names, service.failed_on))
        return f"start failed on {tried}: {service.fault}"
    idle = [n for n in online(cluster) if n in cluster.standby and may_run(cluster, service, n)]
    if idle:
        return f"every node that may run it is in standby: {', '.join(map(names, idle))}"
    return f"no node of domain {service.spec.domain!r} is online"


def _was_freed_after(service: Service, lost_epoch: int) -> bool:
    return 0 < lost_epoch <= service.freed_epoch


def load_by_node(cluster: ClusterState) -> dict[NodeId, int]:
    """Count the services each node runs or starts."""
    load: dict[NodeId, int] = {}
    for service in cluster.services.values():
        if service.owner is not None and service.state in RUNNING:
            load[service.owner] = load.get(service.owner, 0) + 1
    return load


def _retire(ledger: Ledger, service: Service) -> None:
    """A service that is no longer configured is stopped, then forgotten."""
    if is_left_alone(ledger.state, service):
        return
    if service.state in RUNNING:
        begin_stop(ledger, service, After.DISABLE)
    elif service.owner is None and not service.cleanup and service.state is not ServiceState.FAILED:
        ledger.drop(service.spec.name)


def _leave(ledger: Ledger, service: Service) -> None:
    """Its owner goes or is in standby, or may not run it by a new configuration."""
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


def _consider(ledger: Ledger, service: Service, spec: ServiceSpec) -> None:
    if spec != service.spec:
        service = replace(service, spec=spec)  # its domain decides where it starts
        ledger.put(service)
    if service.frozen or service.is_held or why_nothing_starts(ledger.state):
        return
    if service.is_new and not service.spec.autostart:
        ledger.move(replace(service, is_new=False), ServiceState.DISABLED)
        return
    ranked = targets(ledger.state, service)
    if ranked and not service.cleanup and not blockers(ledger.state, service):
        _start(ledger, service, ranked[0])
    elif not ranked and service.state is ServiceState.RECOVERING:
        ledger.move(service, ServiceState.STOPPED)
        reason = because(ledger.state, service.spec.name)
        ledger.note("service.waiting", Severity.ERROR, service=service.spec.name, reason=reason)


def _start(ledger: Ledger, service: Service, target: NodeId) -> None:
    is_again = service.state is ServiceState.RECOVERING
    starting = replace(
        service,
        owner=target,
        target=None,
        after=After.STOP,
        is_new=False,
        restarts=service.restarts + 1 if is_again else 0,
    )
    ledger.move(starting, ServiceState.STARTING)
    ledger.note("service.starting", service=service.spec.name, owner=ledger.name(target))
