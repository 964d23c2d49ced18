# SPDX-License-Identifier: Apache-2.0
"""The rules between services, said once more and on their own: exclusive, room, apart, with.

Judges agreed states by the words of the documentation, not by the code that places services.
"""

from __future__ import annotations

from collections.abc import Iterator

from domains.model import NodeId, ServiceName, Terms
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.spec import ClusterSpec

RUNNING = (ServiceState.STARTING, ServiceState.STARTED)


def in_play(spec: ClusterSpec) -> bool:
    """Tell whether any service or node says more than its domain."""
    plain = Terms()
    return any(s.terms != plain for s in spec.services) or any(
        node.capacity is not None for node in spec.nodes.values()
    )


def broken(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield each service that was given to a node where a rule does not let it start."""
    for name, service in after.services.items():
        was = before.services.get(name)
        owner = service.owner
        is_given = service.state is ServiceState.STARTING and owner is not None
        if not is_given or owner is None or (was is not None and was.owner == owner):
            continue
        if words := why_barred(after, service, owner):
            yield f"{name} is given to {after.spec.node_name(owner)}, and {words}"


def may_wait(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a stopped service can be had by no node, not even if lesser ones went."""
    nodes = [
        n
        for n, x in cluster.nodes.items()
        if x.status is NodeStatus.ONLINE and n not in cluster.standby
    ]
    domain = cluster.spec.domain_of(service.spec)
    open_to = [
        n for n in nodes if domain is None or not domain.restricted or n in domain.priorities
    ]
    return bool(open_to) and all(_is_closed(cluster, service, n) for n in open_to)


def strays(cluster: ClusterState) -> Iterator[str]:
    """Yield the services that run elsewhere than the one they must be with, and could be there."""
    if cluster.locked or cluster.disarmed:
        return
    for name, service in cluster.services.items():
        for tie in service.spec.terms.together:
            leader = cluster.services.get(tie.service)
            if not tie.hard or leader is None or leader.owner in (None, service.owner):
                continue
            if service.state not in RUNNING or leader.state is not ServiceState.STARTED:
                continue
            node = leader.owner
            if service.frozen or node in service.failed_on:
                continue
            domain = cluster.spec.domain_of(service.spec)
            is_outside = domain is not None and domain.restricted and node not in domain.priorities
            is_open = cluster.nodes[node].status is NodeStatus.ONLINE
            is_open = is_open and node not in cluster.standby and not is_outside
            if is_open and not why_barred(cluster, service, node):
                yield f"{name} does not follow {tie.service} to {cluster.spec.node_name(node)}"


def sickness(cluster: ClusterState, node: NodeId | None) -> int:
    """Return the weight of what a node has told that it does not reach, once that counts."""
    record = cluster.nodes.get(node or NodeId(0))
    ills = (record.ills if record else None) or ()
    return sum(ping.weight for ping in cluster.spec.pings if ping.name in ills)


def sick(cluster: ClusterState) -> Iterator[str]:
    """Yield what, at rest in a whole world, some node still does not reach."""
    for node, record in cluster.nodes.items():
        if cluster.spec.pings and (record.lost != () or record.ills != ()):
            yield f"{cluster.spec.node_name(node)} does not reach all that is pinged"


def why_barred(cluster: ClusterState, service: Service, node: NodeId) -> str:
    """Say which rule keeps a service off a node; nothing when none does."""
    return _bar(cluster, service, node, _company(cluster, service, node))


def _company(cluster: ClusterState, service: Service, node: NodeId) -> list[Service]:
    return [
        s
        for s in cluster.services.values()
        if s.spec.name != service.spec.name and node in _holds(cluster, s)
    ]


def _holds(cluster: ClusterState, service: Service) -> tuple[NodeId | None, ...]:
    if service.state is not ServiceState.FAILED:
        return (service.owner, service.target) if service.owner is not None else ()
    holder = cluster.nodes.get(service.last_owner or NodeId(0))
    is_down = holder is None or holder.status in (NodeStatus.LEFT, NodeStatus.FENCED)
    return () if is_down else (service.last_owner,)


def _bar(cluster: ClusterState, service: Service, node: NodeId, company: list[Service]) -> str:
    terms, name = service.spec.terms, service.spec.name
    if company and terms.exclusive:
        return f"it is exclusive, beside {company[0].spec.name}"
    for other in company:
        theirs = other.spec.terms
        if theirs.exclusive:
            return f"{other.spec.name} is exclusive there"
        foes = [t.service for t in terms.apart if t.hard]
        foes += [name for t in theirs.apart if t.hard and t.service == name]
        if other.spec.name in foes or name in foes:
            return f"it must be apart from {other.spec.name}"
    for tie in terms.together:
        leader = cluster.services.get(tie.service)
        if tie.hard and leader and leader.state in RUNNING and leader.owner != node:
            return f"it must be with {tie.service}, which is elsewhere"
    facts = cluster.spec.nodes.get(node)
    used = sum(other.spec.terms.load for other in company)
    if facts is not None and facts.capacity is not None and used + terms.load > facts.capacity:
        return f"its load {terms.load} is too much beside {used} of {facts.capacity}"
    return ""


def _relies_on(cluster: ClusterState, service: Service) -> list[ServiceName]:
    """Return all that must run for a service to run where it is, whatever lies between."""
    found = _next_to(service)
    for name in found:  # grows meanwhile
        more = _next_to(cluster.services[name]) if name in cluster.services else []
        found += [other for other in more if other not in found]
    return found


def _next_to(service: Service) -> list[ServiceName]:
    return [*service.spec.depend, *(t.service for t in service.spec.terms.together if t.hard)]


def _turn(cluster: ClusterState, service: Service) -> tuple[int, int]:
    """Return when a service is placed, lowest first: never before one that it must be with."""
    names = list(cluster.services)
    chain = [service.spec.name]
    for name in chain:  # grows meanwhile
        ties = cluster.services[name].spec.terms.together
        leaders = [t.service for t in ties if t.hard and t.service in cluster.services]
        chain += [other for other in leaders if other not in chain]
    running = [n for n in chain[1:] if cluster.services[n].state in RUNNING]
    return max(
        (cluster.services[n].spec.terms.priority, names.index(n)) for n in (chain[0], *running)
    )


def _is_closed(cluster: ClusterState, service: Service, node: NodeId) -> bool:
    """Tell whether the node cannot take it, even without the less important services there."""
    leaders = [cluster.services.get(t.service) for t in service.spec.terms.together if t.hard]
    if any(
        leader is not None
        and leader.state is ServiceState.STOPPED
        and not (leader.is_held or leader.frozen)
        for leader in leaders
    ):
        return True  # they wait together
    names = [leader.spec.name for leader in leaders if leader is not None]
    rest = [
        other
        for other in _company(cluster, service, node)
        if other.spec.terms.priority <= service.spec.terms.priority
        or _turn(cluster, other) < _turn(cluster, service)
        or other.frozen
        or other.state not in RUNNING
        or other.spec.name in names
        or any(
            other.spec.name in _relies_on(cluster, each)
            for each in cluster.services.values()
            if each is service
            or (each.state in RUNNING and each.spec.terms.priority <= service.spec.terms.priority)
        )
    ]
    return bool(_bar(cluster, service, node, rest))
