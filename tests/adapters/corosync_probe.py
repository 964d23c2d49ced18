# SPDX-License-Identifier: Apache-2.0
"""A small member of a group: says every event as a JSON line, obeys commands from its input.

Commands: {"do": "send", "text": ...}, {"do": "flood", "count": n}, {"do": "long", "bytes": n},
{"do": "garbage"}, {"do": "answer", "answer": "yes"}, {"do": "leave"}. Long payloads are reported
by size and checksum. {"do": "latency"} tells the largest delay of the event loop since the last
report, {"do": "report"} what corosync knows of links and votes, {"do": "chatter", "bytes": n} sends
until {"do": "hush"} and no longer tells each message; {"do": "digests"} tells them in digests.
"""

import asyncio
import dataclasses
import enum
import hashlib
import json
import os
import sys
import threading
import time
import zlib
from pathlib import Path

from rgmgr.adapters.corosync import (
    Corosync,
    CorosyncEvent,
    GroupMember,
    MessageReceived,
    Reporter,
    ShutdownAnswer,
    ViewChanged,
)
from rgmgr.errors import CorosyncError

LONG_BYTES = 200
TURN_MS = 5
SCHEDULED = Path("/proc/self/schedstat")  # of the thread that runs the loop
CHATTER_QUEUED = 50
CHATTER_BYTES = 100
CHATTER_LONG_EACH = 400


