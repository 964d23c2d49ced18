# SPDX-License-Identifier: Apache-2.0
"""Dependencies between services, judged from outside (I3): what may start, run on, and stop.

Says for itself what `depend` means. It never changes anything of the world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import StopResource
from rgmgr.core.local import State
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.spec import DependMode, ServiceSpec
from rgmgr.core.standing import is_left_alone
from rgmgr.sim.rules import may_wait

RUNNING = (ServiceState.STARTING, ServiceState.STARTED)
GOING = (ServiceState.STOPPING, ServiceState.RECOVERABLE)
AWAY = (NodeStatus.UNSEEN, NodeStatus.DETACHED, NodeStatus.UNCLEAN)
AT_ONCE = (After.RECOVER, After.REPAIR)


def broken_bonds(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield what starts or runs on without what it needs, by one agreed message."""
    for spec in after.spec.services:
        service, was = after.services.get(spec.name), before.services.get(spec.name)
        if not spec.depend or service is None or is_left_alone(after, service):
            continue
        lost = _lost(after, spec)
        begins = service.state is ServiceState.STARTING and (was is None or was.op != service.op)
        is_bound = is_let_down(after, spec) and service.state in RUNNING
        is_repair = was is not None and was.owner == service.owner and was.owner is not None
        was_up = is_repair or service.landing is not None
        if is_bound or (lost and begins and not was_up):
            yield f"{spec.name} is {service.state.value} without {', '.join(lost)}"


def is_let_down(cluster: ClusterState, spec: ServiceSpec) -> bool:
    """Tell whether a service may not run on, because something that it needs is not up.

    What may run where no daemon has come back yet is not known to be down.
    """
    lost = [name for name in _lost(cluster, spec) if not _is_hidden(cluster, name)]
    return spec.depend_mode is DependMode.HARD and bool(lost)


def _is_hidden(cluster: ClusterState, name: ServiceName) -> bool:
    """Tell whether nobody has done anything about it yet, and a node that has it may be away."""
    other = cluster.services.get(name)
    if other is not None and _goes_on_elsewhere(other):
        return True
    if other is None or other.is_new or other.op or other.state is not ServiceState.STOPPED:
        return False
    domain = cluster.spec.domain_of(other.spec)
    away = [n for n, node in cluster.nodes.items() if node.status in AWAY]
    return any(domain is None or not domain.restricted or n in domain.priorities for n in away)


def _lost(cluster: ClusterState, spec: ServiceSpec) -> list[ServiceName]:
    return [name for name in spec.depend if not _is_started(cluster, name)]


class Stops:
    """Sees each step of each stop. One that has begun goes on, whatever has to stop meanwhile."""

    def __init__(self, active: Mapping[ServiceName, Mapping[NodeId, int]]) -> None:
        self._active = active
        self._begun: dict[tuple[NodeId, ServiceName], int] = {}

    def step(self, node: NodeId, state: State, action: StopResource) -> list[str]:
        """Return the dependents that are still up where this service begins to stop on purpose."""
        key, service = (node, action.service), state.cluster.services.get(action.service)
        is_first = self._begun.get(key) != action.op
        self._begun[key] = action.op
        is_meant = service is not None and service.op == action.op and not state.local.emergency
        if service is None or not is_first or not is_meant:
            return []
        return list(self._overtaken(state.cluster, service))

    def _overtaken(self, cluster: ClusterState, service: Service) -> Iterator[str]:
        if service.after in AT_ONCE or service.state not in GOING:
            return
        members = cluster.members()
        for spec in cluster.spec.services:
            other = cluster.services.get(spec.name)
            if service.spec.name not in spec.depend or other is None or other.state not in GOING:
                continue
            if other.owner in members and self._active.get(spec.name, {}).get(other.owner):
                yield f"{service.spec.name} is stopped before {spec.name}, which needs it"


def rests(cluster: ClusterState, spec: ServiceSpec) -> bool:
    """Tell whether a stopped service rightly waits for one that is down, at any distance."""
    found = [(name, cluster.services.get(name)) for name in spec.depend]
    return any(
        other is None
        or other.state is ServiceState.DISABLED
        or (other.state is ServiceState.STOPPED and _may_rest(cluster, other))
        for _, other in found
    )


def _may_rest(cluster: ClusterState, service: Service) -> bool:
    return rests(cluster, service.spec) or may_wait(cluster, service)


def _is_started(cluster: ClusterState, name: ServiceName) -> bool:
    other = cluster.services.get(name)
    return other is not None and other.state is ServiceState.STARTED


def _goes_on_elsewhere(service: Service) -> bool:
    """Tell whether it goes to another node and is up all the time, as far as one knows."""
    is_leaving = service.state is ServiceState.STOPPING and service.after is After.MIGRATE
    return is_leaving or (service.state is ServiceState.STARTING and service.landing is not None)
