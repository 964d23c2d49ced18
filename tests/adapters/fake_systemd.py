# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N802 - methods are found by systemd's names; the library closes no socket
"""A scripted PID 1 on a private bus: as helpful, or as nasty, as a test wants it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from dbus_next.aio.message_bus import MessageBus
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant

from rgmgr.adapters.bus import _PatientSocket
from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.node import Address, Mount

NAME = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{NAME}.Manager"
PROPERTIES = "org.freedesktop.DBus.Properties"
ERROR = "org.freedesktop.DBus.Error."


class Facts:
    """What the kernel says."""

    def __init__(self) -> None:
        self.ips: list[str] = []
        self.mounted: list[Mount] = []
        self.links = {"eth0"}

    def addresses(self) -> list[Address]:
        return [Address(ip=ip, interface="eth0") for ip in self.ips]

    def mounts(self) -> list[Mount]:
        return list(self.mounted)

    def linked(self) -> set[str]:
        return set(self.links)


@dataclass
class Unit:
    active: str = "inactive"
    sub: str = "dead"
    load: str = "loaded"
    job: int = 0
    job_type: str = ""
    of_unit: dict[str, Variant] = field(default_factory=dict)
    of_type: dict[str, Variant] = field(default_factory=dict)
    processes: list[tuple[int, str]] = field(default_factory=list)


Script = Callable[["FakeSystemd", Message], Awaitable[None]]


class FakeSystemd:
    """Owns systemd's name. `scripts` replace what a method does; each runs once, in order."""

    def __init__(self) -> None:
        self.units: dict[str, Unit] = {}
        self.manager = {"SystemState": Variant("s", "running")}
        self.scripts: dict[str, list[Script]] = {}
        self.calls: list[tuple[str, list[object]]] = []
        self.made: dict[str, dict[str, object]] = {}
        self.own_unit = "rgmgrd.service"
        self.on_started: Callable[[str], None] = lambda _: None
        self.on_stopped: Callable[[str], None] = lambda _: None
        self._was_called = asyncio.Condition()
        self._jobs = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._bus: MessageBus | None = None

    async def connect(self, address: str) -> None:
        self._bus = MessageBus(bus_address=address)
        self._bus._writer.sock = _PatientSocket(self._bus._sock)
        await self._bus.connect()
        self._bus.add_message_handler(self._on_message)
        await self._bus.request_name(NAME)

    async def leave(self) -> None:
        assert self._bus is not None
        await self._bus.release_name(NAME)

    async def come_back(self) -> None:
        assert self._bus is not None
        await self._bus.request_name(NAME)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._bus is not None and self._bus.connected:
            self._bus.disconnect()
            await asyncio.wait_for(self._bus.wait_for_disconnect(), 5)
        if self._bus is not None:
            self._bus._stream.close()
            self._bus._sock.close()

    def called(self, member: str) -> list[list[object]]:
        return [body for name, body in self.calls if name == member]

    async def wait_called(self, member: str, times: int) -> None:
        """Return when a method was called so often, in all."""
        async with asyncio.timeout(5):
            async with self._was_called:
                await self._was_called.wait_for(lambda: len(self.called(member)) >= times)

    def script(self, member: str, *scripts: Script) -> None:
        self.scripts.setdefault(member, []).extend(scripts)

    # --- what scripts use ---------------------------------------------------------------------

    def reply(self, call: Message, signature: str = "", *body: object) -> None:
        self._send(Message.new_method_return(call, signature, list(body)))

    def refuse(self, call: Message, error: str, text: str = "refused") -> None:
        self._send(Message.new_error(call, error, text))

    def new_job(self) -> tuple[int, str]:
        self._jobs += 1
        return self._jobs, f"{PATH}/job/{self._jobs}"

    def remove_job(self, number: int, unit: str, result: str = "done") -> None:
        body = [number, f"{PATH}/job/{number}", unit, result]
        self.signal(PATH, MANAGER, "JobRemoved", "uoss", body)

    def change(
        self, name: str, active: str, sub: str, job: int = 0, *, quietly: bool = False
    ) -> None:
        unit = self.units.setdefault(name, Unit())
        unit.active, unit.sub, unit.job = active, sub, job
        if quietly:
            return
        job_path = f"{PATH}/job/{job}" if job else "/"
        changed = {
            "ActiveState": Variant("s", active),
            "SubState": Variant("s", sub),
            "Job": Variant("(uo)", [job, job_path]),
        }
        body = [f"{NAME}.Unit", changed, []]
        self.signal(names.object_path(name), PROPERTIES, "PropertiesChanged", "sa{sv}as", body)

    def reloading(self, *, begins: bool) -> None:
        self.signal(PATH, MANAGER, "Reloading", "b", [begins])

    def signal(
        self, path: str, interface: str, member: str, signature: str, body: list[object]
    ) -> None:
        self._send(Message.new_signal(path, interface, member, signature, body))

    def started(self, name: str) -> None:
        sub = "mounted" if name.endswith(".mount") else "running"
        self.change(name, "active", sub)
        self.on_started(name)

    def stopped(self, name: str) -> None:
        self.on_stopped(name)
        self.change(name, "inactive", "dead")
        if names.is_made_at_run_time(name):
            self.units.pop(name, None)

    # --- serving ------------------------------------------------------------------------------

    def _send(self, message: Message) -> None:
        if self._bus is not None and self._bus.connected:
            self._bus.send(message)

    def _on_message(self, message: Message) -> bool:
        if message.message_type is not MessageType.METHOD_CALL:
            return False
        task = asyncio.ensure_future(self._serve(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def _serve(self, call: Message) -> None:
        self.calls.append((call.member, call.body))
        async with self._was_called:
            self._was_called.notify_all()
        if queue := self.scripts.get(call.member):
            await queue.pop(0)(self, call)
            return
        handler = getattr(self, f"_do_{call.member}", None)
        if handler is None:
            self.reply(call)
        else:
            await handler(call)

    async def _do_ListUnitsByNames(self, call: Message) -> None:
        rows = [self._row(name) for name in call.body[0]]
        self.reply(call, "a(ssssssouso)", rows)

    async def _do_ListUnitsByPatterns(self, call: Message) -> None:
        wanted = call.body[1]
        if wanted == [names.SLICE_PATTERN]:
            found = [name for name in self.units if name.endswith(".slice")]
        else:
            found = [name for name in wanted if name in self.units]
        self.reply(call, "a(ssssssouso)", [self._row(name) for name in found])

    def _row(self, name: str) -> list[object]:
        unit = self.units.get(name, Unit(load="not-found"))
        job_path = f"{PATH}/job/{unit.job}" if unit.job else "/"
        return [
            name, "", unit.load, unit.active, unit.sub, "",
            names.object_path(name), unit.job, unit.job_type, job_path,
        ]  # fmt: skip

    async def _do_StartUnit(self, call: Message) -> None:
        await self._start(call, str(call.body[0]))

    async def _do_StartTransientUnit(self, call: Message) -> None:
        name = str(call.body[0])
        if name in self.units:
            self.refuse(call, f"{NAME}.UnitExists")
            return
        self.made[name] = {key: value.value for key, value in call.body[2]}
        environment = self.made[name].get("Environment", [])
        self.units[name] = Unit(of_type={"Environment": Variant("as", environment)})
        await self._start(call, name)

    async def _start(self, call: Message, name: str) -> None:
        number, path = self.new_job()
        self.reply(call, "o", path)
        self.started(name)
        self.remove_job(number, name)

    async def _do_StopUnit(self, call: Message) -> None:
        name = str(call.body[0])
        if name not in self.units:
            self.refuse(call, f"{NAME}.NoSuchUnit")
            return
        number, path = self.new_job()
        self.reply(call, "o", path)
        self.stopped(name)
        self.remove_job(number, name)

    async def _do_ResetFailedUnit(self, call: Message) -> None:
        name = str(call.body[0])
        unit = self.units.get(name)
        if unit is not None and unit.active == "failed":
            self.units.pop(name) if names.is_made_at_run_time(name) else self.change(
                name, "inactive", "dead"
            )
        self.reply(call)

    async def _do_GetUnit(self, call: Message) -> None:
        name = str(call.body[0])
        if name in self.units:
            self.reply(call, "o", names.object_path(name))
        else:
            self.refuse(call, f"{NAME}.NoSuchUnit")

    async def _do_GetUnitProcesses(self, call: Message) -> None:
        unit = self.units.get(str(call.body[0]), Unit())
        self.reply(call, "a(sus)", [["/", pid, command] for pid, command in unit.processes])

    async def _do_KillUnit(self, call: Message) -> None:
        self.units[str(call.body[0])].processes.clear()
        self.reply(call)

    async def _do_GetUnitByPID(self, call: Message) -> None:
        self.reply(call, "o", names.object_path(self.own_unit))

    async def _do_GetUnitFileState(self, call: Message) -> None:
        state = self.units[str(call.body[0])].of_unit.get("UnitFileState", Variant("s", "disabled"))
        self.reply(call, "s", state.value)

    async def _do_Get(self, call: Message) -> None:
        interface, name = call.body
        if interface == MANAGER:
            self.reply(call, "v", self.manager[name])
            return
        unit = self.units.get(names.unit_of_path(call.path), Unit())
        if interface == f"{NAME}.Job":
            number = int(call.path.rpartition("/")[2])
            found = next(u for u in self.units.values() if u.job == number)
            self.reply(call, "v", Variant("s", found.job_type))
        elif name == "Job":
            path = f"{PATH}/job/{unit.job}" if unit.job else "/"
            self.reply(call, "v", Variant("(uo)", [unit.job, path]))
        else:
            of_unit = {"DropInPaths": Variant("as", []), **unit.of_unit}
            found = of_unit if interface == f"{NAME}.Unit" else unit.of_type
            if name in found:
                self.reply(call, "v", found[name])
            else:
                self.refuse(call, f"{ERROR}UnknownProperty")


async def never(_systemd: FakeSystemd, _call: Message) -> None:
    """Never answer."""


async def no_reply(systemd: FakeSystemd, call: Message) -> None:
    """Answer as the bus does when PID 1 re-executes itself."""
    systemd.refuse(call, ERROR + "NoReply", "Message recipient disconnected")