def say(kind: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": kind, "at": time.monotonic(), **fields}) + "\n")
    sys.stdout.flush()


def plain(value: object) -> object:
    """Return something that JSON can carry; members become [node, pid]."""
    match value:
        case enum.Enum():
            return value.value
        case bytes():
            return value.decode(errors="replace")
        case tuple() | list() | frozenset():
            entries = [plain(entry) for entry in value]
            return sorted(entries, key=str) if isinstance(value, frozenset) else entries
        case dict():
            return {str(key): plain(entry) for key, entry in value.items()}
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return [plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
        case _:
            return value


def report(event: CorosyncEvent) -> None:
    if isinstance(event, MessageReceived):
        size = len(event.payload)
        text = event.payload.decode(errors="replace") if size <= LONG_BYTES else ""
        crc = zlib.crc32(event.payload)
        say("MessageReceived", sender=plain(event.sender), text=text, size=size, crc=crc)
        return
    fields = {f.name: plain(getattr(event, f.name)) for f in dataclasses.fields(event)}
    say(type(event).__name__, **fields)


class Latency:
    """Measures how long something kept the loop; waiting for a processor is not counted."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def run(self) -> None:
        while True:
            before, waited = time.monotonic(), waited_for_processor_ms()
            await asyncio.sleep(TURN_MS / 1000)
            late_ms = (time.monotonic() - before) * 1000 - TURN_MS
            late_ms -= waited_for_processor_ms() - waited
            self.worst_ms = max(self.worst_ms, late_ms)


def waited_for_processor_ms() -> float:
    """Return how long this thread was ready to run and did not, so far. Source: proc(5)."""
    return int(SCHEDULED.read_text().split()[1]) / 1_000_000


class Digests:
    """The messages of each ring, as one digest of the sequence."""

    def __init__(self) -> None:
        self._ring: object = None
        self._hash = hashlib.sha256()
        self._count = 0
        self._twice = 0
        self._last: dict[GroupMember, int] = {}
        self._closed: list[dict[str, object]] = []

    def take(self, event: MessageReceived) -> None:
        """Take a message of `chatter`, which begins with its number."""
        number = int.from_bytes(event.payload[:8], "big")
        self._twice += number <= self._last.get(event.sender, 0)
        self._last[event.sender] = number
        self._hash.update(repr(event.sender).encode() + hashlib.sha256(event.payload).digest())
        self._count += 1

    def ring_changed(self, ring: object) -> None:
        """Close the digest of the ring before: it is told with the ring that followed."""
        if ring == self._ring:
            return
        digest = self._hash.hexdigest()
        self._closed.append(
            {"ring": self._ring, "next": ring, "digest": digest, "count": self._count}
        )
        self._ring, self._hash, self._count = ring, hashlib.sha256(), 0

    def tell(self) -> None:
        say("Digests", closed=self._closed, count=self._count, twice=self._twice)


class Probe:
    def __init__(self) -> None:
        self._latency = Latency()
        self._reporter = Reporter()
        self._digests = Digests()
        self._chatter: asyncio.Task[None] | None = None
        self._is_counting = False
        self._leaving: asyncio.Task[bool] | None = None
        self._corosync = Corosync("rgmgr-probe/1", self._hear, on_garbage=self._garbage)

    @staticmethod
    def _garbage(sender: GroupMember, reason: str) -> None:
        say("Garbage", sender=plain(sender), reason=reason)

    def _hear(self, event: CorosyncEvent) -> None:
        if isinstance(event, ViewChanged):
            self._digests.ring_changed(plain(event.ring))
        if self._is_counting and isinstance(event, MessageReceived):
            self._digests.take(event)
        else:
            report(event)

    async def run(self) -> None:
        say("Started", pid=os.getpid())
        async with asyncio.TaskGroup() as tasks:
            latency = tasks.create_task(self._latency.run())
            commands = tasks.create_task(self._obey())
            await self._corosync.run()
            latency.cancel()
            if self._leaving is not None:
                say("Left", clean=await self._leaving)
            commands.cancel()
        say("Ended")

    async def _obey(self) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            await self._do(json.loads(line))

    async def _do(self, order: dict[str, object]) -> None:
        match order:
            case {"do": "send", "text": str(text)}:
                self._corosync.send(text.encode())
            case {"do": "flood", "count": int(count)}:
                for number in range(count):
                    self._corosync.send(f"{os.getpid()}:{number}".encode())
            case {"do": "long", "bytes": int(size)}:
                self._corosync.send(bytes(i * 7 & 0xFF for i in range(251)) * (size // 251 + 1))
            case {"do": "answer", "answer": str(answer)}:
                await self._corosync.answer_shutdown(ShutdownAnswer(answer))
            case {"do": "garbage"}:
                self._multicast_garbage()
            case {"do": "chatter", "bytes": int(size)}:
                self._chatter = asyncio.create_task(self._talk(size))
            case {"do": "hush"}:
                assert self._chatter is not None
                self._chatter.cancel()
            case {"do": "leave"}:
                self._leaving = asyncio.create_task(self._corosync.leave())
            case _:
                await self._tell(order)

    async def _tell(self, order: dict[str, object]) -> None:
        match order:
            case {"do": "count"}:
                self._is_counting = True
                say("Counting")
            case {"do": "latency"}:
                say("Latency", worst_ms=self._latency.worst_ms, backlog=self._corosync.backlog)
                self._latency.worst_ms = 0.0
            case {"do": "report"}:
                await self._report()
            case {"do": "digests"}:
                self._digests.tell()
            case _:
                say("Unknown", order=order)

    async def _report(self) -> None:
        try:
            found = await self._reporter.report(timeout_ms=500)
        except TimeoutError:
            say("ReportTimeout", threads=threading.active_count())
        except CorosyncError as error:
            say("ReportFailed", code=error.code)
        else:
            fields = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
            links = [[link.node, link.is_connected, link.down_count] for link in found.links]
            assert found.quorum is not None
            voters = {voter.name: voter.state.value for voter in found.quorum.voters}
            say("Report", links=links, voters=voters, all=plain(tuple(fields.values())))

    async def _talk(self, size: int) -> None:
        """Keep messages in flight, short ones and now and then one in chunks."""
        number = 0
        while True:
            while self._corosync.backlog < CHATTER_QUEUED:
                number += 1
                length = size if number % CHATTER_LONG_EACH == 0 else CHATTER_BYTES
                self._corosync.send(number.to_bytes(8, "big") + os.urandom(length))
            await asyncio.sleep(TURN_MS / 1000)

    def _multicast_garbage(self) -> None:
        """Send what no member would, past the adapter's framing."""
        session = self._corosync._session  # there is no honest way to lie
        assert session is not None
        frames = (b"", os.urandom(1000), b"C", b"C" + os.urandom(5000), b"\xff" * 64)
        session._connection.multicast(frames)


if __name__ == "__main__":
    asyncio.run(Probe().run())
