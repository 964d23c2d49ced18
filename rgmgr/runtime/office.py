# SPDX-License-Identifier: Apache-2.0
"""Keeps `org.rgmgr` on the system bus: connects, serves, and comes back when the bus does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from domains.model import NodeId
from rgmgr.adapters import ping
from rgmgr.adapters.bus import Bus
from rgmgr.adapters.dbus_api import Api
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.events import Event, Requested
from rgmgr.core.messages import AnyRequest, FenceOrder, FenceRequest, Request
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
        history: Callable[[], str],
        corosync: Callable[[], CorosyncView],
        emit: Callable[[Event], None],
    ) -> None:
        self._desk = desk
        self._current = current
        self._present = present
        self._history = history
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
                self._current,
                self._present,
                self._history,
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

    def publish_corosync(self) -> None:
        """Tell the bus what a look at corosync has found."""
        if self._api is not None:
            self._api.publish_corosync()

    def _publish(self) -> None:
        self._pending = None
        if self._api is not None:
            began_s = time.monotonic()
            self._api.publish(self._current())
            self._took_s = time.monotonic() - began_s

    async def _ask(self, request: AnyRequest) -> Reply:
        if isinstance(request, FenceRequest) and request.order is FenceOrder.ACK:
            name = self._name_of(request.node)
            if name and await ping.reaches(name):
                text = f"{name} answers ping: it is not off"
                return Reply(number=0, answer=Answer.NOT_ALLOWED, text=text, owner=None)
        if not isinstance(request, Request):
            request = replace(request, wall_s=int(time.time()))
        numbered, answer = self._desk.open(request)
        self._emit(Requested(numbered))
        return await answer

    def _name_of(self, node: NodeId | None) -> str:
        return next((view.name for view in self._current().nodes if view.id == node), "")
