# SPDX-License-Identifier: Apache-2.0
"""Why a service is where it is, and why it is not elsewhere: the decisions of placement in words.

Asks the very functions that decide (`placement`, `domains.rank`), so that no reason is made up.
"""

from __future__ import annotations

from domains.model import FailoverDomain, NodeId, ServiceName
from domains.rank import Drawback, drawback, should_move
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service
from rgmgr.core.placement import RUNNING, because, eligible, load_by_node, may_run

_ABSENT = {
    NodeStatus.UNSEEN: "not seen since the cluster formed",
    NodeStatus.ONLINE: "online",
    NodeStatus.LEAVING: "leaving: it gives its services away",
    NodeStatus.LEFT: "offline: its rgmgrd was stopped",
    NodeStatus.DETACHED: "its rgmgrd is gone",
    NodeStatus.UNCLEAN: "lost, and not proven down yet",
    NodeStatus.FENCED: "down, and not back yet",
}


def why_there(cluster: ClusterState, name: ServiceName) -> str:
    """Say why the service is where it is, or why it is nowhere."""
    service = cluster.services[name]
    owner = service.owner
    if owner is None or service.state not in RUNNING:
        return because(cluster, name) or service.state.value
    if is_away := because(cluster, name):
        return is_away
    able = [n for n in eligible(cluster) if may_run(cluster, service, n)]
    if able == [owner]:
        return "the only node online that may run it"
    domain = cluster.spec.domain_of(service.spec)
    better = [n for n in able if _is_better(cluster, service, n)]
    if better:
        names = ", ".join(map(cluster.spec.node_name, better))
        return f"stays where it is, though {names} is preferred: {_why_it_stays(domain)}"
    return _merit(domain, owner)


def why_not(cluster: ClusterState, name: ServiceName, node_id: NodeId) -> str:
    """Say the first reason why the service is not on this node, which does not own it."""
    service = cluster.services[name]
    if obstacle := _obstacle(cluster, service, node_id):
        return obstacle
    domain = cluster.spec.domain_of(service.spec)
    owner = service.owner
    if owner is None or service.state not in RUNNING:
        return because(cluster, name) or f"the service is {service.state.value}"
    if _is_better(cluster, service, node_id):
        return f"preferred, but {_why_it_stays(domain)}"
    return _inferior(cluster, service, node_id, owner)


def _obstacle(cluster: ClusterState, service: Service, node_id: NodeId) -> str:
    """Say why it could not be there at all, whatever the domain prefers; empty: it could."""
    node = cluster.nodes[node_id]
    if not may_run(cluster, service, node_id):
        return f"restricted domain {service.spec.domain!r} does not have it"
    if node.status is not NodeStatus.ONLINE:
        return why_absent(cluster, node)
    if node_id in cluster.standby:
        return f"in standby, ordered by {cluster.standby[node_id].by}"
    if node_id in service.failed_on:
        return f"it failed there: {service.fault}"
    return ""


def why_absent(cluster: ClusterState, node: Node) -> str:
    """Say why a node that is not online cannot be given services; 'online' for one that is."""
    match node.status:
        case NodeStatus.UNCLEAN if node.last_fault:
            return f"{_ABSENT[node.status]} (last attempt: {node.last_fault})"
        case NodeStatus.FENCED if node.proof:
            by = cluster.spec.node_name(node.proof.by)
            return f"{_ABSENT[node.status]} (proven by {by})"
        case _:
            return _ABSENT[node.status]


def _is_better(cluster: ClusterState, service: Service, node: NodeId) -> bool:
    """Tell whether a node would be chosen before the owner, if one chose now."""
    owner = service.owner
    domain = cluster.spec.domain_of(service.spec)
    if owner is None or node == owner or node in service.failed_on:
        return False
    worse = drawback(domain, owner, node, _load_without(cluster, owner))
    return worse in (Drawback.OUTSIDE, Drawback.PRIORITY)


def _why_it_stays(domain: FailoverDomain | None) -> str:
    if domain is not None and domain.nofailback:
        return f"domain {domain.name!r} has nofailback"
    return "a running service moves only when a better node joins or somebody relocates it"


def _merit(domain: FailoverDomain | None, owner: NodeId) -> str:
    if domain is None:
        return "any node may run it, and it stays where it was started"
    if owner not in domain.priorities:
        return f"no member of domain {domain.name!r} is online"
    if domain.ordered:
        priority = domain.priorities[owner]
        return f"the best of domain {domain.name!r} that is online (priority {priority})"
    return f"a member of domain {domain.name!r}, whose members are alike"


def _inferior(cluster: ClusterState, service: Service, node: NodeId, owner: NodeId) -> str:
    domain = cluster.spec.domain_of(service.spec)
    load = _load_without(cluster, owner)
    name = cluster.spec.node_name(owner)
    match drawback(domain, node, owner, load):
        case Drawback.OUTSIDE:
            return f"outside domain {service.spec.domain!r}, of which {name} is a member"
        case Drawback.PRIORITY if domain is not None:
            mine, theirs = domain.priorities[node], domain.priorities[owner]
            return f"priority {mine} in domain {domain.name!r}, {name} has {theirs}"
        case Drawback.LOAD:
            return f"other services: it runs {load.get(node, 0)}, {name} {load.get(owner, 0)}"
        case Drawback.ID | Drawback.PRIORITY:
            return f"as good as {name}, where the service runs"
        case None if drawback(domain, owner, node, load) is Drawback.LOAD:
            return f"runs fewer other services than {name}, but nothing is moved for that"
        case None:
            return f"as good as {name}, where the service runs"


def _load_without(cluster: ClusterState, owner: NodeId) -> dict[NodeId, int]:
    """Count the services of each node, without one that this owner runs."""
    load = load_by_node(cluster)
    return {**load, owner: load[owner] - 1}


def would_move(cluster: ClusterState, name: ServiceName, joiner: NodeId) -> bool:
    """Tell whether a running service would go to this node if it joined now."""
    service = cluster.services[name]
    if service.owner is None or service.state not in RUNNING or service.frozen:
        return False
    there = (*eligible(cluster), joiner)
    return should_move(cluster.spec.domain_of(service.spec), service.owner, joiner, there)
