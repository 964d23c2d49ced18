# SPDX-License-Identifier: Apache-2.0
"""The loops that are measured against C: the handle by itself, and the asyncio adapter.

corosync_loop.py {handle,adapter} GROUP receive
corosync_loop.py {handle,adapter} GROUP send MEMBERS BYTES MILLISECONDS ROUNDS

As corosync_loop.c, which see; the adapter cuts what is above 64 KiB, where the others leave that
to libcpg. Started by benchmarks/corosync.py.
"""

import asyncio
import json
import resource
import select
import sys
import time
from dataclasses import dataclass

from rgmgr.adapters.corosync import (
    Corosync,
    CorosyncConnected,
    CorosyncEvent,
    CpgHandle,
    Delivery,
    GroupChange,
    MessageReceived,
    ViewChanged,
)

WINDOW = 256
RETRY_MS = 1
CALL_BYTES_MAX = 256 * 1024
QUEUED_BYTES = 16 * 1024 * 1024


@dataclass
class Order:
    """What a sender does."""

    members: int
    size_bytes: int
    for_ms: int
    rounds: int


def cpu_us() -> float:
    """Return what this process used of the processors so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1e6


def result(per_second: float, cpu: float, took_us: list[float]) -> None:
    """Print the figures as a line of JSON."""
    took_us.sort()
    median, p99 = took_us[len(took_us) // 2], took_us[len(took_us) * 99 // 100]
    print(json.dumps({"per_second": per_second, "cpu_us": cpu, "median_us": median, "p99_us": p99}))


class Loop:
    """Polls and dispatches one handle."""

    def __init__(self, handle: CpgHandle) -> None:
        self._handle = handle
        self._me = handle.local_node()
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)
        self.members = 0
        self.own = 0

    def turn(self, timeout_ms: int | None) -> None:
        """Wait, and take what came."""
        if not self._poll.poll(timeout_ms):
            return
        for event in self._handle.dispatch():
            if isinstance(event, Delivery):
                self.own += event.sender.node == self._me
            elif isinstance(event, GroupChange):
                self.members = len(event.members)

    def throughput(self, payload: bytes, for_ms: int) -> float:
        """Return how many messages came back per second."""
        begin, sent, before = time.monotonic(), 0, self.own
        call_max = max(CALL_BYTES_MAX // len(payload), 1)
        while time.monotonic() < begin + for_ms / 1000:
            room = min(WINDOW - (sent - (self.own - before)), call_max)
            taken = self._handle.multicast([payload] * room) if room else 0
            sent += taken
            self.turn(100 if taken == room else RETRY_MS)
        rate = (self.own - before) / (time.monotonic() - begin)
        while self.own - before < sent:
            self.turn(100)
        return rate

    def round_trip_us(self, payload: bytes) -> float:
        """Return how long one message alone takes to come back."""
        before, begin = self.own, time.monotonic()
        while not self._handle.multicast([payload]):
            self.turn(RETRY_MS)
        while self.own == before:
            self.turn(100)
        return (time.monotonic() - begin) * 1e6


def run_handle(group: str, order: Order | None) -> None:
    """Send, or only receive until killed."""
    with CpgHandle() as handle:
        loop = Loop(handle)
        handle.join(group)
        while order is None or loop.members < order.members:
            loop.turn(None)
        payload = bytes(order.size_bytes)
        before = cpu_us()
        rate = loop.throughput(payload, order.for_ms)
        cpu = (cpu_us() - before) / loop.own
        result(rate, cpu, [loop.round_trip_us(payload) for _ in range(order.rounds)])


class Adapter:
    """A member of the group as the daemon is one."""

    def __init__(self, group: str) -> None:
        self.corosync = Corosync(group, self._hear)
        self._me = 0
        self._changed = asyncio.Event()
        self.members = 0
        self.own = 0

    async def change(self) -> None:
        """Wait for the next event."""
        await self._changed.wait()
        self._changed.clear()

    async def throughput(self, payload: bytes, for_ms: int) -> float:
        """Return how many messages came back per second."""
        begin, sent, before = time.monotonic(), 0, self.own
        window = min(WINDOW, QUEUED_BYTES // len(payload))
        while time.monotonic() < begin + for_ms / 1000:
            while sent - (self.own - before) < window:
                self.corosync.send(payload)
                sent += 1
            await self.change()
        rate = (self.own - before) / (time.monotonic() - begin)
        while self.own - before < sent:
            await self.change()
        return rate

    async def round_trip_us(self, payload: bytes) -> float:
        """Return how long one message alone takes to come back."""
        before, begin = self.own, time.monotonic()
        self.corosync.send(payload)
        while self.own == before:
            await self.change()
        return (time.monotonic() - begin) * 1e6

    def _hear(self, event: CorosyncEvent) -> None:
        match event:
            case MessageReceived(sender):
                self.own += sender.node == self._me
            case ViewChanged():
                self.members = len(event.members)
            case CorosyncConnected():
                self._me = event.local.node
            case _:
                return
        self._changed.set()


async def run_adapter(group: str, order: Order | None) -> None:
    """Send, or only receive until killed."""
    adapter = Adapter(group)
    running = asyncio.create_task(adapter.corosync.run())
    while order is None or adapter.members < order.members:
        await adapter.change()
    payload = bytes(order.size_bytes)
    before = cpu_us()
    rate = await adapter.throughput(payload, order.for_ms)
    cpu = (cpu_us() - before) / adapter.own
    result(rate, cpu, [await adapter.round_trip_us(payload) for _ in range(order.rounds)])
    await adapter.corosync.leave()
    await running


def main(kind: str, group: str, role: str, *numbers: str) -> None:
    """Run one role."""
    order = Order(*map(int, numbers)) if role == "send" else None
    if kind == "handle":
        run_handle(group, order)
    else:
        asyncio.run(run_adapter(group, order))


if __name__ == "__main__":
    main(*sys.argv[1:])
