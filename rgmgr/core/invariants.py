# SPDX-License-Identifier: Apache-2.0
"""What must always be true of states and actions, as predicates that say what is wrong.

Cheap enough to be asked after every event, in the simulator and in production: there, an action
that must not be is not carried out. Each returns sentences; none means that all is well. Never
repairs anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Action, FenceNode, StartResource
from rgmgr.core.evolve import changed
from rgmgr.core.local import State
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.survey import changed_services

OWNED = (
    ServiceState.STARTING,
    ServiceState.STARTED,
    ServiceState.STOPPING,
    ServiceState.RECOVERABLE,
)
"""States in which a service has an owner; in all others it has none."""

GONE = (NodeStatus.LEFT, NodeStatus.FENCED)
"""A node that runs nothing, and so owns nothing."""

IN_GOOD_STANDING = (NodeStatus.ONLINE, NodeStatus.LEAVING, NodeStatus.LEFT)


def check_cluster(cluster: ClusterState, before: ClusterState | None = None) -> tuple[str, ...]:
    """Return what is wrong with an agreed state.

    `before`: one that was found to be right; records that are still as they were then, on the same
    ground, are right now. None: all are looked at.
    """
    problems: list[str] = []
    for node_id in changed(before.nodes if before else {}, cluster.nodes):
        problems += _check_node(cluster, node_id, cluster.nodes[node_id])
    if before is not None and _is_same_ground(before, cluster):
        names: Iterable[ServiceName] = changed_services(before, cluster)
    else:
        names = cluster.services
    for name in names:
        problems += _check_service(cluster, cluster.services[name])
    return tuple(problems)


def _is_same_ground(before: ClusterState, now: ClusterState) -> bool:
    """Tell whether a record of a service that was right before is right now."""
    return (
        now.spec is before.spec
        and now.next_op >= before.next_op
        and now.nodes.keys() == before.nodes.keys()
        and all(node.status is before.nodes[n].status for n, node in now.nodes.items())
    )


def check_fence(cluster: ClusterState, by: NodeId, victim: NodeId) -> tuple[str, ...]:
    """Return why this node must not fence that one, in the state it acts on (I5)."""
    name = cluster.spec.node_name(victim)
    if by == victim:
        return (f"{name} would fence itself",)
    node = cluster.nodes.get(victim)
    if node is None:
        return (f"{name} is fenced and is not part of the cluster",)
    if node.status in IN_GOOD_STANDING:
        return (f"{name} is fenced although it is {node.status.value}",)
    return ()


def check_actions(state: State, actions: Iterable[Action]) -> tuple[str, ...]:
    """Return why this member must not take these actions, in the state that they come with.

    It starts only what the record tells it to start (I2), fences nobody in good standing (I5), and
    does neither without quorum for its ring (I4).
    """
    problems: list[str] = []
    for action in actions:
        if isinstance(action, StartResource):
            problems += _check_start(state, action)
        elif isinstance(action, FenceNode):
            problems += check_fence(state.cluster, state.local.me, action.node)
            problems += _check_quorum(state, f"{action.node_name} is fenced")
    return tuple(problems)


def _check_start(state: State, action: StartResource) -> list[str]:
    what = f"{action.service}/{action.resource.name} is started"
    service = state.cluster.services.get(action.service)
    is_told = (
        service is not None
        and (service.state is ServiceState.STARTING or _is_mended(service))
        and (service.owner, service.op) == (state.local.me, action.op)
    )
    problems = _check_quorum(state, what)
    return problems if is_told else [*problems, f"{what} and no record says so"]


def _is_mended(service: Service) -> bool:
    return service.state is ServiceState.STARTED and service.is_being_mended


def _check_quorum(state: State, what: str) -> list[str]:
    local = state.local
    is_ours = local.view is not None and local.quorum_ring == local.view.ring
    if local.is_installed and is_ours and local.is_quorate and not local.emergency:
        return []
    return [f"{what} without quorum for the present ring"]


def _check_node(cluster: ClusterState, node_id: NodeId, node: Node) -> list[str]:
    name = cluster.spec.node_name(node_id)
    problems = []
    is_unclean = node.status is NodeStatus.UNCLEAN
    if node.fencer is not None and not is_unclean:
        problems.append(f"{name} is being fenced although it is {node.status.value}")
    if node.fencer == node_id:
        problems.append(f"{name} is to fence itself")
    if is_unclean and not node.victim:
        problems.append(f"{name} is unclean without a fencing case")
    if node.status is NodeStatus.FENCED and node.proof is None:
        problems.append(f"{name} counts as fenced without proof")
    if node.status in (NodeStatus.ONLINE, NodeStatus.LEAVING) and not node.incarnation:
        problems.append(f"{name} is a member that nobody has heard of")
    return problems


def _check_service(cluster: ClusterState, service: Service) -> list[str]:
    name = service.spec.name
    problems = []
    if (service.owner is not None) is not (service.state in OWNED):
        owner = "no owner" if service.owner is None else "an owner"
        problems.append(f"{name} is {service.state.value} and has {owner}")
    if service.op >= cluster.next_op:
        problems.append(f"{name} has number {service.op}, which was never given out")
    if service.owner is not None:
        problems += _check_owner(cluster, service, service.owner)
    return problems


def _check_owner(cluster: ClusterState, service: Service, owner: NodeId) -> list[str]:
    name = service.spec.name
    node = cluster.nodes.get(owner)
    if node is None:
        return [f"{name} belongs to node {owner}, which is not configured"]
    problems = []
    if node.status in GONE:
        where = cluster.spec.node_name(owner)
        problems.append(f"{name} is {service.state.value} on {where}, which is {node.status.value}")
    domain = cluster.spec.domain_of(service.spec)
    is_allowed = domain is None or not domain.restricted or owner in domain.priorities
    if service.state is ServiceState.STARTING and not is_allowed:
        where = cluster.spec.node_name(owner)
        problems.append(f"{name} starts on {where}, outside its restricted domain")
    return problems
