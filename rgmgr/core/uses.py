# SPDX-License-Identifier: Apache-2.0
"""Shared resources on this node: the first service that uses one starts it, the last one stops it.

The count is nobody's variable: who uses a resource is who has it up here, as far as this node
knows. So it survives whatever the knowledge survives. Start and stop of one shared resource are
never under way for two services at once. Source: rgmanager 5.10, where each place ran the agent
and only one type of agent looked at the count.
"""

from __future__ import annotations

from collections.abc import Iterator

from domains.model import ServiceName
from rgmgr.core.delta import is_same_definition
from rgmgr.core.jobs import change_of, may_be_up
from rgmgr.core.local import Job, Turn
from rgmgr.core.spec import ResourceSpec
from rgmgr.core.tree import start_order


def must_wait(turn: Turn, name: ServiceName, job: Job) -> bool:
    """Tell whether the next step of a job has to wait for what others do with the resource.

    Before all has been looked at that is up here, nobody knows whether others use it. One that is
    to be up with another definition has to go down for all before it comes up again.
    """
    step = job.step
    if step is None or not step.is_shared:
        return False
    is_at_work = any(_is_at(turn, other, step, is_waiting=True) for other in _others(turn, name))
    if is_at_work or not turn.local.is_probed:
        return True
    is_redefined = job.stops and any(
        r.name == step.name and not is_same_definition(r, step) for r in job.starts
    )
    return bool(is_redefined) and any(
        _is_still(turn, other, step) for other in _users(turn, name, step)
    )


def is_kept(turn: Turn, name: ServiceName, resource: ResourceSpec) -> bool:
    """Tell whether a resource stays up when this service lets go of it: another one uses it.

    Not one that is about to let go of it itself: what relies on it there is down.
    """
    return resource.is_shared and any(_users(turn, name, resource))


def _users(turn: Turn, name: ServiceName, resource: ResourceSpec) -> Iterator[ServiceName]:
    return (
        other
        for other in _others(turn, name)
        if _uses(turn, other, resource) and not _is_at(turn, other, resource, is_waiting=False)
    )


def _others(turn: Turn, name: ServiceName) -> Iterator[ServiceName]:
    return (other for other in {**turn.local.active, **turn.local.jobs} if other != name)


def _uses(turn: Turn, name: ServiceName, resource: ResourceSpec) -> bool:
    service = turn.cluster.services.get(name)
    if service is None or resource.name not in turn.local.active.get(name, ()):
        return False
    return any(r.name == resource.name and r.is_shared for r in may_be_up(service))


def _is_still(turn: Turn, name: ServiceName, resource: ResourceSpec) -> bool:
    """Tell whether a service that uses it has it up by this definition, not by a newer one."""
    service, job = turn.cluster.services[name], turn.local.jobs.get(name)
    going = job.stops if job else change_of(service).stops
    return any(
        r.name == resource.name and is_same_definition(r, resource)
        for r in (*going, *start_order(service.spec))
    )


def _is_at(turn: Turn, name: ServiceName, resource: ResourceSpec, *, is_waiting: bool) -> bool:
    """Tell whether a service starts or stops the resource now, or else is to stop it next."""
    job = turn.local.jobs.get(name)
    step = job.step if job else None
    if job is None or step is None or not step.is_shared or step.name != resource.name:
        return False
    return job.is_waiting if is_waiting else not job.is_waiting and bool(job.stops)
