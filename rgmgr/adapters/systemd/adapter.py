# SPDX-License-Identifier: Apache-2.0
"""Carries the core's actions to systemd, and systemd's news to the core.

Owns which resource is which unit, what is being worked on, and what is watched. Decides nothing:
a failure is told, not treated. Every action is answered by exactly one event; actions for the same
resource queue up. All on one event loop; call `run` first, the other methods from its loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from domains.model import ServiceName
from rgmgr.adapters.systemd import machines, survey
from rgmgr.adapters.systemd.checkers import Checkers
from rgmgr.adapters.systemd.checks import Checks
from rgmgr.adapters.systemd.dropins import FOLDER, DropIns
from rgmgr.adapters.systemd.manager import Manager, UnitNews, job_path
from rgmgr.adapters.systemd.names import slice_of
from rgmgr.adapters.systemd.node import AddressWatch, NodeFacts, ThisNode
from rgmgr.adapters.systemd.resources import (
    HELPERS,
    Key,
    Plan,
    is_present,
    plan,
    resolved,
    why_cut_off,
)
from rgmgr.adapters.systemd.statuses import UnitStatus
from rgmgr.adapters.systemd.uses import FOLDER as USES_FOLDER
from rgmgr.adapters.systemd.uses import Uses
from rgmgr.adapters.systemd.watches import Watch, Watches
from rgmgr.adapters.systemd.worker import Worker
from rgmgr.core.actions import MigrateResource, StartResource, StopResource
from rgmgr.core.events import (
    Event,
    ProbeFinished,
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
    Shutdown,
)
from rgmgr.core.spec import LEFT_OVER, ClusterSpec, ResourceSpec, ServiceSpec
from rgmgr.errors import BusError

RESYNC_PERIOD_S = 60.0

_FOREIGN_JOB_S = 30.0
_LINK_GRACE_S = 1.0

log = structlog.get_logger(__name__)


class Systemd:
    """The systemd of this node.

    Args:
        emit: takes every event; must not block.
        address: of the bus; None: the system bus.
        helpers: where our helper programs are.
        drop_ins: where runtime drop-ins of units go.
        uses: where it is kept which services use a shared unit.
        node: what the kernel says; None: this node's.
        resync_period_s: how often everything watched is compared with what systemd says.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        *,
        address: str | None = None,
        helpers: Path = HELPERS,
        drop_ins: Path = FOLDER,
        uses: Path = USES_FOLDER,
        node: NodeFacts | None = None,
        resync_period_s: float = RESYNC_PERIOD_S,
    ) -> None:
        self._emit = emit
        self._helpers = helpers
        self._node = node or ThisNode()
        self._is_this_node = node is None
        self._drop_ins = DropIns(drop_ins)
        self._uses = Uses(uses)
        self._resync_period_s = resync_period_s
        self._manager = Manager(on_news=self._on_news, on_resync=self._on_resync, address=address)
        self._worker = Worker(self._manager, self._node, self._drop_ins)
        self._tasks: set[asyncio.Task[None]] = set()
        self._queues: dict[Key, list[asyncio.Event]] = {}
        self._watches = Watches()
        self._checkers = Checkers(
            self._watches,
            lambda plan, failed: Checks(self._manager, plan, failed, self._spawn),
            lambda watch: watch.plan.key.service in self._suspended,
            self._check_failed,
        )
        self._spec: ClusterSpec | None = None
        self._units: frozenset[str] = frozenset()  # of all configured resources
        self._suspended: set[ServiceName] = set()  # nobody looks after these
        self._touched: set[ServiceName] = set()  # worked on since the present survey began
        self._orphans: set[ServiceName] = set()  # services that run here and nobody knows
        self._has_probed = False
        self._resync = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Serve for ever; a bug in any task ends it with that exception."""
        self._broken = asyncio.get_running_loop().create_future()
        self._spawn(self._manager.run(), "systemd connection")
        self._spawn(self._resync_for_ever(), "systemd resync")
        watch = self._watch_addresses()
        try:
            await self._broken
        finally:
            if watch is not None:
                watch.close()
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def probe(self, spec: ClusterSpec) -> None:
        """Tell what really runs: one ServiceProbed per service, then ProbeFinished."""
        self._take_spec(spec)
        self._spawn(self._probe_all(spec), "systemd probe")

    def configure(self, services: Sequence[ServiceSpec]) -> None:
        """Say what the services are made of now, for the surveys after the first."""
        if self._spec is not None and self._spec.services != tuple(services):
            self._take_spec(replace(self._spec, services=tuple(services)))
            self._resync.set()  # something of a new service may run already

    def _take_spec(self, spec: ClusterSpec) -> None:
        self._spec = spec
        self._units = survey.unit_names(spec, self._node, self._helpers)

    def start(self, action: StartResource) -> None:
        """Begin to bring a resource up; answered by one event with the action's `op`."""
        key = Key(action.service, action.resource.name)
        self._spawn(self._in_turn(key, lambda: self._start(key, action)), f"start {key}")

    def stop(self, action: StopResource) -> None:
        """Begin to take a resource down; answered by one event with the action's `op`."""
        key = Key(action.service, action.resource.name)
        self._spawn(self._in_turn(key, lambda: self._stop(key, action)), f"stop {key}")

    def migrate(self, action: MigrateResource) -> None:
        """Begin to send a resource to another node; answered by one event with its `op`."""
        key = Key(action.service, action.resource.name)
        by_ms = machines.begin_by_ms()
        work = self._in_turn(key, lambda: self._migrate(key, action, by_ms))
        self._spawn(work, f"migrate {key}")

    def suspend(self, service: ServiceName) -> None:
        """Look no more after a service: tell no failure of it and run no check."""
        self._suspended.add(service)
        for watch in self._watches.of_service(service):
            self._checkers.end(watch)

    def resume(self, service: ServiceName) -> None:
        """Look after a service again; answered by ServiceProbed."""
        self._suspended.discard(service)
        self._spawn(self._look_after(service), f"resume {service}")

    async def shutdown_kind(self, pid: int | None = None) -> Shutdown:
        """Find out how our own unit is being ended. `pid`: of another process than this one."""
        return await survey.shutdown_kind(self._manager, pid)

    async def check_units(self, spec: ClusterSpec) -> list[str]:
        """Return what is wrong with the units of a configuration on this node, in words."""
        return await survey.check_units(self._manager, spec)

    # --- work ---------------------------------------------------------------------------------

    async def _start(self, key: Key, action: StartResource) -> None:
        fault: str | None
        try:
            made = self._plan(action.service, action.resource)
            after = [self._plan(action.service, other).unit for other in action.after]
        except (ValueError, KeyError) as error:
            fault = f"cannot make a unit of {key}: {error}"
        else:
            watch = self._watches.begin(made, made.unit)
            fault = self._note_use(made) or await self._worker.start(made, after)
            await self._note_real_name(watch)
            self._checkers.begin(watch)
        op = action.op
        if fault is not None:
            self._checkers.forget(key)
            log.warning("resource.start_failed", unit=str(key), reason=fault)
            self._emit(
                ResourceStartFailed(service=key.service, resource=key.resource, op=op, reason=fault)
            )
            return
        self._emit(ResourceStarted(service=key.service, resource=key.resource, op=op))
        # A death between the last look and now was not reported: it was still being started.
        own = self._watches.get(key)
        for each in self._watches.of_unit(own.unit) if own else ():
            self._examine_later(each)

    def _note_use(self, made: Plan) -> str | None:
        try:
            self._uses.add(made)
        except OSError as error:
            return f"cannot note who uses {made.unit}: {error}"
        return None

    async def _stop(self, key: Key, action: StopResource) -> None:
        self._checkers.forget(key)
        fault: str | None = None
        try:
            made = await self._plan_of_stop(key, action.resource)
        except (ValueError, KeyError, BusError) as error:
            fault = f"cannot make a unit of {key}: {error}"
        else:
            if made is not None and not action.is_kept:
                fault = await self._take_down(made)
            if made is not None and fault is None:
                self._uses.drop(made)
        op = action.op
        if fault is None:
            self._emit(ResourceStopped(service=key.service, resource=key.resource, op=op))
            return
        log.error("resource.stop_failed", unit=str(key), reason=fault)
        self._emit(
            ResourceStopFailed(service=key.service, resource=key.resource, op=op, reason=fault)
        )

    async def _migrate(self, key: Key, action: MigrateResource, by_ms: int) -> None:
        made = self._plan(action.service, action.resource)
        if (kept := await machines.migrate(self._manager, made, action, by_ms)) is not None:
            self._emit(kept)
            return
        gone = StopResource(service=action.service, resource=action.resource, op=action.op)
        await self._stop(key, gone)  # its unit is still up, and has nothing left to stop

    async def _plan_of_stop(self, key: Key, resource: ResourceSpec) -> Plan | None:
        """Return what is to be stopped; None: a left-over that is gone."""
        if resource.type == LEFT_OVER:
            traces = survey.Traces(self._drop_ins, self._uses)
            unit = await survey.unit_of_left_over(self._manager, traces, self._units, key)
            if unit is None:
                return None
            parameters = {"unit": unit}
            resource = replace(resource, type="systemd", parameters=parameters, is_shared=True)
        return self._plan(key.service, resource)

    async def _take_down(self, made: Plan) -> str | None:
        for watch in self._watches.of_unit(made.unit):  # whoever else uses it is about to stop, too
            self._watches.end(watch.plan.key)
        return await self._worker.stop(made)

    def _plan(self, service: ServiceName, resource: ResourceSpec) -> Plan:
        return resolved(plan(service, resource, self._helpers), self._node)

    async def _in_turn(self, key: Key, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do one thing at a time for each resource, in the order of the actions."""
        self._touched.add(key.service)
        queue = self._queues.setdefault(key, [])
        done = asyncio.Event()
        before = queue[-1] if queue else None
        queue.append(done)
        try:
            if before is not None:
                await before.wait()
            await work()
        finally:
            done.set()
            queue.remove(done)
            if not queue:
                del self._queues[key]

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._broken is not None and not self._broken.done():
            self._broken.set_exception(error)

    # --- what is there ------------------------------------------------------------------------

    async def _probe_all(self, spec: ClusterSpec) -> None:
        found = await self._survey(spec)
        self._tell_of_orphans(spec, found)
        for seen in found.up:
            if seen.plan.key not in self._queues:
                self._checkers.begin(self._watches.begin(seen.plan, seen.unit))
        for service in found.active:
            self._emit(found.told(service))
        self._has_probed = True
        self._emit(ProbeFinished())

    def _tell_of_orphans(self, spec: ClusterSpec, found: survey.Survey) -> None:
        """Say once of what runs here in our slices that no configuration tells how to stop it.

        And of what did so that it is gone.
        """
        known = {service.name for service in spec.services}
        orphans = {name for name in found.active if name not in known}
        for name in sorted(orphans - self._orphans):
            log.warning(
                "service.orphaned",
                service=name,
                units=", ".join(found.active[name]),
                hint=f"systemctl stop '{slice_of(name)}'",
            )
        for name in sorted(self._orphans - found.active.keys()):
            self._emit(ServiceProbed(service=name, active=()))
        self._orphans = orphans

    async def _survey(self, spec: ClusterSpec) -> survey.Survey:
        """Look at everything, for as long as it takes until systemd answers."""
        while True:
            await self._manager.wait_ready()
            try:
                traces = survey.Traces(self._drop_ins, self._uses)
                return await survey.look(self._manager, self._node, traces, spec, self._helpers)
            except BusError as error:
                log.warning("systemd.unreachable", reason=str(error))
                await asyncio.sleep(0.2)

    async def _resync_for_ever(self) -> None:
        """Look at everything again when news may have been missed, and now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._resync.wait(), self._resync_period_s)
            has_reason = self._resync.is_set() or bool(self._orphans)
            self._resync.clear()
            await self._manager.wait_ready()
            for watch in self._watches:
                self._examine_later(watch)
            if has_reason and self._has_probed and self._spec is not None:
                await self._tell_again(self._spec)

    async def _look_after(self, service: ServiceName) -> None:
        assert self._spec is not None  # noqa: S101  # nothing can be suspended before the first probe
        found = await self._survey(self._spec)
        if any(key.service == service for key in self._queues):
            return  # it is worked on again, and what was seen may be past
        for watch in self._watches.of_service(service):
            self._watches.end(watch.plan.key)
        for seen in found.up:
            if seen.plan.key.service == service:
                self._checkers.begin(self._watches.begin(seen.plan, seen.unit))
        self._emit(found.told(service))

    async def _tell_again(self, spec: ClusterSpec) -> None:
        self._touched = {key.service for key in self._queues}
        found = await self._survey(spec)
        self._tell_of_orphans(spec, found)
        for service in found.active:
            if service not in self._touched:  # else what was seen may be past
                self._emit(found.told(service))

    # --- failures -----------------------------------------------------------------------------

    def _check_failed(self, watch: Watch, reason: str) -> None:
        if not watch.has_failed and watch.plan.key not in self._queues:
            self._tell_failed(watch, reason)

    def _tell_failed(self, watch: Watch, reason: str) -> None:
        key = watch.plan.key
        if key.service in self._suspended:
            return
        watch.has_failed = True
        log.warning("resource.failed", unit=str(key), reason=reason)
        self._emit(ResourceFailed(service=key.service, resource=key.resource, reason=reason))

    async def _note_real_name(self, watch: Watch) -> None:
        """Watch the unit that an alias stands for."""
        if not watch.plan.is_existing_unit:
            return
        with contextlib.suppress(BusError):
            self._watches.rename(watch, (await self._manager.status(watch.unit)).name)

    def _on_news(self, news: UnitNews) -> None:
        watches = self._watches.of_unit(news.unit)
        if not watches and news.unit in self._units and news.active in ("activating", "active"):
            self._resync.set()  # not by us: somebody starts it by hand
        is_worked_on = any(watch.plan.key in self._queues for watch in watches)
        for watch in watches:
            self._take_news(watch, news, is_worked_on=is_worked_on)

    def _take_news(self, watch: Watch, news: UnitNews, *, is_worked_on: bool) -> None:
        has_exited = watch.sub == "running" and news.sub == "exited"
        watch.sub = news.sub
        if is_worked_on:  # being started or stopped: the worker looks for itself
            return
        if news.job:
            watch.is_foreign = True
        elif news.active == "active" and not has_exited:
            watch.is_foreign = False
        if has_exited or news.active not in ("active", "reloading", "refreshing"):
            self._examine_later(watch)

    def _on_resync(self) -> None:
        self._resync.set()

    def _on_address_removed(self, ip: str) -> None:
        for watch in self._watches:
            parameters = watch.plan.spec.parameters
            if watch.plan.spec.type == "ip" and parameters["address"].partition("/")[0] == ip:
                self._examine_later(watch)

    def _on_link_lost(self) -> None:
        for watch in self._watches:
            if watch.plan.spec.type == "ip":
                self._examine_later(watch)

    def _watch_addresses(self) -> AddressWatch | None:
        if not self._is_this_node:
            return None
        try:
            return AddressWatch(self._on_address_removed, self._on_link_lost, self._on_resync)
        except OSError as error:
            log.warning("address.unwatched", reason=str(error))
            return None

    def _examine_later(self, watch: Watch) -> None:
        if watch.has_failed:
            return
        if watch.is_examined:
            watch.was_disturbed = True
            return
        watch.is_examined = True
        self._spawn(self._examine(watch), f"examine {watch.plan.key}")

    async def _examine(self, watch: Watch) -> None:
        """Find out whether a watched resource is still up; tell once when it is not."""
        key = watch.plan.key
        try:
            while True:
                watch.was_disturbed = False
                reason = await self._why_failed(watch)
                if self._watches.get(key) is not watch or key in self._queues:
                    return
                if reason is not None:
                    self._tell_failed(watch, reason)
                    return
                if not watch.was_disturbed:
                    return
        except BusError:
            return  # unknown; the next connection brings a resync
        finally:
            watch.is_examined = False

    async def _why_failed(self, watch: Watch) -> str | None:
        """Return why a resource is not up any more; None when it is, or somebody works on it."""
        status = await self._manager.status(watch.unit)
        if status.job and not status.is_being_stopped:
            watch.is_foreign = True
            await self._manager.job_result(job_path(status.job), _FOREIGN_JOB_S)
            status = await self._manager.status(watch.unit)
        if status.active == "activating" and status.sub != "auto-restart":
            return None  # the end of it is announced, too
        if not status.is_up:
            return await self._told(watch, status)
        if await self._has_lost_its_daemon(watch, status):
            return await self._worker.why_down(watch.plan, status)
        if is_present(watch.plan, self._node) is False:
            return f"{watch.plan.description} is gone, although {watch.unit} is active"
        return watch.why_unwritable(self._node) or await self._why_cut_off(watch)

    async def _why_cut_off(self, watch: Watch) -> str | None:
        if why_cut_off(watch.plan, self._node) is None:
            return None
        await asyncio.sleep(_LINK_GRACE_S)  # a switch that restarts a port is no failure
        return why_cut_off(watch.plan, self._node)

    async def _told(self, watch: Watch, status: UnitStatus) -> str:
        is_stopped = status.active == "inactive" or status.is_being_stopped
        if watch.is_foreign and is_stopped:
            return f"{watch.unit} was stopped by somebody else, not by the cluster"
        return await self._worker.why_down(watch.plan, status)

    async def _has_lost_its_daemon(self, watch: Watch, status: UnitStatus) -> bool:
        """Tell whether a forking unit stays active only for `RemainAfterExit`."""
        if status.sub != "exited" or not (
            watch.plan.is_existing_unit or watch.plan.is_told_by_commands
        ):
            return False
        properties = await self._manager.type_properties(status.name, "Type")
        return properties.get("Type") == "forking"
