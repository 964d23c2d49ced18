# SPDX-License-Identifier: Apache-2.0
"""Resources that several services use, as all members see them: where each may be.

What exists on every node (a unit, a directory) may be used on several nodes at once. What exists
once (an address, a file system on a shared disk) may not, whichever services use it: none of them
starts on a node while another one has, or may have, something elsewhere. The configuration ties
such services together (`with`, `depend`), so that they move as one; this rule holds whatever the
ties are. Who starts it first and stops it last on a node is in `uses.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from domains.model import NodeId, ServiceName
from rgmgr.core.evolve import replace
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.spec import (
    SHAREABLE_FILE_SYSTEMS,
    DependMode,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.core.tree import start_order

_ONCE = ("ip", "lvm", "ocf", "vm")
"""Types of which one and the same is never on two nodes; of an agent nobody knows better."""


def exists_once(resource: ResourceSpec) -> bool:
    """Tell whether a resource may be up on one node only."""
    if resource.type == "fs":
        return resource.parameters.get("fstype") not in SHAREABLE_FILE_SYSTEMS
    return resource.type in _ONCE


def places(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the nodes that a service holds: its owner's, its next one, where its stop failed."""
    if service.state is ServiceState.FAILED:
        holder = service.last_owner
        node = cluster.nodes.get(holder) if holder is not None else None
        is_down = node is None or node.status in (NodeStatus.LEFT, NodeStatus.FENCED)
        held = [None if is_down else holder, service.landing]
    elif service.owner is None:
        return ()
    else:
        held = [service.owner, service.target, service.landing]
    return tuple(dict.fromkeys(n for n in held if n is not None))


def parted(
    cluster: ClusterState, service: Service, node: NodeId, spec: ServiceSpec | None = None
) -> tuple[ServiceName, ...]:
    """Return who has, or may have, elsewhere what a service would use on this node.

    Who is stopped before it, whenever it goes, is not in its way. `spec`: what it is to be; None:
    what it is.
    """
    mine = _once_in(spec or service.spec)
    if not mine:
        return ()
    return tuple(
        other.spec.name
        for other in cluster.services.values()
        if other.spec.name != service.spec.name
        and not mine.isdisjoint(_may_hold(other))
        and any(n != node for n in (*places(cluster, other), *other.cleanup))
        and not (service.owner is not None and _goes_first(other, service))
    )


def _goes_first(other: Service, service: Service) -> bool:
    is_bound = other.spec.depend_mode is DependMode.HARD and service.spec.name in other.spec.depend
    is_stuck = other.frozen or other.cleanup or other.state is ServiceState.FAILED
    return is_bound and not is_stuck


def users(services: Iterable[ServiceSpec]) -> dict[ResourceName, tuple[ServiceName, ...]]:
    """Return who uses which shared resource, in the order of the services."""
    found: dict[ResourceName, tuple[ServiceName, ...]] = {}
    for service in services:
        for name in dict.fromkeys(r.name for r in start_order(service) if r.is_shared):
            found[name] = (*found.get(name, ()), service.name)
    return found


def have_in_common(one: Service, other: Service) -> bool:
    """Tell whether two services use the same thing, of which there is one."""
    return not _may_hold(one).isdisjoint(_may_hold(other))


def _may_hold(service: Service) -> frozenset[ResourceName]:
    """Return what may be up of it: a changed tree counts as it was, too."""
    now = _once_in(service.spec)
    if not service.former:
        return now
    return now | _once_in(replace(service.spec, resources=service.former))


def _once_in(spec: ServiceSpec) -> frozenset[ResourceName]:
    return frozenset(r.name for r in start_order(spec) if r.is_shared and exists_once(r))
