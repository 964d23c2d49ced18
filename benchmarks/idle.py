# SPDX-License-Identifier: Apache-2.0
"""What a tick costs an idle daemon: `make bench-idle`.

The real path of a tick, from a readable descriptor through the session with corosync, the decoder,
the pump and the core to the timers and our own next tick; only corosync's libraries are replaced,
by a pair of sockets. Two other members tick, in a process of their own, and so do we. Told is our
processor time for each tick, and beside it what Python's event loop takes for a descriptor alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from benchmarks.scale import configuration
from domains.model import NodeId
from rgmgr.adapters.corosync.connection import Library, Peer
from rgmgr.adapters.corosync.events import (
    CorosyncEvent,
    GroupMember,
    MessageReceived,
    RingId,
    ShutdownAnswer,
)
from rgmgr.adapters.corosync.facts import ClusterFacts
from rgmgr.adapters.corosync.raw import (
    Change,
    Delivery,
    GroupChange,
    RawEvent,
    Reason,
    RingChange,
)
from rgmgr.adapters.corosync.session import Session
from rgmgr.core.actions import Action, CancelTimer, Multicast, SetTimer
from rgmgr.core.lease import EARLY_MS
from rgmgr.core.local import State
from rgmgr.core.messages import Tick
from rgmgr.runtime.hearing import Hearing
from rgmgr.runtime.pump import Pump
from rgmgr.sim.stage import quiet_start
from rgmgr.wire.chunks import WHOLE
from rgmgr.wire.codec import encode

NODES = 3
SERVICES = (0, 100, 1000)
SECONDS, PAUSE_S = 2.0, 0.003
TICKS_PER_SECOND = 2
ME = GroupMember(1, 1)


class Line:
    """Stands for the connection with corosync: what is sent comes back, and others send, too."""

    def __init__(self) -> None:
        facts = ClusterFacts(
            cluster_name="bench", node_list={}, token_ms=1000, consensus_ms=1200, is_two_node=False
        )
        self.peer = Peer(local=ME, facts=facts, has_quorum_provider=True)
        self._near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._near.settimeout(0)
        self._first: list[RawEvent] = [
            GroupChange(members=(ME,), left=(), joined=(Change(ME, Reason.JOIN),)),
            RingChange(RingId(1, 1), tuple(range(1, NODES + 1))),
        ]
        self.count = 0

    def filenos(self) -> dict[Library, int]:
        """Return what becomes readable."""
        return {Library.CPG: self._near.fileno()}

    def dispatch(self, library: Library) -> list[RawEvent]:
        """Return one message, if there is one."""
        if library is not Library.CPG:
            return []
        if self._first:
            first, self._first = self._first, []
            return first
        try:
            data = self._near.recv(65_536)
        except BlockingIOError:
            return []
        self.count += 1
        return [Delivery(GroupMember(data[0], 1), data[1:])]

    def multicast(self, frames: Sequence[bytes]) -> int:
        """Send to ourselves."""
        for frame in frames:
            self.far.send(bytes([ME.node]) + frame)
        return len(frames)

    def leave(self) -> None:
        """Nobody else is there."""

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """Close both ends."""
        self._near.close()
        self.far.close()


def idle_state(services: int) -> State:
    """Return what the first node knows when all services run."""
    world = quiet_start(configuration(NODES, services))
    daemon = world.hosts[NodeId(1)].daemon
    assert daemon is not None  # noqa: S101 - it was started
    return daemon.state


async def cost_us(services: int) -> float:
    """Return the processor time of one tick, in microseconds."""
    state = idle_state(services)
    line, hearing = Line(), Hearing()
    timers = hearing.timers

    def dispatch(action: Action) -> None:
        match action:
            case Multicast(message=message):
                session.send(encode(hearing.ticks.stamped(message)))
            case SetTimer(key="tick"):
                timers.set("tick", EARLY_MS)  # the next tick of another is the cue
            case SetTimer(key=key, after_ms=after_ms):
                timers.set(key, after_ms)
            case CancelTimer(key=key):
                timers.cancel(key)
            case _:
                pass

    def heard(event: CorosyncEvent) -> None:
        if isinstance(event, MessageReceived):  # the view is as the simulator left it
            hearing.take(event)

    pump = Pump(state, dispatch, lambda _state: None)
    hearing.begin(pump)
    session = Session(line, heard, lambda *_: None, hearing.drain)
    timers.set("tick", 1)
    tasks = [asyncio.create_task(pump.run()), asyncio.create_task(session.serve())]
    took_us = await _per_message_us(line, state)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    timers.close()
    line.close()
    return took_us


async def floor_us() -> float:
    """Return what the loop alone takes for a descriptor that has one message."""
    line = Line()
    line.dispatch(Library.CPG)
    loop = asyncio.get_running_loop()
    loop.add_reader(line.filenos()[Library.CPG], partial(line.dispatch, Library.CPG))
    took_us = await _per_message_us(line, idle_state(0))
    loop.remove_reader(line.filenos()[Library.CPG])
    line.close()
    return took_us


async def _per_message_us(line: Line, state: State) -> float:
    """Let the others tick for a while."""
    child = os.fork()
    if child == 0:
        _tick(line.far, state)
    await asyncio.sleep(0.5)
    count, began_s = line.count, time.process_time()
    await asyncio.sleep(SECONDS)
    took_s, count = time.process_time() - began_s, line.count - count
    os.kill(child, 9)
    os.waitpid(child, 0)  # noqa: ASYNC222  # it is dead already
    return took_s / count * 1e6


def _tick(line: socket.socket, state: State) -> None:
    """Be the other members, until killed."""
    payloads = []
    for number in range(2, NODES + 1):
        node = state.cluster.nodes[NodeId(number)]
        tick = Tick(
            incarnation=node.incarnation,
            count=1,
            epoch=state.cluster.epoch,
            applied=state.cluster.applied,
        )
        frame = WHOLE + encode(replace(tick, wall_ms=1, minute=1))
        payloads.append(bytes([number]) + frame)
    while True:
        for payload in payloads:  # they keep step
            line.send(payload)
        time.sleep(PAUSE_S * NODES)


def main() -> int:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(prog="benchmarks.idle", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=SERVICES)
    options = parser.parse_args()
    print(f"event loop alone: {asyncio.run(floor_us()):.0f} us for each message")
    for count in options.services:
        took_us = asyncio.run(cost_us(count))
        percent = took_us * NODES * TICKS_PER_SECOND / 1e4
        print(f"{count:5} services: {took_us:.0f} us for each tick, {percent:.2f} % of a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
