# SPDX-License-Identifier: Apache-2.0
"""This node's share of the services: one resource at a time, in tree order.

Driven by levels, not edges: after every event the record says what this node has to do with a
service (`_duty`), and the job follows. A stop always goes on; a start goes on only while the gate
is open. Results go to all members through the outbox.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from domains.model import ServiceName
from rgmgr.core import durable, jobs, outbox, resting
from rgmgr.core.actions import MigrateResource, Severity, StartResource, StopResource
from rgmgr.core.depend import must_go_first
from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStayed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
)
from rgmgr.core.evolve import replace
from rgmgr.core.local import Job, JobKind, Turn
from rgmgr.core.messages import (
    EMERGENCY_OP,
    Claim,
    Health,
    ServiceFailed,
    ServiceStarted,
)
from rgmgr.core.model import After, NodeStatus, Service, ServiceState
from rgmgr.core.no_quorum import is_untouched, must_stop
from rgmgr.core.recovery import STOPPING_STATES
from rgmgr.core.sharing import users
from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.core.subtrees import ground_of, names_off
from rgmgr.core.survey import changed_services, restless
from rgmgr.core.tree import start_order, stopped_later
from rgmgr.core.unproven import is_elsewhere
from rgmgr.core.uses import is_kept, must_wait

StepEnded = (
    ResourceStarted | ResourceStartFailed | ResourceStopped | ResourceStopFailed | ResourceStayed
)


@dataclass(frozen=True, slots=True)
class _Duty:
    kind: JobKind
    op: int


def probed(turn: Turn, event: ServiceProbed) -> None:
    """Systemd told what really runs of one service here."""
    if event.service not in turn.local.jobs:
        _set_active(turn, event.service, event.active)
        _set_doubtful(turn, event.service, event.doubtful)
    resting.probed(turn, event.service)


def foreign(turn: Turn) -> tuple[ServiceName, ...]:
    """Return the services active here of which the records know nothing.

    Somebody started them by hand, say.
    """
    local = turn.local
    if not local.is_installed or local.emergency or local.me not in turn.cluster.members():
        return ()
    return tuple(
        name
        for name, active in local.active.items()
        if name not in local.jobs
        and (service := turn.cluster.services.get(name)) is not None
        and service.owner != local.me
        and not jobs.names_of(service).isdisjoint(active)  # else nobody knows how to stop it
        and local.me not in (service.landing, *service.cleanup)
        and service.state is not ServiceState.FAILED
    )


def step_ended(turn: Turn, event: StepEnded) -> None:
    """A resource came up, or went down, or did not."""
    _note_activity(turn, event)
    job, service = turn.local.jobs.get(event.service), turn.cluster.services.get(event.service)
    if job is None or not _is_answer(job, event):
        return
    if service is None:
        _set_job(turn, event.service, None)
        return
    job = replace(job, is_waiting=False)
    match event:
        case ResourceStarted():
            step, *rest = job.starts
            job = replace(job, starts=tuple(rest), done=(*job.done, step))
        case ResourceStopped():
            job = replace(job, stops=job.stops[1:])
        case ResourceStopFailed():
            job = jobs.stop_failed(service, job, event)
        case ResourceStayed():
            job = replace(job, stops=(), stays=event.reason)
        case ResourceStartFailed():
            job = jobs.start_failed(service, job, event)
    _set_job(turn, event.service, job)


def resource_failed(turn: Turn, event: ResourceFailed) -> None:
    """A resource that was up went down by itself."""
    still = tuple(r for r in turn.local.active.get(event.service, ()) if r != event.resource)
    _set_active(turn, event.service, still)
    fault = f"{event.resource}: {event.reason}"
    turn.update(faults={**turn.local.faults, event.service: fault})
    job = turn.local.jobs.get(event.service)
    service = turn.cluster.services.get(event.service)
    if job is not None and service is not None and job.kind is JobKind.START:
        _set_job(turn, event.service, jobs.start_failed(service, job, event))


def drive(turn: Turn, *, may_start: bool) -> None:
    """Bring every service here closer to what its record asks of this node."""
    if _is_done(turn):
        return
    for name in _concerned(turn):
        service = turn.cluster.services[name]
        jobs.heed_arrival(turn, service)
        duty = _duty(turn, name, service)
        resting.heed(turn, name, service, is_busy=duty is not None)
        _align(turn, name, service, duty)
        if duty is not None:
            _advance(turn, name, service, may_start=may_start and _is_given(turn, service))
        if duty is None:
            _watch(turn, name, service)


def _is_done(turn: Turn) -> bool:
    """Tell whether nothing is under way, and nothing has changed since that was last settled."""
    before, local = turn.before.local, turn.local
    return (
        not local.jobs
        and turn.cluster is turn.before.cluster
        and local.active is before.active
        and local.doubtful is before.doubtful
        and local.reported is before.reported
        and local.resting is before.resting
        and local.emergency == before.emergency
    )


def _concerned(turn: Turn) -> list[ServiceName]:
    """Return the services of which this node may have something to do now.

    Most belong to other nodes, and of its own most are as they were when they were last settled, or
    wait for an answer. One that is to stop may have waited for another one.
    """
    jobs, services = turn.local.jobs, turn.cluster.services
    if turn.local.emergency or turn.before.local.emergency:
        return sorted(services)
    due = {name for name, job in jobs.items() if not job.is_waiting}
    due |= {*turn.local.resting, *turn.before.local.resting}
    uneasy = restless(turn.cluster, turn.before.cluster)
    stopping = [name for name in uneasy if services[name].state in STOPPING_STATES]
    asked = {*changed_services(turn.before.cluster, turn.cluster), *_news(turn), *stopping}
    concerned = {name for name in asked if _is_ours(turn, name)} | due
    return sorted(name for name in concerned if name in services)


def _is_ours(turn: Turn, name: ServiceName) -> bool:
    me, service = turn.local.me, turn.cluster.services.get(name)
    is_held = service is not None and (service.owner == me or me in service.cleanup)
    return is_held or name in turn.local.jobs


def _news(turn: Turn) -> set[ServiceName]:
    """Return the services of which this node knows something else than before this event."""
    local, before = turn.local, turn.before.local
    pairs = (
        (local.active, before.active),
        (local.doubtful, before.doubtful),
        (local.reported, before.reported),
    )
    return {
        name
        for now, then in pairs
        if now is not then
        for name in {*now, *then}
        if now.get(name) != then.get(name)
    }


def claims(turn: Turn) -> tuple[Claim, ...]:
    """Say what really runs here, for HELLO."""
    found = []
    for name in sorted(turn.cluster.services):
        service = turn.cluster.services[name]
        job = turn.local.jobs.get(name)
        ended = _reported_op(turn, name)
        op = job.op if job else ended or 0
        health = _health(turn, service)
        if health is Health.NONE and service.landing == turn.local.me:
            health = Health.PARTIAL  # it may be here, and nobody has looked
        if job or health is not Health.NONE or (ended and ended in (service.op, EMERGENCY_OP)):
            missing = _missing(turn, service) if health is Health.PARTIAL else ()
            is_busy = job is not None
            claim = Claim(service=name, health=health, op=op, is_busy=is_busy, missing=missing)
            found.append(claim)
    # what is active here and in no record of ours may be in the others'
    unknown = [name for name in turn.local.active if name not in turn.cluster.services]
    found += [
        Claim(service=name, health=Health.PARTIAL, op=0, is_busy=False) for name in sorted(unknown)
    ]
    return tuple(found)


def holds_anything(turn: Turn) -> bool:
    """Tell whether anything of any service is or may be active here."""
    local = turn.local
    if local.jobs or any(local.active.values()):
        return True
    return any(service.landing == local.me for service in turn.cluster.services.values())


def _duty(turn: Turn, name: ServiceName, service: Service) -> _Duty | None:
    if turn.local.emergency and must_stop(turn, service):
        is_seen = bool(turn.local.active.get(name)) or name in turn.local.jobs
        is_there = is_seen or turn.local.me in (service.landing, *service.cleanup)
        is_done = _reported_op(turn, name) == EMERGENCY_OP and name not in turn.local.jobs
        return _Duty(JobKind.STOP, EMERGENCY_OP) if is_there and not is_done else None
    is_cleaning = turn.local.me in service.cleanup
    if service.owner != turn.local.me:
        return _Duty(JobKind.STOP, service.cleanup_op) if is_cleaning else None
    return _duty_of_owner(turn, name, service)


def _duty_of_owner(turn: Turn, name: ServiceName, service: Service) -> _Duty | None:
    match service.state:
        case ServiceState.STARTING:
            return _Duty(JobKind.START, service.op)
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            waits = is_untouched(turn, service) or must_go_first(turn.cluster, service)
            kind = JobKind.MIGRATE if service.after is After.MIGRATE else JobKind.STOP
            stop, job = _Duty(kind, service.op), turn.local.jobs.get(name)
            is_begun = job is not None and _Duty(job.kind, job.op) == stop
            return stop if is_begun or not waits else None
        case ServiceState.STARTED if _is_in_emergency(turn, name):
            return _Duty(JobKind.STOP, EMERGENCY_OP)  # what has begun is ended, and then told
        case ServiceState.STARTED if service.is_being_mended:
            is_held = is_untouched(turn, service) and name not in turn.local.jobs
            return None if is_held else _Duty(JobKind.MEND, service.op)
        case _:
            return None


def _is_in_emergency(turn: Turn, name: ServiceName) -> bool:
    job = turn.local.jobs.get(name)
    return job is not None and job.op == EMERGENCY_OP


def _reported_op(turn: Turn, name: ServiceName) -> int | None:
    reported = turn.local.reported.get(name)
    return reported[0] if reported else None


def _align(turn: Turn, name: ServiceName, service: Service, duty: _Duty | None) -> None:
    """Replace a job that is not the duty's, once its present step has been answered."""
    job = turn.local.jobs.get(name)
    is_meant = job is not None and duty == _Duty(job.kind, job.op)
    if is_meant or (job is not None and job.is_waiting):
        return
    has_ended = duty is not None and _reported_op(turn, name) == duty.op
    if duty is None or has_ended:
        _set_job(turn, name, None)
        return
    _set_job(turn, name, _new_job(turn, service, duty))


