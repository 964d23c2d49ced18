# SPDX-License-Identifier: Apache-2.0
"""Brings one resource up or down, and proves it.

Driven by what the unit is, never by what a job said: look, do the next thing, look again, until
the wanted state is verified or the deadline is over. So a lost bus, a PID 1 that re-executes
itself and somebody else's jobs need no special paths; after each of them it looks again.
Does not know what the core wants next. `None` as result: done and verified; a text: why not.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from rgmgr.adapters.bus_wire import TIMEOUT
from rgmgr.adapters.systemd import machines, mounts, names, preparation, verdicts
from rgmgr.adapters.systemd.dropins import DropIns, Written
from rgmgr.adapters.systemd.emergency import emergency_stop
from rgmgr.adapters.systemd.manager import (
    DESTRUCTIVE,
    NO_SUCH_UNIT,
    UNIT_EXISTS,
    Manager,
    ProcessLeft,
    StopMode,
    job_path,
)
from rgmgr.adapters.systemd.node import NodeFacts
from rgmgr.adapters.systemd.resources import (
    DAEMON_UNIT,
    Plan,
    cleanup_definition,
    definition,
    drop_in,
    is_present,
)
from rgmgr.adapters.systemd.statuses import AWAY, UnitStatus
from rgmgr.adapters.systemd.users import end_user, listed_users, users_of
from rgmgr.errors import BusError

_JOB_LOOK_S = 5.0
_LOOK_AGAIN_S = 0.1
_REFUSED_PAUSE_S = 0.5
_BUS_PATIENCE_S = 3.0
_SILENT_BUS_PATIENCE_S = 0.3
_KILL_PATIENCE_S = 5.0
_ASKED_TIMES = 6  # umounts that are refused before users that were asked to end are killed
_WITH_PROCESSES = ("service", "mount", "socket", "swap", "scope", "slice")

log = structlog.get_logger(__name__)


class _CannotError(Exception):
    """It will not work, and trying again does not help."""


class _BusGoneError(Exception):
    """Systemd cannot be reached over the bus, and it is urgent."""


@dataclass(slots=True)
class _Progress:
    """What one start or stop has done so far."""

    is_tied: bool = False
    is_prepared: bool = False
    has_started: bool = False
    has_restarted: bool = False
    cleanups: int = 0
    refusals: int = 0  # of an umount


class Worker:
    """Works on the units of this node."""

    def __init__(self, manager: Manager, node: NodeFacts, drop_ins: DropIns) -> None:
        self._manager = manager
        self._node = node
        self._drop_ins = drop_ins
        self._is_bus_silent = False  # it let a stop wait in vain; the next ones wait less

    async def start(self, plan: Plan, after: Sequence[str]) -> str | None:
        """Bring a resource up within its start timeout. `after`: units that must stop later."""
        timeout_s = plan.spec.start_timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout_s):
                await self._bring_up(plan, after)
        except _CannotError as error:
            return str(error)
        except TimeoutError:
            return await self._give_up_start(plan, timeout_s)
        return None

    async def stop(self, plan: Plan) -> str | None:
        """Take a resource down within its stop timeout, if need be by force."""
        if self._is_bus_silent and not await self._answers(plan.unit):
            return await self._stop_without_bus(plan)
        try:
            try:
                async with asyncio.timeout(plan.spec.stop_timeout_ms / 1000):
                    await self._bring_down(plan)
            except TimeoutError:
                return await self._kill(plan)
            except _BusGoneError:
                return await self._stop_without_bus(plan)
        except _CannotError as error:
            return str(error)
        return None

    # --- up -----------------------------------------------------------------------------------

    async def _bring_up(self, plan: Plan, after: Sequence[str]) -> None:
        if plan.is_mount and (others := mounts.elsewhere(plan.spec, self._node)):
            text = f"{mounts.source(plan.spec)} is mounted on {', '.join(others)}: unmount it there"
            raise _CannotError(text)
        progress = _Progress()
        first = preparation.unit_of(plan)
        if not plan.is_existing_unit and first is None:
            await self._start_at_once(plan, after, progress)
        while True:
            try:
                if first and not progress.is_prepared:
                    await self._prepare(plan, first)
                    progress.is_prepared = True
                if plan.is_existing_unit and not progress.is_tied:
                    await self._tie(plan, after, progress)
                    progress.is_tied = True
                status = await self._manager.status(plan.unit)
                if await self._next_up(plan, after, status, progress):
                    return
            except BusError as error:
                await self._after_start_error(plan, error)

    async def _prepare(self, plan: Plan, unit: str) -> None:
        if is_present(plan, self._node):  # what is mounted must not be repaired
            return
        if reason := await preparation.prepare(self._manager, plan, unit):
            raise _CannotError(reason)

    async def _start_at_once(self, plan: Plan, after: Sequence[str], progress: _Progress) -> None:
        """Try without looking first; whatever is in the way, looking will tell."""
        with contextlib.suppress(BusError):
            if plan.is_existing_unit:
                job = await self._manager.start_unit(plan.unit)
            else:
                job = await self._manager.start_transient(plan.unit, definition(plan, after))
            progress.has_started = True
            await self._manager.job_result(job, _JOB_LOOK_S)

    async def _next_up(
        self, plan: Plan, after: Sequence[str], status: UnitStatus, progress: _Progress
    ) -> bool:
        if status.job:
            await self._manager.job_result(job_path(status.job), _JOB_LOOK_S)
            return False
        if status.is_up:
            return await self._check_present(plan, progress)
        if status.is_down:
            await self._start_once(plan, after, status, progress)
            return False
        if status.sub == "auto-restart":
            raise _CannotError(await self.why_down(plan, status))
        await asyncio.sleep(_LOOK_AGAIN_S)
        return False

    async def _check_present(self, plan: Plan, progress: _Progress) -> bool:
        """Compare an active unit with the real thing."""
        if is_present(plan, self._node) is not False:
            return True
        if plan.is_mount:
            found = ", ".join(m.device for m in mounts.layers(plan.spec, self._node)) or "nothing"
            where = plan.spec.parameters["mountpoint"]
            text = f"{where} holds {found}, not {mounts.source(plan.spec)}: unmount that"
            raise _CannotError(text)
        if progress.has_restarted:
            raise _CannotError(f"{plan.unit} is active, but the {plan.spec.type} is not there")
        progress.has_restarted = True
        progress.has_started = False
        job = await self._manager.stop_unit(plan.unit, StopMode.REPLACE)
        await self._manager.job_result(job, _JOB_LOOK_S)
        return False

    async def _start_once(
        self, plan: Plan, after: Sequence[str], status: UnitStatus, progress: _Progress
    ) -> None:
        if plan.is_existing_unit and (reason := verdicts.unusable(status)):
            raise _CannotError(reason)
        if progress.has_started:
            raise _CannotError(await self.why_down(plan, status))
        if status.active == "failed" or plan.is_existing_unit:
            # or the unit's own start limit bites; calls of one connection keep their order
            _, job = await asyncio.gather(
                self._manager.reset_failed(plan.unit), self._queue_start(plan, after)
            )
        else:
            job = await self._queue_start(plan, after)
        if job is None:
            return
        progress.has_started = True
        await self._manager.job_result(job, _JOB_LOOK_S)

    async def _queue_start(self, plan: Plan, after: Sequence[str]) -> str | None:
        """Queue the start; None when somebody else's job stands against it now."""
        try:
            if plan.is_existing_unit:
                return await self._manager.start_unit(plan.unit)
            return await self._manager.start_transient(plan.unit, definition(plan, after))
        except BusError as error:
            if error.name == UNIT_EXISTS:
                return await self._start_leftover(plan)
            if error.name != DESTRUCTIVE:
                raise
        if await self._manager.manager_property("SystemState") == "stopping":
            raise _CannotError("this node is shutting down, and systemd refuses to start anything")
        await asyncio.sleep(_LOOK_AGAIN_S)
        return None

    async def _start_leftover(self, plan: Plan) -> str:
        """Start a unit of that name that is still in memory, if it is the same one."""
        unit = await self._manager.unit_properties(
            plan.unit, "Transient", "SourcePath", "FragmentPath"
        )
        environment = await self._manager.environment(plan.unit)
        mark = f"RGMGR_GEN={plan.generation}"
        if unit.get("Transient") and mark in environment:
            return await self._manager.start_unit(plan.unit)
        if not unit.get("Transient"):
            origin = unit.get("SourcePath") or unit.get("FragmentPath") or "another unit"
            text = f"{plan.unit} is defined by {origin} on this node: remove that entry"
            raise _CannotError(text)
        text = f"{plan.unit} of an older configuration is still in memory, because another unit"
        raise _CannotError(f"{text} refers to it: see 'systemctl list-dependencies --reverse'")

    async def _tie(self, plan: Plan, after: Sequence[str], progress: _Progress) -> None:
        """Put an existing unit into its service, with a reload only if it takes one.

        One that is not in memory is started at once, since the job loads it with its drop-in: each
        question before that would load it once more. Seldom systemd has not seen the new file.
        """
        try:
            written = self._drop_ins.write(plan.unit, drop_in(plan, after))
        except OSError as error:
            path = self._drop_ins.path(plan.unit)
            raise _CannotError(f"cannot write {path}: {error.strerror}") from error
        is_old = await self._manager.is_in_memory(plan.unit)
        if not is_old:
            await self._start_at_once(plan, after, progress)
        status, known = await asyncio.gather(
            self._manager.status(plan.unit), self._manager.unit_properties(plan.unit, "DropInPaths")
        )
        paths = known.get("DropInPaths")
        is_seen = isinstance(paths, list) and str(self._drop_ins.path(plan.unit)) in paths
        if status.load != "loaded" or (is_seen and not (is_old and written is Written.REPLACED)):
            return
        if progress.has_started and not status.is_down:
            job = await self._manager.stop_unit(plan.unit, StopMode.REPLACE)
            await self._manager.job_result(job, _JOB_LOOK_S)
        progress.has_started = False
        await self._manager.reload()

    async def _after_start_error(self, plan: Plan, error: BusError) -> None:
        if error.name in AWAY or not self._manager.is_ready:
            await self._manager.wait_ready()
            await asyncio.sleep(_LOOK_AGAIN_S)
            return
        raise _CannotError(f"cannot start {plan.unit}: {error.text or error.name}") from error

    async def _give_up_start(self, plan: Plan, timeout_s: float) -> str:
        state = "systemd was out of reach"
        with contextlib.suppress(BusError):
            status = await self._manager.status(plan.unit)
            state = f"{plan.unit} was {status.active} ({status.sub})"
            if status.job:
                await self._manager.call("CancelJob", "u", [status.job])
        reason = f"not up within {timeout_s:g} s: {state}"
        left = await self.stop(plan)
        return reason + (f"; nor could it be stopped again: {left}" if left else "")

    # --- down ---------------------------------------------------------------------------------

    async def _bring_down(self, plan: Plan) -> None:
        progress = _Progress()
        first = preparation.unit_of(plan)
        while True:
            try:
                if first and not await self._is_ended(first):
                    continue
                status, is_ending = await asyncio.gather(
                    self._manager.status(plan.unit), self._is_ending()
                )
                if await self._next_down(plan, status, progress, is_ending=is_ending):
                    break
            except BusError as error:
                await self._after_stop_error(plan, error)
        if plan.is_existing_unit:
            self._drop_ins.remove(plan.unit)

    async def _next_down(
        self, plan: Plan, status: UnitStatus, progress: _Progress, *, is_ending: bool
    ) -> bool:
        if status.is_down and not status.job:
            return await self._is_gone(plan, status, progress)
        if plan.is_mount and is_present(plan, self._node) is not True and status.is_up:
            return True  # somebody else's mount; ours is gone
        job = await self._manager.stop_unit(plan.unit, _stop_mode(status, is_ending=is_ending))
        result = await self._manager.job_result(job, _JOB_LOOK_S)
        if result == "failed":
            await self._end_users(plan, progress)
            await asyncio.sleep(_REFUSED_PAUSE_S)
        return False

    async def _is_ended(self, unit: str) -> bool:
        """End what prepares a resource, if it still does."""
        status = await self._manager.status(unit)
        if status.is_down and not status.job:
            if status.active == "failed":
                await self._manager.reset_failed(unit)
            return True
        job = await self._manager.stop_unit(unit, StopMode.NOW)
        await self._manager.job_result(job, _JOB_LOOK_S)
        return False

    async def _end_users(self, plan: Plan, progress: _Progress) -> None:
        """Ask who keeps a mount busy to end, and kill who does not; nobody else."""
        progress.refusals += 1
        is_asked = progress.refusals == 1
        if not plan.is_unmounted_by_force or (not is_asked and progress.refusals <= _ASKED_TIMES):
            return
        where = plan.spec.parameters["mountpoint"]
        how = signal.SIGTERM if is_asked else signal.SIGKILL
        ended = [user for user in await users_of(where) if end_user(user, where, how)]
        if ended:
            log.warning("mount.freed", unit=plan.unit, signal=how.name, users=listed_users(ended))

    async def _is_ending(self) -> bool:
        """Tell whether this node, or our own unit, is being ended."""
        state, job = await asyncio.gather(
            self._manager.manager_property("SystemState"), self._daemon_job()
        )
        return state == "stopping" or job in ("stop", "restart")

    async def _daemon_job(self) -> str:
        with contextlib.suppress(BusError):  # its job may end while we ask
            return await self._manager.job_type(names.object_path(DAEMON_UNIT))
        return ""

    async def _is_gone(self, plan: Plan, status: UnitStatus, progress: _Progress) -> bool:
        """Answer the three questions: the unit, its processes, the real thing."""
        # A unit is not unloaded as long as it has processes.
        if status.load != "not-found" and await self._processes(plan.unit):
            await self._kill_processes(plan.unit)
            await asyncio.sleep(_LOOK_AGAIN_S)
            return False
        if is_present(plan, self._node):
            await self._clean_up(plan, progress)
            return False
        if plan.is_mount and mounts.elsewhere(plan.spec, self._node):
            await asyncio.sleep(_REFUSED_PAUSE_S)
            return False
        if status.active == "failed":
            properties = await self._manager.type_properties(status.name, *verdicts.OF_COMMANDS)
            has_word = plan.is_existing_unit or plan.is_told_by_commands
            why = verdicts.failed_stop_command(properties) if has_word else None
            if why and not await self._stop_again(plan, progress):
                text = f"{plan.unit}: {why}; when it is stopped, run 'systemctl reset-failed'"
                raise _CannotError(text)
            await self._manager.reset_failed(plan.unit)
        elif plan.spec.type == machines.TYPE and not await self._stop_again(plan, progress):
            # it may be here without its unit, so libvirt has the last word
            raise _CannotError(f"{plan.description} is not surely down: see 'virsh list'")
        return True

    async def _clean_up(self, plan: Plan, progress: _Progress) -> str | None:
        """Stop what is there although its unit is not, which runs no command again; return how."""
        if progress.cleanups:
            await asyncio.sleep(_REFUSED_PAUSE_S)
        progress.cleanups += 1
        if plan.helper is None:  # a mount: systemd learns of it in a moment
            await asyncio.sleep(_LOOK_AGAIN_S)
            return None
        unit = names.cleanup_unit(plan.key.service, plan.key.resource)
        job = await self._manager.start_transient(unit, cleanup_definition(plan))
        return await self._manager.job_result(job, plan.spec.stop_timeout_ms / 1000)

    async def _stop_again(self, plan: Plan, progress: _Progress) -> bool:
        """Run a helper's stop command once more, for it proves what it says."""
        can_be_asked = plan.helper is not None and not progress.cleanups
        return can_be_asked and await self._clean_up(plan, progress) == "done"

    async def _after_stop_error(self, plan: Plan, error: BusError) -> None:
        if error.name in (NO_SUCH_UNIT, UNIT_EXISTS):
            await asyncio.sleep(_LOOK_AGAIN_S)
            return
        if error.name not in AWAY and self._manager.is_ready:
            text = f"cannot stop {plan.unit}: {error.text or error.name}"
            raise _CannotError(text) from error
        if error.name == TIMEOUT:  # that was patience enough
            raise _BusGoneError from error
        try:
            async with asyncio.timeout(_BUS_PATIENCE_S):
                await self._manager.wait_ready()
                await self._manager.status(plan.unit)
        except (TimeoutError, BusError):
            raise _BusGoneError from error

    async def _kill(self, plan: Plan) -> str | None:
        log.warning("resource.killed", unit=plan.unit, timeout_ms=plan.spec.stop_timeout_ms)
        with contextlib.suppress(BusError):
            await self._kill_processes(plan.unit)
        try:
            async with asyncio.timeout(_KILL_PATIENCE_S):
                await self._bring_down(plan)
        except _BusGoneError:
            return await self._stop_without_bus(plan)
        except TimeoutError:
            limit_s = plan.spec.stop_timeout_ms / 1000
            return f"not down within {limit_s:g} s: {await self._what_is_left(plan)}"
        return None

    async def _answers(self, unit: str) -> bool:
        """Find out quickly whether the bus is back."""
        try:
            async with asyncio.timeout(_SILENT_BUS_PATIENCE_S):
                await self._manager.status(unit)
        except (TimeoutError, BusError):
            return False
        self._is_bus_silent = False
        return True

    async def _stop_without_bus(self, plan: Plan) -> str | None:
        self._is_bus_silent = True
        log.error("systemd.bypassed", unit=plan.unit, reason="the bus does not answer")
        fault = await emergency_stop(plan, self._node)
        if fault is None and plan.is_existing_unit:
            self._drop_ins.remove(plan.unit)
        return fault

    async def _what_is_left(self, plan: Plan) -> str:
        try:
            status = await self._manager.status(plan.unit)
            processes = await self._processes(plan.unit)
        except BusError as error:
            return str(error)
        parts = [f"{plan.unit} is {status.active} ({status.sub})"]
        if processes:
            parts.append(f"processes left: {verdicts.processes_text(processes)}")
        if is_present(plan, self._node):
            where = plan.spec.parameters["mountpoint"] if plan.is_mount else ""
            users = await users_of(where) if where else []
            kept = f", used by {listed_users(users)}" if users else ""
            parts.append(f"{plan.description} is still there{kept}")
        if plan.is_mount and (others := mounts.elsewhere(plan.spec, self._node)):
            parts.append(f"{mounts.source(plan.spec)} is still mounted on {', '.join(others)}")
        return "; ".join(parts)

    # --- both ---------------------------------------------------------------------------------

    async def why_down(self, plan: Plan, status: UnitStatus) -> str:
        """Say why a unit is not up, also when it was collected or systemd is out of reach."""
        try:
            properties, unit = await asyncio.gather(
                self._manager.type_properties(status.name, *verdicts.OF_END),
                self._manager.unit_properties(status.name, *verdicts.OF_CONDITION),
            )
        except BusError:
            return verdicts.why_down(status, {})
        is_skipped = unit.get("ConditionResult") is False and unit.get("ConditionTimestamp")
        if status.active == "inactive" and is_skipped:
            return f"{status.name} was not started: a condition in its unit file is not met"
        if plan.spec.type == "ip" and (words := verdicts.address_verdict(properties)):
            return f"{status.name} failed: {words}"
        if plan.helper is not None and (words := verdicts.helper_verdict(properties)):
            return f"{status.name} failed: {words}; see 'journalctl -u {status.name}'"
        if plan.spec.type == "ocf" and (words := verdicts.agent_verdict(properties)):
            return f"{status.name} failed: {words}; see 'journalctl -u {status.name}'"
        return verdicts.why_down(status, properties)

    async def _processes(self, unit: str) -> list[ProcessLeft]:
        if unit.rpartition(".")[2] not in _WITH_PROCESSES:
            return []
        return await self._manager.processes(unit)

    async def _kill_processes(self, unit: str) -> None:
        try:
            await self._manager.call("KillUnit", "ssi", [unit, "all", int(signal.SIGKILL)])
        except BusError as error:
            if error.name in AWAY:
                raise


def _stop_mode(status: UnitStatus, *, is_ending: bool) -> StopMode:
    """While our own unit is ended a stop job waits for our end: only one mode releases it."""
    is_waiting = bool(status.job) and status.job_type == "stop"
    return StopMode.NOW if is_waiting or is_ending else StopMode.REPLACE
