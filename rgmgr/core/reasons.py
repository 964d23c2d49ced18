# SPDX-License-Identifier: Apache-2.0
"""Why a service is where it is, and why it is not elsewhere: the decisions of placement in words.

Asks the very functions that decide (`placement`, `domains.rank`), so that no reason is made up.
"""

from __future__ import annotations

from domains.model import FailoverDomain, NodeId, ServiceName, Tenant
from domains.occupancy import Occupancy
from domains.rank import Drawback, drawback, should_move
from rgmgr.core.failback import when
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service
from rgmgr.core.placement import because
from rgmgr.core.seating import RUNNING, eligible, may_run, obstacle_at, occupancy

_ABSENT = {
    NodeStatus.UNSEEN: "not seen since the cluster formed",
    NodeStatus.ONLINE: "online",
    NodeStatus.LEAVING: "leaving: it gives its services away",
    NodeStatus.LEFT: "offline: its rgmgrd was stopped",
    NodeStatus.DETACHED: "its rgmgrd is gone",
    NodeStatus.UNCLEAN: "lost, and not proven down yet",
    NodeStatus.FENCED: "down, and not back yet",
}

_WORSE = {
    Drawback.ILLS: "it reaches less of what is pinged than {name}",
    Drawback.OUTSIDE: "outside domain {domain}, of which {name} is a member",
    Drawback.TIES: "{name} is nearer to, or farther from, other services as it should be",
}


def why_there(cluster: ClusterState, name: ServiceName) -> str:
    """Say why the service is where it is, or why it is nowhere."""
    service = cluster.services[name]
    owner = service.owner
    if owner is None or service.state not in RUNNING:
        return because(cluster, name) or service.state.value
    if (is_away := because(cluster, name)) and name not in cluster.failbacks:
        return is_away
    able = [n for n in eligible(cluster) if may_run(cluster, service, n)]
    if able == [owner]:
        return "the only node online that may run it"
    domain = cluster.spec.domain_of(service.spec)
    seated = occupancy(cluster)
    better = [n for n in able if _is_better(cluster, service, n, seated)]
    if better:
        names = ", ".join(map(cluster.spec.node_name, better))
        return f"stays where it is, though {names} is preferred: {_why_it_stays(cluster, service)}"
    return _merit(domain, owner)


def why_not(cluster: ClusterState, name: ServiceName, node_id: NodeId) -> str:
    """Say the first reason why the service is not on this node, which does not own it."""
    service = cluster.services[name]
    if obstacle := _obstacle(cluster, service, node_id):
        return obstacle
    if service.owner is None or service.state not in RUNNING:
        return because(cluster, name) or f"the service is {service.state.value}"
    return _why_elsewhere(cluster, service, node_id, service.owner)


def _why_elsewhere(cluster: ClusterState, service: Service, node: NodeId, owner: NodeId) -> str:
    seated = occupancy(cluster)
    if found := obstacle_at(cluster, service, node, seated):
        return found.text
    if _is_better(cluster, service, node, seated):
        return f"preferred, but {_why_it_stays(cluster, service)}"
    return _inferior(cluster, service, node, owner, seated)


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


def _is_better(cluster: ClusterState, service: Service, node: NodeId, seated: Occupancy) -> bool:
    """Tell whether a node would be chosen before the owner, if one chose now."""
    owner = service.owner
    if owner is None or node == owner or node in service.failed_on:
        return False
    if obstacle_at(cluster, service, node, seated):
        return False
    worse = drawback(cluster.spec.tenant(service.spec), owner, node, seated)
    return worse not in (None, Drawback.LOAD, Drawback.COUNT, Drawback.ID)


def _why_it_stays(cluster: ClusterState, service: Service) -> str:
    domain = cluster.spec.domain_of(service.spec)
    if domain is not None and domain.nofailback:
        return f"domain {domain.name!r} has nofailback"
    if domain is not None and service.spec.name in cluster.failbacks:
        return f"it goes there {when(domain)}"
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


def _inferior(
    cluster: ClusterState, service: Service, node: NodeId, owner: NodeId, seated: Occupancy
) -> str:
    tenant = cluster.spec.tenant(service.spec)
    domain = tenant.domain
    name = cluster.spec.node_name(owner)
    match drawback(tenant, node, owner, seated):
        case Drawback.ILLS | Drawback.TIES | Drawback.OUTSIDE as mark:
            return _WORSE[mark].format(name=name, domain=repr(service.spec.domain))
        case Drawback.PRIORITY if domain is not None:
            mine, theirs = domain.priorities[node], domain.priorities[owner]
            return f"priority {mine} in domain {domain.name!r}, {name} has {theirs}"
        case Drawback.LOAD | Drawback.COUNT:
            return _busier(tenant, node, owner, seated, name)
        case None if drawback(tenant, owner, node, seated) is not Drawback.ID:
            return f"runs fewer other services than {name}, but nothing is moved for that"
        case _:
            return f"as good as {name}, where the service runs"


def _busier(tenant: Tenant, node: NodeId, owner: NodeId, seated: Occupancy, name: str) -> str:
    """Say how many others run on two nodes, and their load where that says more."""
    counts = [seated.count(n, tenant.name) for n in (node, owner)]
    loads = [seated.load(n, tenant.name) for n in (node, owner)]
    if counts == loads:
        return f"other services: it runs {counts[0]}, {name} {counts[1]}"
    return f"other services: their load is {loads[0]} there, {loads[1]} on {name}"


def would_move(cluster: ClusterState, name: ServiceName, joiner: NodeId) -> bool:
    """Tell whether a running service would go to this node if it joined now."""
    service = cluster.services[name]
    if service.owner is None or service.state not in RUNNING or service.frozen:
        return False
    there = (*eligible(cluster), joiner)
    return should_move(cluster.spec.domain_of(service.spec), service.owner, joiner, there)
