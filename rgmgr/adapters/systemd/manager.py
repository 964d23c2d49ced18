# SPDX-License-Identifier: Apache-2.0
"""systemd's D-Bus interface: calls, jobs, and the news about units.

Owns the connection to the bus, for ever: it reconnects, subscribes anew and says when everything
must be looked at again. Knows units and jobs, but neither services nor resources. A lost bus and a
PID 1 that re-executes itself make things *unknown*; nothing here turns that into a failure.

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import structlog

from rgmgr.adapters.bus import (
    BUS_DESTINATION,
    NO_REPLY,
    Bus,
    Signal,
    match_signal,
    variant,
)
from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.statuses import (
    ABSENT,
    SYSTEMD,
    Statuses,
    UnitStatus,
    number_of,
    rows_of,
)
from rgmgr.errors import BusError

MANAGER_PATH = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
UNIT = f"{SYSTEMD}.Unit"
PROPERTIES = "org.freedesktop.DBus.Properties"
UNKNOWN_PROPERTY = "org.freedesktop.DBus.Error.UnknownProperty"
NO_SUCH_UNIT = f"{SYSTEMD}.NoSuchUnit"
UNIT_EXISTS = f"{SYSTEMD}.UnitExists"
DESTRUCTIVE = f"{SYSTEMD}.TransactionIsDestructive"

_SETTLE_S = 0.2
_UNSETTLED_TRIES = 10
_READ_TRIES = 10
_READ_PAUSE_S = 0.05
_RECONNECT_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_RELOAD_TIMEOUT_S = 30.0
_FINISHED_JOBS_MAX = 1000
_REEXECUTING = (NO_REPLY, *ABSENT)
_TYPE_INTERFACES = {
    suffix: f"{SYSTEMD}.{suffix.capitalize()}"
    for suffix in ("service", "mount", "socket", "target", "timer", "path", "slice", "swap")
}
_MATCHES = (
    # not all of the manager's: a start alone makes three more, and each costs a millisecond
    match_signal(sender=SYSTEMD, path=MANAGER_PATH, interface=MANAGER, member="JobRemoved"),
    match_signal(sender=SYSTEMD, path=MANAGER_PATH, interface=MANAGER, member="Reloading"),
    match_signal(
        sender=SYSTEMD,
        interface=PROPERTIES,
        member="PropertiesChanged",
        path_namespace=names.UNIT_PATH_PREFIX.rstrip("/"),
        arg0=UNIT,
    ),
    match_signal(sender="org.freedesktop.DBus", member="NameOwnerChanged", arg0=SYSTEMD),
)

log = structlog.get_logger(__name__)

Properties = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNews:
    """A change of a unit, as it was announced."""

    unit: str
    active: str
    sub: str
    job: int


class StopMode(Enum):
    """How a stop job behaves towards jobs that wait already."""

    REPLACE = "replace"
    NOW = "ignore-dependencies"  # at shutdown: releases the job that waits for our own end


@dataclass(frozen=True, slots=True)
class ProcessLeft:
    """A process in a unit's control group."""

    pid: int
    command: str


