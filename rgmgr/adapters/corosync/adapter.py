# SPDX-License-Identifier: Apache-2.0
"""Keeps this process in its group: connects, serves, and connects again when corosync was away."""

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from rgmgr.adapters.corosync.connection import Connection, connect
from rgmgr.adapters.corosync.events import (
    CorosyncConnected,
    CorosyncLost,
    CorosyncUnavailable,
    GroupMember,
    ShutdownAnswer,
)
from rgmgr.adapters.corosync.facts import names_of
from rgmgr.adapters.corosync.session import Emit, OnGarbage, Session
from rgmgr.adapters.corosync.worker import in_thread
from rgmgr.errors import CorosyncError, InvariantViolation

CONNECT_MS_MAX: Final = 5_000  # then it is reported that corosync does not answer
CLOSE_MS_MAX: Final = 1_000
LEAVE_MS_MAX: Final = 2_000
_RETRY_MS: Final = (100, 200, 300, 400, 500)


def _ignore(_sender: GroupMember, _reason: str) -> None:
    """Drop garbage without a word."""


def _go_on() -> None:
    """Do nothing at the end of a turn."""


class Corosync:
    """This process in one CPG group, with quorum and the configuration of its node.

    Everything is told by `emit`, called on the loop's thread, in order, from within `run`; an
    exception of `emit` ends `run`. `told` is called when all that came together was told, before
    what was sent meanwhile goes out. A group name carries the major version of what is said in it.
    """

    def __init__(
        self,
        group: str,
        emit: Emit,
        *,
        on_garbage: OnGarbage = _ignore,
        told: Callable[[], None] = _go_on,
        connect: Callable[[str], Connection] = connect,
    ) -> None:
        self._group = group
        self._emit = emit
        self._on_garbage = on_garbage
        self._told = told
        self._connect = connect
        self._session: Session | None = None
        self._leaving = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._last_reason = ""

    @property
    def backlog(self) -> int:
        """Return how many messages wait to be sent; a sender of ticks skips one while above 0."""
        return self._session.backlog if self._session else 0

    async def run(self) -> None:
        """Stay in the group until `leave` or cancellation; corosync may come and go.

        Raises:
            CorosyncError: the extension is not built.
            InvariantViolation: an event of corosync was lost.
        """
        self._finished.clear()
        try:
            while not self._leaving.is_set():
                connection = await self._connected()
                if connection is not None:
                    await self._serve(connection)
        finally:
            self._finished.set()

    def send(self, payload: bytes) -> None:
        """Multicast to all members in agreed order; it is sent once it comes back to us.

        Discarded without a word while not connected: there is no view to which it could belong.

        Raises:
            CorosyncError: the message is too long, or too many are waiting.
        """
        if self._session is not None and not self._leaving.is_set():
            self._session.send(payload)

    async def leave(self, timeout_ms: int = LEAVE_MS_MAX) -> bool:
        """Send what is queued, leave the group and end `run`; say whether all saw us leave.

        False after `timeout_ms`: the others then see PROCDOWN or NODEDOWN instead of LEAVE.
        """
        self._leaving.set()
        has_left = False
        if self._session is not None:
            with contextlib.suppress(TimeoutError, CorosyncError):
                async with asyncio.timeout(timeout_ms / 1000):
                    has_left = await self._session.leave()
        if self._session is not None:
            self._session.stop()
        await self._finished.wait()
        return has_left

    async def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer `ShutdownRequested`; without effect once corosync is gone.

        Raises:
            CorosyncError: corosync does not wait for an answer any more.
        """
        if self._session is not None:
            await self._session.answer_shutdown(answer)

    async def _serve(self, connection: Connection) -> None:
        peer = connection.peer
        session = Session(connection, self._emit, self._on_garbage, self._told)
        try:
            self._session = session
            self._emit(
                CorosyncConnected(
                    local=peer.local,
                    cluster_name=peer.facts.cluster_name,
                    node_names=names_of(peer.facts.node_list),
                    token_ms=peer.facts.token_ms,
                    consensus_ms=peer.facts.consensus_ms,
                    is_two_node=peer.facts.is_two_node,
                    has_quorum_provider=peer.has_quorum_provider,
                    tie_breaker=peer.facts.tie_breaker,
                )
            )
            await session.serve()
        except CorosyncError as error:
            self._session = None
            self._emit(CorosyncLost(str(error)))
        except InvariantViolation as error:
            self._session = None
            self._emit(CorosyncLost(str(error)))
            raise
        finally:
            self._session = None
            closed = in_thread(connection.close, "corosync-close")
            await asyncio.wait({closed}, timeout=CLOSE_MS_MAX / 1000)

    async def _connected(self) -> Connection | None:
        """Return a connection, however long that takes; None once we are leaving."""
        attempt = 0
        while not self._leaving.is_set():
            try:
                return await self._attempt()
            except CorosyncError as error:
                if error.code == "NOT_BUILT":
                    raise
                self._unavailable(str(error))
            delay_ms = _RETRY_MS[min(attempt, len(_RETRY_MS) - 1)]
            attempt += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), delay_ms / 1000)
        return None

    async def _attempt(self) -> Connection | None:
        """Connect in a thread; one that hangs is waited for, never joined by a second one."""
        opening = in_thread(partial(self._connect, self._group), "corosync-connect")
        try:
            if not await self._settled(opening, CONNECT_MS_MAX / 1000):
                self._unavailable(f"corosync does not answer within {CONNECT_MS_MAX} ms; it hangs")
                await self._settled(opening, None)
        finally:
            if not opening.done() or self._leaving.is_set():  # nobody wants it any more
                opening.add_done_callback(_close_late)
        if self._leaving.is_set():
            return None
        connection = opening.result()
        self._last_reason = ""
        return connection

    async def _settled(self, future: asyncio.Future[Connection], timeout_s: float | None) -> bool:
        """Wait for the future, the deadline or `leave`; say whether the first two are over."""
        leaving = asyncio.ensure_future(self._leaving.wait())
        either: set[asyncio.Future[Connection] | asyncio.Task[Literal[True]]] = {future, leaving}
        try:
            await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
        return future.done() or self._leaving.is_set()

    def _unavailable(self, reason: str) -> None:
        if reason != self._last_reason:
            self._last_reason = reason
            self._emit(CorosyncUnavailable(reason))


def _close_late(opening: asyncio.Future[Connection]) -> None:
    """Close a connection that nobody waits for any more."""
    if not opening.cancelled() and opening.exception() is None:
        in_thread(opening.result().close, "corosync-close")
