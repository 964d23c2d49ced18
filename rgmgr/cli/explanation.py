# SPDX-License-Identifier: Apache-2.0
"""Why a service or a node is as it is, from the agreed state: facts for `rgmgr explain`.

Every reason comes from the functions that decide (`core.reasons`, `core.placement`); what is
added here is only which command would change it. Renders nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from domains.model import NodeId, ServiceName
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because, targets
from rgmgr.core.reasons import why_absent, why_not, why_there, would_move
from rgmgr.core.requests import PROVEN_DOWN
from rgmgr.core.seating import IDLE, may_run, other_seats
from rgmgr.core.subtrees import is_partial, tops_off
from rgmgr.core.unproven import blockers


@dataclass(frozen=True, slots=True)
class Remedy:
    """A command that would change something, and what it does. `node` empty: any member."""

    command: str
    effect: str
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceExplained:
    """One service. `waits_for`: None when it waits for nothing; `against`: node, reason."""

    name: str
    state: str
    owner: str | None
    why: str
    waits_for: str | None
    against: tuple[tuple[str, str], ...]
    remedies: tuple[Remedy, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExplained:
    """One node. `waiting`: services that cannot start before it is proven down."""

    name: str
    status: str
    why: str
    waits_for: str | None
    proof: str | None
    services: tuple[str, ...]
    would_come: tuple[str, ...]  # running services that would move here if it joined
    waiting: tuple[str, ...]
    remedies: tuple[Remedy, ...]


def explain_service(cluster: ClusterState, name: ServiceName) -> ServiceExplained:
    """Return everything that can be said of a service."""
    service = cluster.services[name]
    owner = service.last_owner if service.state is ServiceState.FAILED else service.owner
    others = [n for n in sorted(cluster.nodes) if n != owner]
    return ServiceExplained(
        name=name,
        state=service.state.value,
        owner=None if owner is None else cluster.spec.node_name(owner),
        why=why_there(cluster, name),
        waits_for=_waits_for(cluster, service),
        against=tuple((cluster.spec.node_name(n), why_not(cluster, name, n)) for n in others),
        remedies=tuple(_service_remedies(cluster, service)),
    )


def explain_node(cluster: ClusterState, node_id: NodeId) -> NodeExplained:
    """Return everything that can be said of a node."""
    node = cluster.nodes[node_id]
    is_away = node.status not in (NodeStatus.ONLINE, NodeStatus.LEAVING)
    return NodeExplained(
        name=cluster.spec.node_name(node_id),
        status=node.status.value,
        why=why_absent(cluster, node),
        waits_for=_node_waits_for(cluster, node_id, node),
        proof=_proof(cluster, node),
        services=cluster.owned_by(node_id),
        would_come=tuple(
            name for name in cluster.services if is_away and would_move(cluster, name, node_id)
        ),
        waiting=tuple(
            name
            for name, service in cluster.services.items()
            if (service.state in IDLE and node_id in blockers(cluster, service))
            or (service.owner == node_id and node.status is NodeStatus.UNCLEAN)
        ),
        remedies=tuple(_node_remedies(cluster, node_id, node)),
    )


def _waits_for(cluster: ClusterState, service: Service) -> str | None:
    """Return what has to happen before the service gets on."""
    match service.state:
        case ServiceState.DISABLED:
            return None
        case ServiceState.STARTING:
            return f"its start on {_name(cluster, service.owner)}"
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            return because(cluster, service.spec.name) or (
                f"its stop on {_name(cluster, service.owner)}"
            )
        case _:
            return because(cluster, service.spec.name)


def _service_remedies(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    name = service.spec.name
    if service.frozen:
        return
    match service.state:
        case ServiceState.STARTED:
            if is_partial(service):
                off = ", ".join(tops_off(service))
                yield Remedy(f"rgmgr convalesce {name}", f"starts {off}, without which it runs")
            yield from _relocation(cluster, service)
        case ServiceState.DISABLED:
            yield from _enabling(cluster, service)
        case ServiceState.FAILED:
            where = _name(cluster, service.last_owner)
            clean = f"tries once more to stop it on {where}; make sure first that nothing is left"
            yield Remedy(f"rgmgr disable {name}", clean)
            yield Remedy(f"rgmgr enable {name}", "starts it afterwards")
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            yield from _idle_remedies(cluster, service)
        case _:
            return


def _relocation(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    ranked = other_seats(cluster, service)
    if ranked and service.owner in cluster.members():
        target = _name(cluster, ranked[0])
        yield Remedy(f"rgmgr relocate {service.spec.name} -m {target}", f"moves it to {target}")
    elif service.owner is not None and (owner := cluster.nodes.get(service.owner)):
        yield from _node_remedies(cluster, service.owner, owner)


def _enabling(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    if able := targets(cluster, service):
        where = _name(cluster, able[0])
        yield Remedy(f"rgmgr enable {service.spec.name}", f"starts it on {where}")
    else:
        yield from _absent_remedies(cluster, service)


def _idle_remedies(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    if unproven := blockers(cluster, service):
        for node_id in unproven:
            yield from _node_remedies(cluster, node_id, cluster.nodes[node_id])
    elif service.cleanup:
        return
    elif service.is_held:
        yield from _enabling(cluster, service)
    elif service.failed_on and not targets(cluster, service):
        yield Remedy(f"rgmgr enable {service.spec.name}", "tries every node again; mend it first")
    elif not targets(cluster, service):
        yield from _absent_remedies(cluster, service)


def _absent_remedies(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    """What brings back a node that may run it."""
    for node_id, node in sorted(cluster.nodes.items()):
        if node.status is not NodeStatus.ONLINE and may_run(cluster, service, node_id):
            yield from _node_remedies(cluster, node_id, node)


def _node_remedies(cluster: ClusterState, node_id: NodeId, node: Node) -> Iterator[Remedy]:
    name = _name(cluster, node_id)
    match node.status:
        case NodeStatus.ONLINE:
            effect = "moves its services away and takes the node out"
            yield Remedy("systemctl stop rgmgrd", effect, name)
        case NodeStatus.LEAVING:
            return
        case NodeStatus.UNCLEAN:
            effect = "tells why fencing brings no proof; mend the device, it is tried again"
            fencer = _name(cluster, node.fencer) if node.fencer else ""
            yield Remedy("journalctl -u rgmgrd", effect, fencer)
        case _:
            yield Remedy("systemctl start rgmgrd", f"brings {name} back, once it is booted", name)


def _node_waits_for(cluster: ClusterState, node_id: NodeId, node: Node) -> str | None:
    spec = cluster.spec
    match node.status:
        case NodeStatus.UNSEEN:
            after_s = spec.fencing.post_join_delay_ms / 1000
            return f"to be seen within {after_s:g} s of the cluster's start, or it is fenced"
        case NodeStatus.DETACHED:
            return f"its rgmgrd to come back within {spec.rejoin_grace_ms / 1000:g} s, or a fence"
        case NodeStatus.UNCLEAN if node.fencer is not None:
            by = _name(cluster, node.fencer)
            return f"the device's word that it is off; {by} makes attempt {node.attempt}"
        case NodeStatus.UNCLEAN:
            return f"the next attempt to fence it; {node.attempt} made so far"
        case NodeStatus.LEAVING:
            held = ", ".join(cluster.owned_by(node_id))
            return f"its services to stop: {held}" if held else "its goodbye"
        case _:
            return None


def _proof(cluster: ClusterState, node: Node) -> str | None:
    if node.proof is None or node.status not in PROVEN_DOWN:
        return None
    by = _name(cluster, node.proof.by)
    return f"{node.proof.kind.value}, by {by}" + (
        f": {node.proof.detail}" if node.proof.detail else ""
    )


def _name(cluster: ClusterState, node: NodeId | None) -> str:
    return "no node" if node is None else cluster.spec.node_name(node)
