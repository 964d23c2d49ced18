# SPDX-License-Identifier: Apache-2.0
"""A core that answers at will, served on a bus of our own, and a client beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.adapters.bus import Bus, Signal, match_signal
from rgmgr.adapters.dbus_api import Api
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.messages import (
    AnyRequest,
    FenceOrder,
    FenceRequest,
    MaintenanceRequest,
    Request,
    Verb,
)
from rgmgr.errors import BusError
from rgmgr.history_view import History, encode_history
from rgmgr.links import CorosyncView
from rgmgr.view import Status
from tests.adapters.private_bus import private_bus
from tests.unit.cli_links import sound
from tests.unit.cli_status import NODE2, healthy

MANAGER = ("org.rgmgr", "/org/rgmgr", "org.rgmgr.Manager1")
SERVICE = "org.rgmgr.Service1"
PROPERTIES = "org.freedesktop.DBus.Properties"
POLICY = Path(__file__).parents[2] / "systemd" / "org.rgmgr.conf"

DONE = Reply(number=1, answer=Answer.DONE, text="web is now running on node2", owner=NODE2)


@dataclass
class Core:
    """Answers requests and shows a status, as the runtime would."""

    shown: Status = field(default_factory=healthy)
    corosync: CorosyncView = field(default_factory=sound)
    reply: Reply | Exception = DONE
    told: tuple[bytes, str] | None = None
    decided: History = field(default_factory=lambda: History(decisions=()))
    asked: list[tuple[Verb, ServiceName, NodeId | None]] = field(default_factory=list)
    asked_fence: list[tuple[FenceOrder, NodeId | None, str]] = field(default_factory=list)
    ordered: list[MaintenanceRequest] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # set by each request
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def ask(self, request: AnyRequest) -> Reply:
        match request:
            case Request(verb=verb, service=service, target=target):
                self.requests.append(request)
                self.asked.append((verb, service, target))
            case FenceRequest(order=order, node=node, by=by):
                self.asked_fence.append((order, node, by))
            case MaintenanceRequest():
                self.ordered.append(request)
        self.begun.set()
        await self.gate.wait()
        self.finished.set()
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply

    def current(self) -> Status:
        return self.shown

    def present(self) -> tuple[bytes, str] | None:
        return self.told

    def history(self) -> str:
        return encode_history(self.decided)

    def current_corosync(self) -> CorosyncView:
        return self.corosync


@dataclass
class World:
    """A served core, and a client on the same bus."""

    address: str
    core: Core
    api: Api
    client: Bus
    signals: asyncio.Queue[Signal]

    async def request(self, verb: str, service: str, node: str = "") -> list[object]:
        return await self.client.call(*MANAGER, "Request", "sssa{sv}", [verb, service, node, {}])


@contextlib.asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    async with private_bus(folder) as bus:
        server, client = await Bus.connect(bus.address), await Bus.connect(bus.address)
        signals: asyncio.Queue[Signal] = asyncio.Queue()
        core = Core()
        api = Api(
            server,
            core.ask,
            core.current,
            core.present,
            core.history,
            corosync=core.current_corosync,
        )
        await api.start()
        client.on_signal(signals.put_nowait)
        await client.add_match(match_signal(sender="org.rgmgr"))
        try:
            yield World(bus.address, core, api, client, signals)
        finally:
            await client.close()
            await server.close()


def run(folder: Path, scenario: Callable[[World], Awaitable[None]]) -> None:
    async def play() -> None:
        async with asyncio.timeout(20), world(folder) as there:
            await scenario(there)

    asyncio.run(play())


async def refused(asked: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(BusError) as caught:
        await asked
    return caught.value.name.removeprefix("org.rgmgr.Error."), caught.value.text
