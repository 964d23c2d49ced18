# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201  # a program of its own
"""A client that means no good: floods, sends nonsense, asks without listening, and dies.

Run on a node with the Python of rgmgr. Uses nothing of rgmgr's own but the library it ships with.
"""

import asyncio
import sys
import time

from dbus_next import BusType, Message, MessageFlag
from dbus_next.aio import MessageBus

MANAGER = {"destination": "org.rgmgr", "path": "/org/rgmgr", "interface": "org.rgmgr.Manager1"}


def _call(member: str, signature: str = "", body: list[object] | None = None) -> Message:
    return Message(**MANAGER, member=member, signature=signature, body=body or [])  # type: ignore[arg-type]


NONSENSE = (
    _call("Request", "sssa{sv}", ["explode", "web", "", {}]),
    _call("Request", "sssa{sv}", ["stop", "../../etc/passwd", "", {}]),
    _call("Request", "s", ["stop"]),
    _call("Order", "ssa{sv}", ["standby", "x" * 100_000, {}]),
    _call("Status", "ay", [bytes(200_000)]),
    _call("NoSuchMethod"),
)


async def _flood(seconds: float) -> int:
    """Ask as fast as the bus takes it; return how often."""
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    count, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        for _ in range(50):
            message = _call("Status")
            message.flags = MessageFlag.NO_REPLY_EXPECTED
            bus.send(message)
            count += 1
        await asyncio.sleep(0)
    return count


async def main() -> None:
    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    for message in NONSENSE:
        reply = await bus.call(message)
        print(reply.error_name if reply else None)
    print(await _flood(float(sys.argv[1])))
    # a request, and gone before its answer
    bus.send(_call("Request", "sssa{sv}", ["restart", "web", "", {}]))
    await asyncio.sleep(0.1)


asyncio.run(main())
