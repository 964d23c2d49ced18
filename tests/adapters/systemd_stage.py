# SPDX-License-Identifier: Apache-2.0
"""One systemd adapter, one scripted PID 1 and one bus, for one test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from domains.model import NodeId, ServiceName
from rgmgr.adapters.systemd import Systemd
from rgmgr.adapters.systemd.node import Mount
from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.events import (
    Event,
    ResourceStarted,
    ResourceStopped,
)
from rgmgr.core.spec import ClusterSpec, NodeSpec, ResourceName, ResourceSpec, ServiceSpec
from tests.adapters.fake_systemd import Facts, FakeSystemd, Unit
from tests.adapters.private_bus import PrivateBus, private_bus

WEB = ServiceName("web")
APP_UNIT = "nginx.service"
VIP_UNIT = "rgmgr-web-vip.service"
DATA_UNIT = "srv-web.mount"


def resource(name: str, kind: str, **parameters: str) -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName(name),
        type=kind,
        parameters=parameters,
        start_timeout_ms=2000,
        stop_timeout_ms=1000,
    )


APP = resource("app", "systemd", unit=APP_UNIT)
VIP = resource("vip", "ip", address="10.0.0.100/24")
DATA = resource("data", "fs", device="/dev/vg0/web", mountpoint="/srv/web", fstype="xfs")
STARTED = ResourceStarted(service=WEB, resource=APP.name, op=1)
STOPPED = ResourceStopped(service=WEB, resource=APP.name, op=2)


def cluster(*resources: ResourceSpec) -> ClusterSpec:
    services = (ServiceSpec(name=WEB, resources=resources),) if resources else ()
    nodes = {NodeId(1): NodeSpec(name="n1")}
    return ClusterSpec(name="t", version=1, digest="", nodes=nodes, services=services)


class Stage:
    """One adapter, one fake PID 1, one bus."""

    def __init__(self, bus: PrivateBus, folder: Path, resync_period_s: float = 60.0) -> None:
        self.bus = bus
        self.pid1 = FakeSystemd()
        self.facts = Facts()
        self.drop_ins, self.uses = folder / "units", folder / "uses"
        self.inbox: asyncio.Queue[Event] = asyncio.Queue()
        self.systemd = Systemd(
            self.inbox.put_nowait,
            address=bus.address,
            node=self.facts,
            drop_ins=self.drop_ins,
            uses=self.uses,
            resync_period_s=resync_period_s,
            helpers=Path("/usr/lib/rgmgr"),
        )
        self.pid1.units[APP_UNIT] = Unit()
        self.pid1.on_started = self._appear
        self.pid1.on_stopped = self._vanish

    def _appear(self, unit: str) -> None:
        if unit == VIP_UNIT:
            self.facts.ips.append("10.0.0.100")
        if unit == DATA_UNIT:
            self.facts.mounted.append(
                Mount(
                    mountpoint="/srv/web", device="/dev/vg0/web", fstype="xfs", device_number="0:0"
                )
            )

    def _vanish(self, unit: str) -> None:
        if unit == VIP_UNIT:
            self.facts.ips.clear()
        if unit == DATA_UNIT:
            self.facts.mounted.clear()

    async def event(self, timeout_s: float = 8.0) -> Event:
        return await asyncio.wait_for(self.inbox.get(), timeout_s)

    def start(
        self, spec: ResourceSpec = APP, op: int = 1, after: tuple[ResourceSpec, ...] = ()
    ) -> None:
        self.systemd.start(StartResource(service=WEB, resource=spec, op=op, after=after))

    def stop(self, spec: ResourceSpec = APP, op: int = 2) -> None:
        self.systemd.stop(StopResource(service=WEB, resource=spec, op=op))

    async def settled(self) -> None:
        """Return when everything sent so far was read: systemd was asked after it."""
        await self.systemd.check_units(cluster(APP))
        await self.systemd.check_units(cluster(APP))

    def nothing_told(self) -> bool:
        return self.inbox.empty()


def stage(
    folder: Path, play: Callable[[Stage], Awaitable[None]], resync_period_s: float = 60.0
) -> None:
    async def perform() -> None:
        async with private_bus(folder) as bus, on_stage(bus, folder, resync_period_s) as made:
            await play(made)

    asyncio.run(perform())


@contextlib.asynccontextmanager
async def on_stage(
    bus: PrivateBus, folder: Path, resync_period_s: float = 60.0
) -> AsyncIterator[Stage]:
    made = Stage(bus, folder, resync_period_s)
    await made.pid1.connect(bus.address)
    running = asyncio.create_task(made.systemd.run())
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await made.pid1.close()
