# SPDX-License-Identifier: Apache-2.0
"""The agreed state as the rules of `domains` see it: who holds which node, and who may come.

A service holds its owner's node, the one it is about to be moved to, and, after a stop that
failed, the one where something of it may be left. It may start only when nobody else can have it
(`unproven.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domains.displacement import Displacement, Movable, displacement
from domains.model import NodeId, ServiceName
from domains.occupancy import Bar, Obstacle, Occupancy
from domains.rank import may_own, obstacle, rank_nodes
from rgmgr.core import awaiting, depend, rivals
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.sharing import parted, places
from rgmgr.core.unproven import blockers

IDLE = (ServiceState.STOPPED, ServiceState.RECOVERING)
RUNNING = (ServiceState.STARTING, ServiceState.STARTED)
STOPPING = (ServiceState.STOPPING, ServiceState.RECOVERABLE)
_GONE_FOR_GOOD = (After.STOP, After.DISABLE)


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


def occupancy(cluster: ClusterState) -> Occupancy:
    """Return which services hold which nodes now."""
    services = cluster.services.values()
    found = empty_occupancy(cluster, [s for s in services if is_awaited(s)])
    for service in services:
        for node in places(cluster, service):
            is_up = service.state in RUNNING
            found.take(node, cluster.spec.tenant(service.spec), is_up=is_up)
    return found


def empty_occupancy(cluster: ClusterState, awaited: list[Service]) -> Occupancy:
    """Return the nodes of a cluster without any service on them."""
    spec = cluster.spec
    capacities = {n: x.capacity for n, x in spec.nodes.items() if x.capacity is not None}
    return Occupancy(
        capacities,
        awaited=[service.spec.name for service in awaited],
        ills={n: illness(cluster, n) for n in cluster.nodes} if spec.pings else None,
        is_relative=len(capacities) == len(spec.nodes),
    )


def illness(cluster: ClusterState, node: NodeId) -> int:
    """Return the weight of what a node does not reach, as far as it counts by now."""
    record = cluster.nodes.get(node)
    lost = record.ills if record else None
    return sum(ping.weight for ping in cluster.spec.pings if lost and ping.name in lost)


def is_examined(cluster: ClusterState, node: NodeId) -> bool:
    """Tell whether it is known what a node reaches; before that nothing is moved there."""
    return not cluster.spec.pings or cluster.nodes[node].ills is not None


def is_awaited(service: Service) -> bool:
    """Tell whether a service that does not run is meant to run."""
    if service.frozen or service.is_held:
        return False
    if service.state in STOPPING:
        return service.after not in _GONE_FOR_GOOD
    return service.state in IDLE and not (service.is_new and not service.spec.autostart)


def is_wanted(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a service that is meant to run could do with a node now."""
    wait = service.awaits
    is_near = wait is None or wait.node in eligible(cluster)
    return is_awaited(service) and is_near and not depend.unmet(cluster, service.spec)


def _leaves(service: Service) -> bool:
    """Tell whether a service that is being stopped goes elsewhere, as far as one can say."""
    returns = (After.RESTART, After.REPAIR, After.RECOVER)
    return service.after not in returns and service.target != service.owner


def seats(cluster: ClusterState, service: Service, seated: Occupancy) -> tuple[NodeId, ...]:
    """Return the nodes that could start it now, best first; those that failed are left out."""
    fit = _fit(cluster, service)
    ranked = rank_nodes(cluster.spec.tenant(service.spec), fit, seated)
    if service.target in ranked:
        return (service.target, *(n for n in ranked if n != service.target))
    return ranked


def _fit(cluster: ClusterState, service: Service) -> list[NodeId]:
    """Return the nodes where it has not failed, may be awaited, and what it shares may be."""
    return [
        n
        for n in eligible(cluster)
        if n not in service.failed_on
        and awaiting.lets(service, n)
        and not parted(cluster, service, n)
    ]


def in_turn(idle: list[Service]) -> list[ServiceName]:
    """Return who is placed first: what returns to its own node, then by priority, then as written.

    Whoever goes with another one comes after that one, and does not hasten it: it would have to
    make room again for those between the two.
    """
    waiting = {s.spec.name: s for s in sorted(idle, key=_urgency)}
    order: dict[ServiceName, None] = {}
    followers: dict[ServiceName, list[ServiceName]] = {}
    for name in waiting:
        ready = [name]
        while ready:
            each = ready.pop()
            leaders = (n for n in _leaders(waiting[each], waiting) if n not in order)
            if leader := next(leaders, None):
                followers.setdefault(leader, []).append(each)
            else:
                order[each] = None
                ready += reversed(followers.pop(each, []))
    return [*order, *(name for name in waiting if name not in order)]


