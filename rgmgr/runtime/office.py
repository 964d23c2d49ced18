# SPDX-License-Identifier: Apache-2.0
"""Keeps `org.rgmgr` on the system bus: connects, serves, and comes back when the bus does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from domains.model import NodeId, ServiceName
from rgmgr.adapters import ping
from rgmgr.adapters.bus import Bus
from rgmgr.adapters.dbus_api import Api
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.events import Event, Requested
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.errors import BusError
from rgmgr.links import CorosyncView
from rgmgr.runtime.dispatch import Desk
from rgmgr.view import Status

RETRY_MS = 500
PUBLISH_MS = 50
"""Changes closer together than this are told as one."""
PUBLISH_PAUSE = 4
"""Times as long as the last publication took: while much changes, there is better work to do."""
HINT = "commands cannot reach rgmgrd until this is mended; 'systemctl status dbus' may say why"

log = structlog.get_logger("rgmgrd")


class Office:
    """Where operators are served."""

    def __init__(
        self,
        desk: Desk,
        current: Callable[[], Status],
        present: Callable[[], tuple[bytes, str] | None],
        corosync: Callable[[], CorosyncView],
        emit: Callable[[Event], None],
    ) -> None:
        self._desk = desk
        self._current = current
        self._present = present
        self._corosync = corosync
        self._emit = emit
        self._api: Api | None = None
        self._pending: asyncio.TimerHandle | None = None
        self._took_s = 0.0

    async def run(self) -> None:
        """Serve until cancelled; a bus that is gone is tried again."""
        complaint = ""
        while True:
            try:
                await self._serve()
                complaint = ""
            except BusError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    log.warning("bus.unavailable", reason=complaint, hint=HINT)
            await asyncio.sleep(RETRY_MS / 1000)

    async def _serve(self) -> None:
        bus = await Bus.connect()
        try:
            api = Api(
                bus,
                self._ask,
                self._ask_fence,
                self._current,
                self._present,
                corosync=self._corosync,
            )
            await api.start()
            self._api = api
            await bus.wait_lost()
            log.warning("bus.lost", reason="the system bus closed the connection")
        finally:
            self._api = None
            await bus.close()

    def publish(self) -> None:
        """Tell the bus soon that something changed."""
        if self._pending is None:
            loop = asyncio.get_running_loop()
            delay_s = max(PUBLISH_MS / 1000, PUBLISH_PAUSE * self._took_s)
            self._pending = loop.call_later(delay_s, self._publish)

    def _publish(self) -> None:
        self._pending = None
        if self._api is not None:
            began_s = time.monotonic()
            self._api.publish(self._current())
            self._took_s = time.monotonic() - began_s

    async def _ask(self, verb: Verb, service: ServiceName, target: NodeId | None) -> Reply:
        request, answer = self._desk.open(verb, service, target)
        self._emit(Requested(request))
        return await answer

    async def _ask_fence(self, order: FenceOrder, node: NodeId | None, name: str, by: str) -> Reply:
        if order is FenceOrder.ACK and await ping.reaches(name):
            text = f"{name} answers ping: it is not off"
            return Reply(number=0, answer=Answer.NOT_ALLOWED, text=text, owner=None)
        request, answer = self._desk.open_fence(order, node, by, int(time.time()))
        self._emit(Requested(request))
        return await answer
