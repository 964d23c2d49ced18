# SPDX-License-Identifier: Apache-2.0
"""What becomes of a job when a step of it fails, and what is told at its end.

A fault in a non-critical part costs that part; any other fault costs the whole job: a start ends
there, stops go on. Source: rgmanager 5.6, 5.7, 3.6.
"""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.events import ResourceFailed, ResourceStartFailed, ResourceStopFailed
from rgmgr.core.local import Job, JobKind
from rgmgr.core.messages import (
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStopFailed,
    ServiceStopped,
)
from rgmgr.core.model import Service
from rgmgr.core.spec import ResourceName, ServiceSpec
from rgmgr.core.subtrees import names_off, non_critical_top
from rgmgr.core.tree import names_in, start_order, stop_order

Result = ServiceStarted | ServiceStartFailed | ServiceFailed | ServiceStopped | ServiceStopFailed


def mending(service: Service) -> Job:
    """Return the way to mend a service: its parts down, then up again but for what is off."""
    names = names_in(service.spec, service.mending)
    off = names_off(service)
    return Job(
        kind=JobKind.MEND,
        op=service.op,
        stops=tuple(r for r in stop_order(service.spec) if r.name in names),
        starts=tuple(r for r in start_order(service.spec) if r.name in names - off),
    )


def stop_failed(service: Service, job: Job, event: ResourceStopFailed) -> Job:
    """A resource did not go down; the stops go on."""
    rest = replace(job, stops=job.stops[1:])
    if job.kind is JobKind.STOP or non_critical_top(service.spec, event.resource) is None:
        return replace(rest, faults=(*job.faults, _words(event)))
    if event.resource in names_off(service):
        return replace(rest, lapses=(*job.lapses, _words(event)))
    return _without_part(service, rest, event)


def start_failed(service: Service, job: Job, event: ResourceStartFailed | ResourceFailed) -> Job:
    """A resource did not come up, or did not stay up until all was."""
    if job.kind is JobKind.MEND or non_critical_top(service.spec, event.resource) is not None:
        return _without_part(service, job, event)
    return replace(job, faults=(*job.faults, _words(event)))


def result(service: Service, job: Job, missing: tuple[ResourceName, ...]) -> Result:
    """Return what is to be told of a job at its end; `missing`: what should be up and is not."""
    name, op, reason = service.spec.name, job.op, "; ".join((*job.faults, *job.lapses))
    match job.kind:
        case JobKind.STOP:
            failed = ServiceStopFailed(service=name, op=op, reason=reason)
            return failed if job.faults else ServiceStopped(name, op)
        case JobKind.START:
            if job.faults:
                return ServiceStartFailed(service=name, op=op, reason=reason)
            return ServiceStarted(name, op, _tops(service.spec, job.failed))
        case JobKind.MEND:
            if not job.faults and not job.failed and not missing:
                return ServiceStarted(name, op)
            return ServiceFailed(
                service=name,
                op=op,
                reason=reason or f"{', '.join(missing)}: not up",
                resources=() if job.faults else missing,
                unstartable=() if job.faults else job.failed,
            )


def _without_part(
    service: Service, job: Job, event: ResourceStopFailed | ResourceStartFailed | ResourceFailed
) -> Job:
    """Go on with what does not belong together with the failed resource."""
    tree, name = service.spec, event.resource
    tops = (
        [top for top in service.mending if name in names_in(tree, (top,))]
        if job.kind is JobKind.MEND
        else [top for top in (non_critical_top(tree, name),) if top is not None]
    )
    lost = names_in(tree, tops)
    return replace(
        job,
        starts=tuple(resource for resource in job.starts if resource.name not in lost),
        failed=(*job.failed, name),
        lapses=(*job.lapses, _words(event)),
    )


def _words(event: ResourceStopFailed | ResourceStartFailed | ResourceFailed) -> str:
    return f"{event.resource}: {event.reason}"


def _tops(tree: ServiceSpec, failed: tuple[ResourceName, ...]) -> tuple[ResourceName, ...]:
    tops = (non_critical_top(tree, name) for name in failed)
    return tuple(dict.fromkeys(top for top in tops if top is not None))
