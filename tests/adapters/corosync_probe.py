# SPDX-License-Identifier: Apache-2.0
"""A small member of a group: says every event as a JSON line, obeys commands from its input.

Commands: {"do": "send", "text": ...}, {"do": "flood", "count": n}, {"do": "long", "bytes": n},
{"do": "garbage"}, {"do": "answer", "answer": "yes"}, {"do": "leave"}. Long payloads are reported
by size and checksum. {"do": "latency"} tells the largest delay of the event loop since the last
report.
"""

import asyncio
import dataclasses
import enum
import json
import os
import sys
import time
import zlib

from rgmgr.adapters.corosync import (
    Corosync,
    CorosyncEvent,
    GroupMember,
    MessageReceived,
    ShutdownAnswer,
)

LONG_BYTES = 200
TURN_MS = 5


def say(kind: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": kind, "at": time.monotonic(), **fields}) + "\n")
    sys.stdout.flush()


def plain(value: object) -> object:
    """Return something that JSON can carry; members become [node, pid]."""
    match value:
        case enum.Enum():
            return value.value
        case tuple() | list():
            return [plain(entry) for entry in value]
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
    """Measures how late the loop is."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TURN_MS / 1000)
            late_ms = (time.monotonic() - before) * 1000 - TURN_MS
            self.worst_ms = max(self.worst_ms, late_ms)


class Probe:
    def __init__(self) -> None:
        self._latency = Latency()
        self._leaving: asyncio.Task[bool] | None = None
        self._corosync = Corosync("rgmgr-probe/1", report, on_garbage=self._garbage)

    @staticmethod
    def _garbage(sender: GroupMember, reason: str) -> None:
        say("Garbage", sender=plain(sender), reason=reason)

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
            case {"do": "latency"}:
                say("Latency", worst_ms=self._latency.worst_ms, backlog=self._corosync.backlog)
                self._latency.worst_ms = 0.0
            case {"do": "leave"}:
                self._leaving = asyncio.create_task(self._corosync.leave())
            case _:
                say("Unknown", order=order)

    def _multicast_garbage(self) -> None:
        """Send what no member would, past the adapter's framing."""
        session = self._corosync._session  # there is no honest way to lie
        assert session is not None
        frames = (b"", os.urandom(1000), b"C", b"C" + os.urandom(5000), b"\xff" * 64)
        session._connection.multicast(frames)


if __name__ == "__main__":
    asyncio.run(Probe().run())
