# SPDX-License-Identifier: Apache-2.0
"""What becomes of a job when a step of it fails, and what is told at its end.

A fault in a non-critical part costs that part; any other fault costs the whole job: a start ends
there, stops go on. Source: rgmanager 5.6, 5.7, 3.6.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from domains.model import NodeId
from rgmgr.core.delta import Delta, both, delta
from rgmgr.core.events import ResourceFailed, ResourceStartFailed, ResourceStopFailed
from rgmgr.core.evolve import replace
from rgmgr.core.local import Job, JobKind, LocalState, Turn
from rgmgr.core.messages import (
    EMERGENCY_OP,
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStayed,
    ServiceStopFailed,
    ServiceStopped,
)
from rgmgr.core.model import Service
from rgmgr.core.spec import LEFT_OVER, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.subtrees import names_off, non_critical_top
from rgmgr.core.tree import names_in, start_order, stop_from_fault, stop_order

Result = (
    ServiceStarted
    | ServiceStartFailed
    | ServiceFailed
    | ServiceStopped
    | ServiceStopFailed
    | ServiceStayed
)


def mending(service: Service) -> Job:
    """Return the way to mend a service: what has to go down, then what has to come up.

    That are its broken parts, up again but for what is off, and what a new tree changes.
    """
    change = change_of(service)
    parts = names_in(service.spec, service.mending)
    up = parts | {r.name for r in (*change.starts, *change.reconfigures)}
    down = tuple(r for r in may_be_up(service) if r.name in parts or r in change.stops)
    return Job(
        kind=JobKind.MEND,
        op=service.op,
        stops=down if parts else change.stops,
        starts=tuple(r for r in start_order(service.spec) if r.name in up - names_off(service)),
    )


def stopping(service: Service, broken: Collection[ResourceName] = ()) -> Job:
    """Return the way down; all of it, or from the first of these on, in the order of the start."""
    order = may_be_up(service)
    if broken:
        late = {resource.name for resource in stop_from_fault(service.spec, broken)}
        gone = change_of(service).stops
        order = tuple(r for r in order if r.name in late or r in gone)
    return Job(kind=JobKind.STOP, op=service.op, stops=order)


def with_left_overs(
    job: Job,
    left_overs: Sequence[ResourceName],
    shared: Collection[ResourceName],
    *,
    is_last: bool = False,
) -> Job:
    """Return the way down with what is up besides, in no tree that is agreed.

    It goes first, the other way round than it is known: what a newer tree adds relies on the others
    more often than they on it.
    """
    strays = tuple(
        ResourceSpec(name=name, type=LEFT_OVER, parameters={}, is_shared=name in shared)
        for name in reversed(left_overs)
    )
    return replace(job, stops=(*job.stops, *strays) if is_last else (*strays, *job.stops))


def change_of(service: Service) -> Delta:
    """Return what is to be done about a tree that has changed under a running service."""
    return delta(as_it_was(service), service.spec) if service.former else Delta()


def may_be_up(service: Service) -> tuple[ResourceSpec, ...]:
    """Return all that may be up, in the order of a stop."""
    return stop_order(both(as_it_was(service), service.spec) if service.former else service.spec)


def names_of(service: Service) -> frozenset[ResourceName]:
    """Return the names of all that may be up of a service."""
    return frozenset(resource.name for resource in may_be_up(service))


def as_it_was(service: Service) -> ServiceSpec:
    """Return the service with the tree that its present one takes the place of."""
    return replace(service.spec, resources=service.former)


def stop_failed(service: Service, job: Job, event: ResourceStopFailed) -> Job:
    """A resource did not go down; the stops go on."""
    rest = replace(job, stops=job.stops[1:])
    if (
        job.kind in (JobKind.STOP, JobKind.MIGRATE)
        or non_critical_top(service.spec, event.resource) is None
    ):
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
        case JobKind.MIGRATE if job.stays:
            return ServiceStayed(service=name, op=op, reason=job.stays)
        case JobKind.STOP | JobKind.MIGRATE:
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


def is_known_to(turn: Turn, job: Job, node: NodeId) -> bool:
    """Tell whether a member has applied what the job was made from, by its ticks in this epoch."""
    epoch, applied = job.since
    needed = applied if epoch == turn.cluster.epoch else 0
    return turn.pulse.applied_by.get(node, -1) >= needed


def heed_arrival(turn: Turn, service: Service) -> None:
    """Forget the emergency stop of a machine that has come in only now: it was none of it."""
    name, me = service.spec.name, turn.local.me
    before = turn.before.cluster.services.get(name)
    has_come = before is not None and _is_here(service, me) and not _is_here(before, me)
    if has_come and turn.local.reported.get(name) == (EMERGENCY_OP, False):
        turn.update(reported={n: r for n, r in turn.local.reported.items() if n != name})


def _is_here(service: Service, me: NodeId) -> bool:
    """Tell whether its former owner has said that what it has of it would be here."""
    return me in service.cleanup or service.landing == me == service.owner


def is_about_to_migrate(local: LocalState) -> bool:
    """Tell whether something here waits for the ticks of another member."""
    return any(j.kind is JobKind.MIGRATE and not j.is_waiting for j in local.jobs.values())


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
    lost = names_in(tree, tops or (name,))
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
