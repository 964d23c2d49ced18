# SPDX-License-Identifier: Apache-2.0
"""A corosync that misbehaves on request, and an adapter that is connected to it."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Sequence

from rgmgr.adapters.corosync import (
    Corosync,
    CorosyncEvent,
    GroupMember,
    MessageReceived,
    RingId,
    ShutdownAnswer,
)
from rgmgr.adapters.corosync.connection import Library, Peer
from rgmgr.adapters.corosync.facts import ClusterFacts
from rgmgr.adapters.corosync.handle import EVENTS_MAX
from rgmgr.adapters.corosync.raw import (
    Change,
    Delivery,
    GroupChange,
    RawEvent,
    Reason,
    RingChange,
)
from rgmgr.errors import CorosyncError

ME = GroupMember(1, 100)
TWO = GroupMember(2, 200)
RING = RingId(1, 10)
LOST = CorosyncError("cpg_dispatch", "CS_ERR_LIBRARY")
FACTS = ClusterFacts(
    cluster_name="fake",
    node_list={
        "nodelist.node.0.nodeid": 1,
        "nodelist.node.0.name": "n1",
        "nodelist.node.1.nodeid": 2,
        "nodelist.node.1.name": "n2",
    },
    token_ms=1000,
    consensus_ms=1200,
    is_two_node=False,
)
DEADLINE_S = 10


class FakeConnection:
    """A corosync of one process: what is sent comes back, unless told otherwise."""

    def __init__(self) -> None:
        self.peer = Peer(local=ME, facts=FACTS, has_quorum_provider=True)
        self.due: dict[Library, deque[RawEvent | Exception]] = {
            library: deque() for library in Library
        }
        self.sent: list[bytes] = []
        self.refusals = 0
        self.send_error: CorosyncError | None = None
        self.delivers = True
        self.is_closed = False
        self.asked: list[Library] = []
        self._pairs = {library: socket.socketpair() for library in Library}

    def happen(self, library: Library, *events: RawEvent | Exception) -> None:
        self.due[library].extend(events)
        self._pairs[library][1].send(b"x")

    def join(self) -> None:
        self.happen(
            Library.CPG,
            GroupChange(members=(ME,), left=(), joined=(Change(ME, Reason.JOIN),)),
            RingChange(RING, (1,)),
        )

    def filenos(self) -> dict[Library, int]:
        return {library: ours.fileno() for library, (ours, _) in self._pairs.items()}

    def dispatch(self, library: Library) -> list[RawEvent]:
        found: list[RawEvent] = []
        while self.due[library] and len(found) < EVENTS_MAX:
            event = self.due[library].popleft()
            if isinstance(event, Exception):
                if not found:
                    raise event
                self.due[library].appendleft(event)  # it stays until all before it was taken
                break
            found.append(event)
        if not self.due[library]:
            self._empty(self._pairs[library][0])
        self.asked.append(library)
        return found

    def multicast(self, frames: Sequence[bytes]) -> int:
        if self.send_error is not None:
            raise self.send_error
        if self.refusals:
            self.refusals -= 1
            return 0
        self.sent += frames
        if self.delivers:
            self.happen(Library.CPG, *[Delivery(ME, frame) for frame in frames])
        return len(frames)

    def leave(self) -> None:
        left = GroupChange(members=(), left=(Change(ME, Reason.LEAVE),), joined=())
        self.happen(Library.CPG, left)

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        raise NotImplementedError(answer)

    def close(self) -> None:
        self.is_closed = True
        for pair in self._pairs.values():
            for end in pair:
                end.close()

    @staticmethod
    def _empty(ours: socket.socket) -> None:
        ours.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while ours.recv(4096):
                pass


class Scene:
    """An adapter, its fake connections in the order of the attempts, and what it emitted."""

    def __init__(self, *attempts: FakeConnection | CorosyncError) -> None:
        self._attempts = iter(attempts)
        self._changed = asyncio.Event()
        self.events: list[CorosyncEvent] = []
        self.garbage: list[str] = []
        self.corosync = Corosync(
            "test/1",
            self._emit,
            on_garbage=lambda _sender, reason: self.garbage.append(reason),
            connect=self._connect,
        )

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not wanted():
                self._changed.clear()
                await self._changed.wait()

    async def until_seen(self, kind: type[CorosyncEvent], count: int = 1) -> None:
        await self.until(lambda: sum(isinstance(e, kind) for e in self.events) >= count)

    def payloads(self) -> list[bytes]:
        return [event.payload for event in self.events if isinstance(event, MessageReceived)]

    def _emit(self, event: CorosyncEvent) -> None:
        self.events.append(event)
        self._changed.set()

    def _connect(self, _group: str) -> FakeConnection:
        attempt = next(self._attempts)
        if isinstance(attempt, CorosyncError):
            raise attempt
        return attempt


def play(
    script: Callable[[Scene], Coroutine[None, None, None]],
    *attempts: FakeConnection | CorosyncError,
) -> Scene:
    """Run a script beside the adapter; the adapter is cancelled when the script is over."""

    async def both() -> Scene:
        scene = Scene(*attempts)
        running = asyncio.create_task(scene.corosync.run())
        try:
            async with asyncio.timeout(DEADLINE_S):
                await script(scene)
        finally:
            running.cancel()
            await asyncio.wait({running})
        if not running.cancelled() and (error := running.exception()) is not None:
            raise error
        return scene

    return asyncio.run(both())
