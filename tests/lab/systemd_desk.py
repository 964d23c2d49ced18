# SPDX-License-Identifier: Apache-2.0
"""The core's place at the systemd adapter, and a look at the node, for `systemd_inside`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from domains.model import NodeId, ServiceName
from rgmgr.adapters.systemd import Systemd
from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.events import (
    Event,
    ProbeFinished,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
)
from rgmgr.core.spec import ClusterSpec, NodeSpec, ResourceName, ResourceSpec, ServiceSpec

UNITS = Path("/run/systemd/system")
WEB = ServiceName("web-1")  # the dash must be escaped
ADDRESS = os.environ.get("RGMGR_TEST_ADDRESS", "10.78.0.249/24")
IP = ADDRESS.partition("/")[0]
MOUNTPOINT = "/srv/rgmgr-web"

E = TypeVar("E", bound=Event)
Check = Callable[[], Awaitable[str]]


def resource(
    name: str, kind: str, children: tuple[ResourceSpec, ...] = (), **parameters: str
) -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName(name),
        type=kind,
        parameters=parameters,
        children=children,
        start_timeout_ms=5000,
        stop_timeout_ms=5000,
    )


APP = resource("app", "systemd", unit="nginx.service")
DATA = resource(
    "data", "fs", (APP,), device="tmpfs", mountpoint=MOUNTPOINT, fstype="tmpfs", options="size=1m"
)
VIP = resource("vip", "ip", (DATA,), address=ADDRESS)
TREE = (VIP, DATA, APP)


def cluster(*services: ServiceSpec) -> ClusterSpec:
    return ClusterSpec(
        name="t", version=1, digest="", nodes={NodeId(1): NodeSpec(name="n1")}, services=services
    )


WEB_CLUSTER = cluster(ServiceSpec(name=WEB, resources=(VIP,)))


class Desk:
    """The core's place: gives actions, takes events."""

    def __init__(self) -> None:
        self.events: list[tuple[float, Event]] = []
        self.systemd = Systemd(self._take)
        self._op = 0

    def _take(self, event: Event) -> None:
        self.events.append((time.monotonic(), event))

    async def event(self, kind: type[E], timeout_s: float = 15.0) -> tuple[float, E]:
        """Take the next event of a kind out of the list."""
        async with asyncio.timeout(timeout_s):
            while True:
                for entry in self.events:
                    if isinstance(entry[1], kind):
                        self.events.remove(entry)
                        return entry[0], entry[1]
                await asyncio.sleep(0.0005)

    async def start(
        self, spec: ResourceSpec, after: tuple[ResourceSpec, ...] = ()
    ) -> ResourceStarted | ResourceStartFailed:
        self._op += 1
        self.systemd.start(StartResource(service=WEB, resource=spec, op=self._op, after=after))
        _, event = await self.event(ResourceStarted | ResourceStartFailed)  # type: ignore[arg-type]
        assert event.op == self._op
        return event

    async def stop(self, spec: ResourceSpec) -> ResourceStopped | ResourceStopFailed:
        self._op += 1
        self.systemd.stop(StopResource(service=WEB, resource=spec, op=self._op))
        _, event = await self.event(ResourceStopped | ResourceStopFailed, 30)  # type: ignore[arg-type]
        assert event.op == self._op
        return event

    async def probe(self, spec: ClusterSpec) -> dict[str, tuple[str, ...]]:
        self.systemd.probe(spec)
        await self.event(ProbeFinished)
        found = {e.service: e.active for _, e in self.events if isinstance(e, ServiceProbed)}
        self.events = [entry for entry in self.events if not isinstance(entry[1], ServiceProbed)]
        return dict(found)

    async def up(self) -> None:
        above: tuple[ResourceSpec, ...] = ()
        for spec in TREE:
            event = await self.start(spec, above)
            assert isinstance(event, ResourceStarted), event
            above = (*above, spec)

    async def down(self) -> None:
        for spec in reversed(TREE):
            event = await self.stop(spec)
            assert isinstance(event, ResourceStopped), event

    async def quiet(self, for_s: float = 0.5) -> None:
        """Nothing may be told for a while."""
        await asyncio.sleep(for_s)
        told = [event for _, event in self.events if not isinstance(event, ServiceProbed)]
        assert not told, told


@contextlib.asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    running = asyncio.create_task(made.systemd.run())
    try:
        yield made
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def run(*command: str) -> str:
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await child.communicate()
    return output.decode().strip()


async def show(unit: str, *names: str) -> list[str]:
    text = await run(
        "systemctl", "show", "--value", *(f"--property={name}" for name in names), unit
    )
    return text.splitlines()


async def listed(unit: str, name: str) -> str:
    """Return a list of units as a text; systemctl quotes what has a backslash."""
    return " ".join(await show(unit, name)).replace("\\\\", "\\")


async def has_address() -> bool:
    return f" {IP}/" in await run("ip", "-o", "addr")


def is_mounted() -> bool:
    return f" {MOUNTPOINT} " in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def write_unit(name: str, text: str) -> None:
    (UNITS / name).write_text(text, encoding="utf-8")


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