def _leaders(service: Service, services: Mapping[ServiceName, Service]) -> Iterator[ServiceName]:
    """Yield after whom a service is placed: one that matters less is waited for only if it must."""
    for tie in service.spec.terms.together:
        leader = services.get(tie.service)
        if leader and (tie.hard or leader.spec.terms.priority <= service.spec.terms.priority):
            yield tie.service


def _placed_before(cluster: ClusterState, service: Service) -> set[ServiceName]:
    """Return who would be placed before it: displaced, they would be first again, for ever."""
    services = cluster.services.values()
    others = [s for s in services if s.state in RUNNING or is_wanted(cluster, s)]
    order = in_turn([*(s for s in others if s.spec.name != service.spec.name), service])
    return set(order[: order.index(service.spec.name)])


def _urgency(service: Service) -> tuple[bool, int]:
    is_back_at_once = service.state is ServiceState.RECOVERING and service.target is not None
    return not is_back_at_once, service.spec.terms.priority


def seated_for(cluster: ClusterState, service: Service) -> Occupancy:
    """Return which services hold which nodes, and for which room others wait before this one."""
    seated = occupancy(cluster)
    others = (s for s in cluster.services.values() if s.spec.name != service.spec.name)
    waiting = [s for s in others if s.state in IDLE and is_wanted(cluster, s)]
    for name in in_turn([*waiting, service]):
        if name == service.spec.name:
            break
        other = cluster.services[name]
        if seats(cluster, other, seated) or is_barred(cluster, other):
            continue
        if room := room_for(cluster, other, seated):
            keep_room(cluster, other, seated, room)
    return seated


def is_barred(cluster: ClusterState, service: Service) -> bool:
    """Tell whether it may start nowhere yet: it, or what it is to use, may be up somewhere."""
    return bool(
        service.cleanup or blockers(cluster, service) or rivals.unreleased(cluster, service)
    )


def other_seats(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the nodes that could have it instead of its owner, best first."""
    there = () if rivals.unreleased(cluster, service) else eligible(cluster)
    others = [n for n in there if n != service.owner and not parted(cluster, service, n)]
    return rank_nodes(cluster.spec.tenant(service.spec), others, occupancy(cluster))


def has_prospects(cluster: ClusterState, service: Service) -> bool:
    """Tell whether it could start, at once or once less important services have made room."""
    seated = seated_for(cluster, service)
    return bool(seats(cluster, service, seated) or room_for(cluster, service, seated))


def obstacle_at(
    cluster: ClusterState, service: Service, node: NodeId, seated: Occupancy | None = None
) -> Obstacle | None:
    """Return what keeps a service off a node that is there; None when nothing does."""
    tenant = cluster.spec.tenant(service.spec)
    if found := obstacle(tenant, node, seated or occupancy(cluster)):
        return found
    away = parted(cluster, service, node)
    return Obstacle(bar=Bar.SHARED, services=away) if away else None


def _needed(cluster: ClusterState, service: Service) -> set[ServiceName]:
    """Return what a service depends on, and what running ones depend on that are as important."""
    found: set[ServiceName] = set()
    rest = [service] + [
        s
        for s in cluster.services.values()
        if s.state in RUNNING and s.spec.terms.priority <= service.spec.terms.priority
    ]
    while rest:
        names = set(rest.pop().spec.depend) - found
        found |= names
        rest += [cluster.services[name] for name in names if name in cluster.services]
    return found


def room_for(cluster: ClusterState, service: Service, seated: Occupancy) -> Displacement | None:
    """Return who would have to go so that a service which no node can take can start."""
    tenant = cluster.spec.tenant(service.spec)
    fit = _fit(cluster, service)
    free = empty_occupancy(cluster, [])
    services = cluster.services.values()
    movable = Movable(
        running={s.spec.name for s in services if s.state in RUNNING and not s.frozen}
        - _needed(cluster, service)
        - _placed_before(cluster, service),
        leaving={
            (s.owner, s.spec.name)
            for s in services
            if s.state in STOPPING and s.owner is not None and _leaves(s)
        },
    )
    return displacement(tenant, rank_nodes(tenant, fit, free), seated, movable)


def keep_room(
    cluster: ClusterState, service: Service, seated: Occupancy, room: Displacement
) -> None:
    """Have whoever is placed later leave a service the room that others make for it."""
    going = (*room.victims, *room.leaving)
    seated.reserve(room.node, cluster.spec.tenant(service.spec), going)
