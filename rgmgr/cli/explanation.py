# SPDX-License-Identifier: Apache-2.0
"""Why a service or a node is as it is, from the agreed state: facts for `rgmgr explain`.

Every reason comes from the functions that decide (`core.reasons`, `core.placement`); what is
added here is only which command would change it (`remedies.py`). Renders nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from domains.model import NodeId, ServiceName
from rgmgr.cli.remedies import Remedy, name_of, of_node, of_service
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.reasons import why_absent, why_not, why_there, would_move
from rgmgr.core.requests import PROVEN_DOWN
from rgmgr.core.seating import IDLE
from rgmgr.core.unproven import blockers


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
        remedies=of_service(cluster, service),
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
        remedies=of_node(cluster, node_id),
    )


def _waits_for(cluster: ClusterState, service: Service) -> str | None:
    """Return what has to happen before the service gets on."""
    match service.state:
        case ServiceState.DISABLED:
            return None
        case ServiceState.STARTING:
            return because(cluster, service.spec.name) or (
                f"its start on {name_of(cluster, service.owner)}"
            )
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            return because(cluster, service.spec.name) or (
                f"its stop on {name_of(cluster, service.owner)}"
            )
        case _:
            return because(cluster, service.spec.name)


def _node_waits_for(cluster: ClusterState, node_id: NodeId, node: Node) -> str | None:
    spec = cluster.spec
    match node.status:
        case NodeStatus.UNSEEN:
            after_s = spec.fencing.post_join_delay_ms / 1000
            return f"to be seen within {after_s:g} s of the cluster's start, or it is fenced"
        case NodeStatus.DETACHED:
            return f"its rgmgrd to come back within {spec.rejoin_grace_ms / 1000:g} s, or a fence"
        case NodeStatus.UNCLEAN if node.fencer is not None:
            by = name_of(cluster, node.fencer)
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
    by = name_of(cluster, node.proof.by)
    return f"{node.proof.kind.value}, by {by}" + (
        f": {node.proof.detail}" if node.proof.detail else ""
    )
