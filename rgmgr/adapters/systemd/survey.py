# SPDX-License-Identifier: Apache-2.0
"""Looks at many units at once: what runs, what is wrong with the configuration, how we end.

Only looks. What may still hold something counts as active, because another node starts a service
only where nothing is left: a unit that is just going down, processes of a failed unit, an address
or a mount without its unit.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from domains.model import ServiceName
from rgmgr.adapters.systemd import machines, names, verdicts
from rgmgr.adapters.systemd.dropins import DropIns
from rgmgr.adapters.systemd.manager import Manager, job_path
from rgmgr.adapters.systemd.node import NodeFacts
from rgmgr.adapters.systemd.resources import MARK, Key, Plan, flatten, is_present, plan, resolved
from rgmgr.adapters.systemd.statuses import UnitStatus
from rgmgr.adapters.systemd.uses import Uses
from rgmgr.core.events import ServiceProbed, Shutdown
from rgmgr.core.spec import EXISTING_UNIT_TYPES, ClusterSpec, ResourceName
from rgmgr.errors import BusError

COROSYNC_UNIT = "corosync.service"

_PENDING_JOB_S = 5.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """A configured resource that is up. `unit` is its real name."""

    plan: Plan
    unit: str


@dataclass(slots=True)
class Survey:
    """What runs on this node: every configured service, and those that are left over."""

    active: dict[ServiceName, tuple[ResourceName, ...]] = field(default_factory=dict)
    up: list[Seen] = field(default_factory=list)
    coming: list[Key] = field(default_factory=list)  # machines that may be on their way here

    def told(self, service: ServiceName) -> ServiceProbed:
        """Return what is to be told of a service."""
        coming = tuple(key.resource for key in self.coming if key.service == service)
        active = self.active.get(service, ())
        return ServiceProbed(service=service, active=active, doubtful=coming)


@dataclass(frozen=True, slots=True)
class Traces:
    """What earlier daemons have left on this node about its units."""

    drop_ins: DropIns
    uses: Uses


async def look(
    manager: Manager, node: NodeFacts, traces: Traces, spec: ClusterSpec, helpers: Path
) -> Survey:
    """Return what runs.

    Raises:
        BusError: systemd did not answer everything.
    """
    found = Survey()
    plans = list(_plans(spec, node, helpers))
    statuses = await _settled(manager, [made.unit for made in plans])
    unbidden = await machines.active(plans)
    paused = await machines.active(plans, machines.PAUSED) if unbidden else frozenset()
    active: dict[ServiceName, list[ResourceName]] = {s.name: [] for s in spec.services}
    for made, status in zip(plans, statuses, strict=True):
        if traces.uses.are_by_others(made):
            continue
        if status.is_up and is_present(made, node) is not False:
            found.up.append(Seen(made, status.name))
            await _note_generation(manager, traces.drop_ins, made)
        elif made.unit in paused:
            found.coming.append(made.key)
        elif made.unit not in unbidden and not await _holds_something(manager, made, status, node):
            continue
        active[made.key.service].append(made.key.resource)
    known = {made.unit for made in plans} | {status.name for status in statuses}
    async for key, _ in _left_overs(manager, traces, known):
        active.setdefault(key.service, []).append(key.resource)
    found.active = {service: tuple(resources) for service, resources in active.items()}
    return found


async def check_units(manager: Manager, spec: ClusterSpec) -> list[str]:
    """Return what is wrong with the existing units that a configuration names.

    Raises:
        BusError: systemd did not answer.
    """
    problems = []
    for service in spec.services:
        for resource in flatten(service.resources):
            if resource.type not in EXISTING_UNIT_TYPES:
                continue
            status = await manager.status(resource.parameters["unit"])
            reason = verdicts.unusable(status) or await _starts_by_itself(manager, status.name)
            if reason:
                problems.append(f"service {service.name}, resource {resource.name}: {reason}")
    return problems


async def shutdown_kind(manager: Manager, pid: int | None) -> Shutdown:
    """Tell a restart of our own unit from its end; when in doubt it is the end.

    A restart of corosync restarts us as well, but takes the membership away: that is an end, too.
    """
    try:
        (path,) = await manager.call("GetUnitByPID", "u", [pid or os.getpid()], timeout_s=3.0)
        kind = await manager.job_type(str(path))
        corosync = await manager.status(COROSYNC_UNIT)
    except BusError as error:
        log.warning("shutdown.unexplained", reason=str(error))
        return Shutdown.STOP
    is_restart = kind in ("restart", "try-restart", "reload-or-start")
    return Shutdown.RESTART if is_restart and corosync.is_up and not corosync.job else Shutdown.STOP


def unit_names(spec: ClusterSpec, node: NodeFacts, helpers: Path) -> frozenset[str]:
    """Return the units of all configured resources."""
    return frozenset(made.unit for made in _plans(spec, node, helpers))


def _plans(spec: ClusterSpec, node: NodeFacts, helpers: Path) -> Iterator[Plan]:
    for service in spec.services:
        for resource in flatten(service.resources):
            try:
                yield resolved(plan(service.name, resource, helpers), node)
            except (ValueError, KeyError) as error:
                log.warning("resource.unusable", service=service.name, reason=str(error))


async def _settled(manager: Manager, units: Sequence[str]) -> list[UnitStatus]:
    """Return the states after giving pending jobs a moment, for they decide what is there."""
    if not units:
        return []
    statuses = await manager.statuses(units)
    jobs = [status.job for status in statuses if status.job]
    if not jobs:
        return statuses
    for job in jobs:
        await manager.job_result(job_path(job), _PENDING_JOB_S / len(jobs))
    return await manager.statuses(units)


async def _holds_something(
    manager: Manager, made: Plan, status: UnitStatus, node: NodeFacts
) -> bool:
    if is_present(made, node):
        return True
    if status.is_up:  # the unit is, the real thing is not, unless it was another one then
        return await _is_of_other_definition(manager, made)
    if not status.is_down:
        return True
    return status.active == "failed" and bool(await manager.processes(made.unit))


async def _is_of_other_definition(manager: Manager, made: Plan) -> bool:
    environment = await manager.environment(made.unit)
    ours = [mark for mark in environment if mark.startswith(f"{MARK}GEN=")]
    return bool(ours) and f"{MARK}GEN={made.generation}" not in ours


async def _note_generation(manager: Manager, drop_ins: DropIns, made: Plan) -> None:
    """Say when what runs was started with another definition."""
    if made.is_existing_unit:
        if drop_ins.owner(made.unit) is None:
            log.warning("resource.foreign", unit=made.unit, service=made.key.service)
        return
    mark = f"{MARK}GEN={made.generation}"
    if mark not in await manager.environment(made.unit):
        log.warning("resource.outdated", unit=made.unit, service=made.key.service)


async def unit_of_left_over(
    manager: Manager, traces: Traces, known: Collection[str], key: Key
) -> str | None:
    """Return the unit of what is active and in no configuration; None: it is gone.

    Raises:
        BusError: systemd did not answer.
    """
    async for found, unit in _left_overs(manager, traces, known):
        if found == key:
            return unit
    return None


async def _left_overs(
    manager: Manager, traces: Traces, known: Collection[str]
) -> AsyncIterator[tuple[Key, str]]:
    """Yield what is active in our slices, or was used by several services, and not configured."""
    for found in await manager.loaded(names.SLICE_PATTERN):
        service = names.service_of_slice(found.name)
        if service is None:
            continue
        members = (await manager.unit_properties(found.name, "SliceOf")).get("SliceOf")
        units = [str(unit) for unit in members] if isinstance(members, list) else []
        for unit in await _active_of(manager, units, known):
            resource = await _resource_name(manager, traces.drop_ins, unit)
            yield Key(ServiceName(service), ResourceName(resource)), unit
    for unit in await _active_of(manager, traces.uses.units(), known):
        for user, name in traces.uses.of(unit).items():
            yield Key(user, name), unit


async def _active_of(manager: Manager, units: Iterable[str], known: Collection[str]) -> list[str]:
    strangers = [unit for unit in units if unit not in known]
    found = await manager.statuses(strangers) if strangers else []
    return [status.name for status in found if not status.is_down]


async def _resource_name(manager: Manager, drop_ins: DropIns, unit: str) -> str:
    """Return the resource that a unit was made for; the unit itself when nothing says so."""
    if own := names.resource_of_unit(unit):
        return own[1]
    if tied := drop_ins.owner(unit):
        return tied[1]
    for entry in await manager.environment(unit):
        name, _, value = entry.partition("=")
        if name == f"{MARK}RESOURCE":
            return value
    return unit


async def _starts_by_itself(manager: Manager, unit: str) -> str | None:
    (state,) = await manager.call("GetUnitFileState", "s", [unit])
    if state not in ("enabled", "enabled-runtime"):
        return None
    return f"{unit} is {state}, so it starts by itself at boot: run 'systemctl disable {unit}'"
