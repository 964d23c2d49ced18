# SPDX-License-Identifier: Apache-2.0
"""Serves one connection on the event loop, from the join to the end.

What comes in is taken as soon as a descriptor is readable: a task that is woken up for it would be
woken up twice. What it is answered with goes out in the same turn. Whatever goes wrong there is
raised by `serve`, and ends the session.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from rgmgr.adapters.corosync.connection import Connection, Library
from rgmgr.adapters.corosync.events import (
    CorosyncEvent,
    GroupMember,
    MessageReceived,
    NodeListChanged,
    QuorumChanged,
    RingNodesChanged,
    ShutdownAnswer,
    ShutdownRequested,
)
from rgmgr.adapters.corosync.facts import NodeList
from rgmgr.adapters.corosync.outbox import Outbox
from rgmgr.adapters.corosync.raw import (
    Delivery,
    ExpectedVotesChanged,
    GroupChange,
    KeyChanged,
    RawEvent,
    RingChange,
    TooLong,
    VotersChanged,
)
from rgmgr.adapters.corosync.views import ViewTracker
from rgmgr.adapters.corosync.worker import in_thread
from rgmgr.wire.chunks import Garbage, Reassembler

Emit = Callable[[CorosyncEvent], None]
OnGarbage = Callable[[GroupMember, str], None]
_OTHERS = tuple(library for library in Library if library is not Library.CPG)


class Session:
    """Turns one connection's raw events into `CorosyncEvent`s, and sends our messages.

    `told` is called when all events of a turn were emitted, and before what is queued is sent.
    """

    def __init__(
        self, connection: Connection, emit: Emit, on_garbage: OnGarbage, told: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._emit = emit
        self._on_garbage = on_garbage
        self._told = told
        self._local = connection.peer.local
        self._views = ViewTracker(self._local)
        self._node_list = NodeList(connection.peer.facts.node_list)
        self._outbox = Outbox(connection.multicast)
        self._reassembler: Reassembler[GroupMember] = Reassembler()
        self._wake = asyncio.Event()
        self._failure: BaseException | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._drained = asyncio.Event()  # the outbox is empty, or the session is over
        self._ended = asyncio.Event()
        self._is_stopped = False
        self._is_sending = False  # the loop, or the turn, will hand over what is queued

    @property
    def backlog(self) -> int:
        """Return how many messages wait to be sent."""
        return self._outbox.queued

    def send(self, payload: bytes) -> None:
        """Queue a message; it is sent on this connection or never."""
        self._outbox.put(payload)
        self._drained.clear()
        if not self._is_sending:
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self._send_now)

    async def serve(self) -> None:
        """Serve until the own LEAVE, or until stopped.

        Raises:
            CorosyncError: the connection is gone.
            InvariantViolation: an event was lost.
        """
        loop = asyncio.get_running_loop()
        fds = self._connection.filenos()
        for library, fd in fds.items():
            loop.add_reader(fd, self._readable, library)
        self._wake.set()  # events may be waiting already
        try:
            while not self._is_over:
                await self._wake.wait()
                self._wake.clear()
                if self._failure is not None:
                    raise self._failure
                self._turn()
                await asyncio.sleep(0)  # a set event does not yield
        finally:
            for fd in fds.values():
                loop.remove_reader(fd)
            if self._retry is not None:
                self._retry.cancel()
            self._drained.set()
            self._ended.set()

    def stop(self) -> None:
        """End the session without leaving the group."""
        self._is_stopped = True
        self._wake.set()

    async def leave(self) -> bool:
        """Send what is queued, leave, and wait for the own LEAVE; say whether it came.

        Raises:
            CorosyncError: the connection is gone.
        """
        if self._outbox.is_idle:
            self._drained.set()
        await self._drained.wait()
        if not self._ended.is_set():
            await in_thread(self._connection.leave, "corosync-leave")
        await self._ended.wait()
        return self._views.has_left

    async def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Tell corosync whether it may stop.

        Raises:
            CorosyncError: nobody waits for an answer any more.
        """
        await in_thread(lambda: self._connection.answer_shutdown(answer), "corosync-answer")

    @property
    def _is_over(self) -> bool:
        return self._views.has_left or self._is_stopped

    def _readable(self, library: Library) -> None:
        """Take what has come."""
        self._guarded(self._turn_of_group if library is Library.CPG else self._turn)

    def _send_now(self) -> None:
        """Hand over what several callers have queued, at once."""
        self._is_sending = False
        self._guarded(self._flush)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Do a part of the work; `serve` is woken up only for the end."""
        if self._failure is None and not (self._is_over or self._ended.is_set()):
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - raised by `serve`
                self._failure = error
        if self._failure is not None or self._is_over:
            self._wake.set()

    def _turn(self) -> None:
        """Take what is due: the verdict on a ring before the view that asks for it.

        What is left over keeps a descriptor readable, which brings the next turn.
        """
        self._tell(self._due(Library))

    def _turn_of_group(self) -> None:
        """Take what is due in the group; all the rest as well before a change of the ring.

        Nearly always there is one message, and nothing else: to ask for it takes longer.
        """
        events = self._connection.dispatch(Library.CPG)
        is_usual = all(isinstance(event, Delivery) for event in events)
        self._tell(events if is_usual else chain(self._due(_OTHERS), events))

    def _due(self, libraries: Iterable[Library]) -> Iterator[RawEvent]:
        for library in libraries:
            yield from self._connection.dispatch(library)

    def _tell(self, events: Iterable[RawEvent]) -> None:
        self._is_sending = True
        try:
            for event in events:
                self._take(event)
            self._told()
        finally:
            self._is_sending = False
        self._flush()

    def _take(self, event: RawEvent) -> None:
        match event:
            case Delivery(sender, frame):
                self._delivered(sender, frame)
            case TooLong(sender, size_bytes):
                self._on_garbage(
                    sender, f"a message of {size_bytes} bytes, longer than any of ours"
                )
            case GroupChange():
                self._tear(self._views.group_changed(event))
            case RingChange():
                self._tear(self._views.ring_changed(event))
            case KeyChanged():
                if (names := self._node_list.take(event)) is not None:
                    self._emit(NodeListChanged(names))
            case QuorumChanged() | RingNodesChanged() | ShutdownRequested():
                self._emit(event)
            case VotersChanged() | ExpectedVotesChanged():
                pass  # of libvotequorum, which no session watches

    def _delivered(self, sender: GroupMember, frame: bytes) -> None:
        if sender == self._local:
            self._outbox.delivered()
        message = self._reassembler.take(sender, frame)
        if isinstance(message, Garbage):
            self._on_garbage(sender, message.reason)
        elif message is not None:
            self._emit(MessageReceived(sender, message))

    def _tear(self, told: tuple[CorosyncEvent, ...]) -> None:
        """Drop unfinished messages at a membership change, as all members do at this place."""
        self._reassembler.forget()
        self._outbox.view_changed()
        for event in told:
            self._emit(event)

    def _flush(self) -> None:
        """Hand over what may be sent; only members send."""
        if not self._views.has_joined or self._views.has_left:
            return
        if self._retry is None:
            delay_ms = self._outbox.flush()
            if delay_ms is not None:
                loop = asyncio.get_running_loop()
                self._retry = loop.call_later(delay_ms / 1000, self._try_again)
        if self._outbox.is_idle:
            self._drained.set()

    def _try_again(self) -> None:
        self._retry = None
        self._wake.set()