def _new_job(turn: Turn, service: Service, duty: _Duty) -> Job:
    """Return the whole way up or down; a repair stops only from the first fault on.

    A start always goes the whole way: what is up already is verified, not believed.
    """
    if duty.kind is JobKind.START:
        return Job(kind=duty.kind, op=duty.op, starts=start_order(service.spec))
    if duty.kind is JobKind.MEND:
        return jobs.mending(service)
    if duty.kind is JobKind.MIGRATE:
        since = (turn.cluster.epoch, turn.cluster.applied)
        return replace(jobs.stopping(service), kind=duty.kind, since=since)
    is_repair = service.after is After.REPAIR and duty.op == service.op
    broken = _missing(turn, service, names_off(service)) if is_repair else ()
    job = replace(jobs.stopping(service, broken), op=duty.op)
    return job if broken else _with_left_overs(turn, service, job)


def _with_left_overs(turn: Turn, service: Service, job: Job) -> Job:
    name = service.spec.name
    strays = _strays(turn, service)
    if not strays:
        return job
    shared = users(each.spec for each in turn.cluster.services.values())
    turn.note(
        "service.left_overs",
        Severity.WARNING,
        service=name,
        resources=", ".join(reversed(strays)),
        reason="active here and in no agreed configuration: stopped with the service",
    )
    # looking them up needs the bus: in an emergency they hold up nothing that is known
    return jobs.with_left_overs(job, strays, shared, is_last=job.op == EMERGENCY_OP)


