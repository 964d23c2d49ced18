# SPDX-License-Identifier: Apache-2.0
"""Which resources of a service play a part when another one starts or stops (I3, I8).

Says for itself what the order of a tree means while a service is mended. It never changes anything.
"""

from __future__ import annotations

from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.jobs import as_it_was, change_of
from rgmgr.core.local import JobKind
from rgmgr.core.model import After, Service
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.subtrees import non_critical_top
from rgmgr.core.tree import names_in, start_order, way_to
from rgmgr.sim.host import Host


def is_untouchable(host: Host, action: StopResource) -> bool:
    """Tell whether a part of a service is mended, and this resource is none of it."""
    state = host.daemon.state if host.daemon else None
    job = state.local.jobs.get(action.service) if state else None
    service = state.cluster.services.get(action.service) if state else None
    if service is None or job is None or job.kind is not JobKind.MEND:
        return False
    return action.resource.name not in _touched(service, action)


def _touched(service: Service, action: StartResource | StopResource) -> frozenset[ResourceName]:
    """Return what goes down, or comes up, while a service is mended."""
    change = change_of(service)
    changed = change.stops if isinstance(action, StopResource) else change.starts
    return names_in(service.spec, service.mending).union(r.name for r in changed)


def order_of(service: Service, action: StartResource | StopResource) -> tuple[ResourceSpec, ...]:
    """Return the order of the tree that the action belongs to."""
    return start_order(_tree_of(service, action))


def _tree_of(service: Service, action: StartResource | StopResource) -> ServiceSpec:
    """Return the tree that the action belongs to; a changed service has two."""
    is_gone = isinstance(action, StopResource) and action.resource in change_of(service).stops
    return as_it_was(service) if is_gone else service.spec


def unneeded(host: Host, action: StartResource | StopResource) -> frozenset[ResourceName]:
    """Return the resources of a service that play no part in what is done with another one.

    What is mended hangs on what is above it, and is in order within itself; what starts and does
    not fail apart from the service also hangs on all of that kind. What a start had to leave off it
    goes on without.
    """
    if host.daemon is None or (state := host.daemon.state) is None:
        return frozenset()
    service, job = state.cluster.services.get(action.service), state.local.jobs.get(action.service)
    if service is None or job is None:
        return frozenset()
    is_repair = service.after is After.REPAIR and action.resource in change_of(service).stops
    if job.kind is JobKind.STOP and not is_repair:
        return frozenset()
    if job.kind is JobKind.START:
        tops = {non_critical_top(service.spec, name) for name in job.failed}
        return names_in(service.spec, [top for top in tops if top is not None])
    parts = _touched(service, action) - names_in(
        service.spec, [non_critical_top(service.spec, name) or name for name in job.failed]
    )
    way = way_to(_tree_of(service, action).resources, action.resource.name)
    needed = parts.union(r.name for r in way)
    vital = _vital(service.spec.resources)
    if isinstance(action, StartResource) and action.resource.name in vital:
        needed |= vital
    return frozenset(r.name for r in start_order(service.spec)) - needed


def _vital(resources: tuple[ResourceSpec, ...]) -> frozenset[ResourceName]:
    """Return the resources whose failure is one of the whole service."""
    found: set[ResourceName] = set()
    for resource in resources:
        if resource.independent is None:
            found |= {*_vital(resource.children), *(() if resource.tolerated else (resource.name,))}
    return frozenset(found)