class Manager:
    """PID 1, seen over D-Bus.

    Args:
        on_news: called for every change of any unit, from the reader; must not block.
        on_resync: called when changes may have been missed.
        address: of the bus; None: the system bus.
    """

    def __init__(
        self,
        *,
        on_news: Callable[[UnitNews], None],
        on_resync: Callable[[], None],
        address: str | None = None,
    ) -> None:
        self._on_news = on_news
        self._on_resync = on_resync
        self._address = address
        self._bus: Bus | None = None
        self._statuses = Statuses(self._read)
        self._is_ready = asyncio.Event()
        self._owner = ""
        self._finished: dict[str, str] = {}
        self._waiting: dict[str, list[asyncio.Future[str]]] = {}
        self._reload_lock = asyncio.Lock()
        self._is_reloading = False
        self._upheaval_at = float("-inf")

    async def run(self) -> None:
        """Keep the connection, for ever."""
        failures = 0
        while True:
            try:
                bus = await Bus.connect(self._address)
            except BusError as error:
                failures = self._note_failure(failures, error)
                await asyncio.sleep(_pause_s(failures))
                continue
            try:
                await self._subscribe(bus)
                failures = 0
                await bus.wait_lost()
                log.warning("systemd.lost", reason="the bus is gone")
            except BusError as error:
                failures = self._note_failure(failures, error)
            finally:
                self._forget_connection()
                await bus.close()
            await asyncio.sleep(_pause_s(failures))

    @property
    def is_ready(self) -> bool:
        """Tell whether systemd can be asked now."""
        return self._is_ready.is_set()

    async def wait_ready(self) -> None:
        """Return as soon as systemd can be asked."""
        await self._is_ready.wait()

    async def call(
        self,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        *,
        timeout_s: float = 10.0,
    ) -> list[object]:
        """Call a method of the manager.

        Raises:
            BusError: see `Bus.call`.
        """
        return await self._call(MANAGER_PATH, MANAGER, member, signature, body, timeout_s)

    async def _read(self, member: str, signature: str, body: Sequence[object]) -> list[object]:
        """Ask for something that changes nothing, again while PID 1 re-executes itself."""
        return await self._read_at(MANAGER_PATH, MANAGER, member, signature, body)

    async def _read_at(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str,
        body: Sequence[object],
        timeout_s: float = 3.0,
    ) -> list[object]:
        for _ in range(_READ_TRIES):
            try:
                return await self._call(path, interface, member, signature, body, timeout_s)
            except BusError as error:
                if error.name not in _REEXECUTING:
                    raise
            await asyncio.sleep(_READ_PAUSE_S)
        return await self._call(path, interface, member, signature, body, timeout_s)

    async def statuses(self, units: Sequence[str]) -> list[UnitStatus]:
        """Return the state of units, in their order; existing ones are loaded if needed.

        A question that was waiting while PID 1 reloaded or re-executed itself is answered before
        all units have their state back, so *down* counts only when it was not told just after that.
        """
        for _ in range(_UNSETTLED_TRIES):
            found = await self._statuses.of(units)
            if self._is_settled() or not any(status.is_down for status in found):
                return found
            await asyncio.sleep(_SETTLE_S)
        return await self._statuses.of(units)

    def _is_settled(self) -> bool:
        if self._is_reloading:
            return False
        return asyncio.get_running_loop().time() - self._upheaval_at > _SETTLE_S

    def _note_upheaval(self) -> None:
        self._upheaval_at = asyncio.get_running_loop().time()

    async def status(self, unit: str) -> UnitStatus:
        """Return the state of one unit."""
        return (await self.statuses([unit]))[0]

    async def loaded(self, pattern: str) -> list[UnitStatus]:
        """Return the units in memory whose names match."""
        return await self._statuses.matching(pattern)

    async def is_in_memory(self, unit: str) -> bool:
        """Tell whether systemd has a unit loaded, also under another name; does not load it."""
        try:
            await self._read("GetUnit", "s", [unit])
        except BusError as error:
            if error.name != NO_SUCH_UNIT:
                raise
            return False
        return True

    async def unit_properties(self, unit: str, *properties: str) -> Properties:
        """Return some of the properties that all types of units have."""
        return await self._some(names.object_path(unit), UNIT, properties)

    async def type_properties(self, unit: str, *properties: str) -> Properties:
        """Return those of these properties that the unit's own type has, such as `Result`."""
        interface = _TYPE_INTERFACES.get(unit.rpartition(".")[2])
        return await self._some(names.object_path(unit), interface, properties) if interface else {}

    async def environment(self, unit: str) -> list[str]:
        """Return the environment that a unit gives to its programs, as NAME=VALUE."""
        found = (await self.type_properties(unit, "Environment")).get("Environment")
        return [str(entry) for entry in found] if isinstance(found, list) else []

    async def manager_property(self, name: str) -> object:
        """Return a property of PID 1, such as `SystemState`."""
        return await self._get(MANAGER_PATH, MANAGER, name)

    async def job_type(self, unit_path: str) -> str:
        """Return what systemd is doing with a unit: `stop`, `restart` ...; empty for nothing."""
        job = await self._get(unit_path, UNIT, "Job")
        number, path = job if isinstance(job, list) else (0, "")
        return str(await self._get(str(path), f"{SYSTEMD}.Job", "JobType")) if number else ""

    async def start_unit(self, unit: str) -> str:
        """Queue a start, without disturbing anybody else's job; return the job."""
        (job,) = await self.call("StartUnit", "ss", [unit, "fail"])
        return str(job)

    async def start_transient(
        self, unit: str, properties: Sequence[tuple[str, str, object]]
    ) -> str:
        """Make a unit and queue its start; `properties` are (name, signature, value)."""
        body = [unit, "fail", [[n, variant(s, v)] for n, s, v in properties], []]
        (job,) = await self.call("StartTransientUnit", "ssa(sv)a(sa(sv))", body)
        return str(job)

    async def stop_unit(self, unit: str, mode: StopMode) -> str:
        """Queue a stop; return the job."""
        (job,) = await self.call("StopUnit", "ss", [unit, mode.value], timeout_s=3.0)
        return str(job)

    async def reset_failed(self, unit: str) -> None:
        """Have a failed unit forgotten, and how often it was started; one not loaded is fine."""
        try:
            await self.call("ResetFailedUnit", "s", [unit])
        except BusError as error:
            if error.name != NO_SUCH_UNIT:
                raise

    async def job_result(self, job: str, timeout_s: float) -> str | None:
        """Return how a job ended; None when it has not, or nobody can tell any more.

        It says nothing about the unit: look at that.
        """
        if job in self._finished:
            return self._finished.pop(job)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, []).append(future)
        try:
            async with asyncio.timeout(timeout_s):
                return await future or None
        except TimeoutError:
            return None
        finally:
            self._forget_waiter(job, future)

    async def processes(self, unit: str) -> list[ProcessLeft]:
        """Return what runs in a unit's control group; nothing for a unit that is not loaded."""
        try:
            (rows,) = await self._read("GetUnitProcesses", "s", [unit])
        except BusError as error:
            if error.name == NO_SUCH_UNIT:
                return []
            raise
        return [ProcessLeft(number_of(row[1]), str(row[2])) for row in rows_of(rows)]

    async def reload(self) -> None:
        """Have PID 1 read all unit files again; one reload at a time."""
        async with self._reload_lock:
            await self.call("Reload", timeout_s=_RELOAD_TIMEOUT_S)

    def _note_failure(self, failures: int, error: BusError) -> int:
        if failures == 0:
            log.warning("systemd.unreachable", reason=str(error))
        return failures + 1

    async def _subscribe(self, bus: Bus) -> None:
        bus.on_signal(self._on_signal)
        for rule in _MATCHES:
            await bus.add_match(rule)
        self._bus = bus
        (owner,) = await bus.call(
            BUS_DESTINATION, "/", BUS_DESTINATION, "GetNameOwner", "s", [SYSTEMD]
        )
        self._owner = str(owner)  # first, for it tells whose signals count
        await bus.call(SYSTEMD, MANAGER_PATH, MANAGER, "Subscribe")
        self._is_ready.set()
        self._on_resync()

    def _forget_connection(self) -> None:
        self._bus = None
        self._is_ready.clear()
        self._is_reloading = False
        self._note_upheaval()
        for waiters in list(self._waiting.values()):
            for future in waiters:
                _settle(future, "")

    def _forget_waiter(self, job: str, future: asyncio.Future[str]) -> None:
        waiters = self._waiting.get(job, [])
        if future in waiters:
            waiters.remove(future)
        if not waiters:
            self._waiting.pop(job, None)

    async def _call(
        self,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        body: Sequence[object] = (),
        timeout_s: float = 10.0,
    ) -> list[object]:
        bus = self._bus
        if bus is None:
            name = "org.freedesktop.DBus.Error.Disconnected"
            raise BusError(SYSTEMD, f"{interface}.{member}", name, "systemd is out of reach")
        return await bus.call(
            SYSTEMD, path, interface, member, signature, body, timeout_s=timeout_s
        )

    async def _some(self, path: str, interface: str, wanted: Sequence[str]) -> Properties:
        """Ask for each by itself: all of a unit's take a hundred times as long to read as one."""
        found = await asyncio.gather(*(self._maybe(path, interface, name) for name in wanted))
        return {name: value for name, value in zip(wanted, found, strict=True) if value is not None}

    async def _maybe(self, path: str, interface: str, name: str) -> object:
        try:
            return await self._get(path, interface, name)
        except BusError as error:
            if error.name == UNKNOWN_PROPERTY:
                return None
            raise

    async def _get(self, path: str, interface: str, name: str) -> object:
        (value,) = await self._read_at(path, PROPERTIES, "Get", "ss", [interface, name])
        return value

    def _on_signal(self, signal: Signal) -> None:
        if signal.member == "NameOwnerChanged":
            if signal.sender == BUS_DESTINATION and signal.body[0] == SYSTEMD:
                self._on_owner(str(signal.body[2]))
            return
        if signal.sender != self._owner:
            return  # anybody may send us a signal, whatever our match rules say
        match signal.member:
            case "PropertiesChanged" if signal.body[0] == UNIT:
                self._on_properties(signal)
            case "JobRemoved" if signal.interface == MANAGER:
                self._on_job_removed(str(signal.body[1]), str(signal.body[3]))
            case "Reloading" if signal.interface == MANAGER:
                self._on_reloading(is_reloading=signal.body[0] is True)

    def _on_reloading(self, *, is_reloading: bool) -> None:
        self._is_reloading = is_reloading
        self._note_upheaval()
        if not is_reloading:
            self._on_resync()

    def _on_owner(self, owner: str) -> None:
        """PID 1 left the bus or came back: it re-executed itself, or the bus is a new one."""
        self._note_upheaval()
        if not owner:
            self._is_ready.clear()
            return
        if owner != self._owner and self._bus is not None:
            self._owner = owner
            self._is_ready.set()
            self._on_resync()

    def _on_properties(self, signal: Signal) -> None:
        changed = signal.body[1]
        if not isinstance(changed, dict) or "ActiveState" not in changed:
            return
        job = changed.get("Job")
        self._on_news(
            UnitNews(
                unit=names.unit_of_path(signal.path),
                active=str(changed["ActiveState"]),
                sub=str(changed.get("SubState", "")),
                job=number_of(job[0]) if isinstance(job, list) else 0,
            )
        )

    def _on_job_removed(self, job: str, result: str) -> None:
        waiters = self._waiting.pop(job, None)
        if waiters:
            for future in waiters:
                _settle(future, result)
            return
        # Whoever asked for it may not know its name yet.
        self._finished[job] = result
        while len(self._finished) > _FINISHED_JOBS_MAX:
            del self._finished[next(iter(self._finished))]


def job_path(number: int) -> str:
    """Return the D-Bus object of a job."""
    return f"{MANAGER_PATH}/job/{number}"


def _pause_s(failures: int) -> float:
    return _RECONNECT_PAUSES_S[min(failures, len(_RECONNECT_PAUSES_S) - 1)]


def _settle(future: asyncio.Future[str], result: str) -> None:
    if not future.done():
        future.set_result(result)