def _advance(turn: Turn, name: ServiceName, service: Service, *, may_start: bool) -> None:
    job = turn.local.jobs.get(name)
    if job is None or job.is_waiting:
        return
    step = job.step
    if step is None or (not job.stops and (job.faults or _lacks_ground(turn, service, job))):
        _report(turn, service, job)
        return
    if (not job.stops and not may_start) or must_wait(turn, name, job):
        return
    if job.kind is JobKind.MIGRATE:
        _migrate(turn, service, step, job, may_start=may_start)
        return
    _set_job(turn, name, replace(job, is_waiting=True))
    if not job.stops:
        up = job.done
        if job.kind is JobKind.MEND:
            sure = _surely_active(turn, service)
            up = tuple(r for r in start_order(service.spec) if r.name in sure)
        after = stopped_later(service.spec, step, up)
        turn.do(StartResource(service=name, resource=step, op=job.op, after=after))
    else:
        is_used = is_kept(turn, name, step)
        turn.do(StopResource(service=name, resource=step, op=job.op, is_kept=is_used))


def _migrate(
    turn: Turn, service: Service, step: ResourceSpec, job: Job, *, may_start: bool
) -> None:
    """Send it off once the target knows that it may come; for one that is gone, only look.

    What others do not know of yet may start where they are: so this is no mere stop, and needs the
    gate, and that the target has applied the order. Then every epoch that has it as a member knows.
    """
    node = turn.cluster.nodes.get(service.landing) if service.landing is not None else None
    target = service.landing if node and node.status is NodeStatus.ONLINE else None
    if target is not None and not (may_start and jobs.is_known_to(turn, job, target)):
        return
    _set_job(turn, service.spec.name, replace(job, is_waiting=True))
    where = turn.cluster.spec.node_name(target) if target is not None else ""
    turn.do(
        MigrateResource(
            service=service.spec.name, resource=step, op=job.op, target=target, target_name=where
        )
    )


def _is_given(turn: Turn, service: Service) -> bool:
    """Tell whether nobody else has the service, and what a configuration has given it is its own.

    A state without that configuration could give the same to the one that had it before.
    """
    is_its_own = not service.rivals or durable.is_final(turn, turn.local.saved_at)
    return is_its_own and not is_elsewhere(turn.cluster, service)


def _lacks_ground(turn: Turn, service: Service, job: Job) -> bool:
    """Tell whether what the next step needs has failed meanwhile."""
    if job.kind is not JobKind.MEND or job.step is None:
        return False
    return not _surely_active(turn, service).issuperset(ground_of(service.spec, job.step.name))


def _report(turn: Turn, service: Service, job: Job) -> None:
    """A job is at its end: tell everybody, unless it was our own emergency."""
    name = service.spec.name
    result = jobs.result(service, job, _missing(turn, service, names_off(service)))
    is_running = isinstance(result, ServiceStarted)
    turn.update(reported={**turn.local.reported, name: (job.op, is_running)})
    _set_job(turn, name, None)
    if job.op != EMERGENCY_OP:
        outbox.send(turn, result)


def _watch(turn: Turn, name: ServiceName, service: Service) -> None:
    """A service that should be up here and is not, or has what no tree knows, has failed."""
    local = turn.local
    if service.owner != local.me or service.state is not ServiceState.STARTED or local.emergency:
        return
    if resting.is_unknown(turn, name):
        return
    if local.reported.get(name) in ((service.op, False), (EMERGENCY_OP, False)):
        return  # it was said
    broken = _missing(turn, service, names_off(service))
    strays = _strays(turn, service) if _is_news(turn, name, service) else []
    if not broken and not strays:
        return
    turn.update(reported={**local.reported, name: (service.op, False)})
    reason = local.faults.get(name, "found not running")
    if strays:  # another state had them, and was not agreed
        reason, broken = f"{', '.join(strays)}: up, and in no agreed configuration", ()
    is_any_left = bool(local.active.get(name))
    outbox.send(
        turn,
        ServiceFailed(
            service=name, op=service.op, reason=reason, resources=broken if is_any_left else ()
        ),
    )


def _is_news(turn: Turn, name: ServiceName, service: Service) -> bool:
    """Tell whether this event may have changed what is up of a service, or what should be."""
    local, before = turn.local, turn.before
    return (
        local.active is not before.local.active
        or local.resting is not before.local.resting
        or before.cluster.services.get(name) is not service
    )


def _strays(turn: Turn, service: Service) -> list[ResourceName]:
    """Return what is up here and in no tree of the service."""
    known = jobs.names_of(service)
    return [r for r in turn.local.active.get(service.spec.name, ()) if r not in known]


def _health(turn: Turn, service: Service) -> Health:
    if not turn.local.active.get(service.spec.name):
        return Health.NONE
    return Health.PARTIAL if _missing(turn, service) else Health.RUNNING


def _missing(
    turn: Turn, service: Service, off: Collection[ResourceName] = ()
) -> tuple[ResourceName, ...]:
    """Return what of the tree is not surely up and should be, in the order of its start."""
    sure = _surely_active(turn, service)
    order = start_order(service.spec)
    return tuple(r.name for r in order if r.name not in sure and r.name not in off)


def _surely_active(turn: Turn, service: Service) -> set[ResourceName]:
    name = service.spec.name
    return set(turn.local.active.get(name, ())).difference(turn.local.doubtful.get(name, ()))


def _note_activity(turn: Turn, event: StepEnded) -> None:
    active = turn.local.active.get(event.service, ())
    others = tuple(r for r in active if r != event.resource)
    doubtful = turn.local.doubtful.get(event.service, ())
    still = tuple(r for r in doubtful if r != event.resource)
    match event:
        case ResourceStopped():
            _set_active(turn, event.service, others)
        case ResourceStarted() | ResourceStayed():
            _set_active(turn, event.service, (*others, event.resource))
        case ResourceStartFailed() | ResourceStopFailed():
            # safety: something may be left, so it counts until it is stopped; but it is not up
            _set_active(turn, event.service, (*others, event.resource))
            still = (*still, event.resource)
    _set_doubtful(turn, event.service, still)


def _is_answer(job: Job, event: StepEnded) -> bool:
    is_start = isinstance(event, ResourceStarted | ResourceStartFailed)
    return (
        job.is_waiting
        and job.op == event.op
        and job.step is not None
        and job.step.name == event.resource
        and is_start == (not job.stops)
    )


def _set_job(turn: Turn, name: ServiceName, job: Job | None) -> None:
    if turn.local.jobs.get(name) is job:
        return
    jobs = {n: j for n, j in turn.local.jobs.items() if n != name}
    if job is not None:
        jobs[name] = job
    turn.update(jobs=jobs)


def _set_active(turn: Turn, name: ServiceName, active: tuple[ResourceName, ...]) -> None:
    if turn.local.active.get(name, ()) != active:
        rest = {n: a for n, a in turn.local.active.items() if n != name}
        turn.update(active={**rest, name: active} if active else rest)


def _set_doubtful(turn: Turn, name: ServiceName, doubtful: tuple[ResourceName, ...]) -> None:
    if turn.local.doubtful.get(name, ()) != doubtful:
        rest = {n: d for n, d in turn.local.doubtful.items() if n != name}
        turn.update(doubtful={**rest, name: doubtful} if doubtful else rest)
