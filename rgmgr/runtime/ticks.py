# SPDX-License-Identifier: Apache-2.0
"""What ticks tell of the members: their wall clocks and files, and what ours tell. Decides nothing.

What a tick says of its sender's clock is late by as long as it was under way, a millisecond or,
while a ring breaks, seconds: of the latest ticks the quickest counts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.events import Delivered, Event
from rgmgr.core.messages import Install, Message, Tick
from rgmgr.view import ConfigFile

TICKS_MAX = 8  # seconds of them


def wall_ms() -> int:
    """Return this node's wall clock."""
    return time.time_ns() // 1_000_000


def minute_of_day(now_ms: int) -> int:
    """Return the minutes since midnight in this node's time zone."""
    local = time.localtime(now_ms / 1_000)
    return 60 * local.tm_hour + local.tm_min


class Ticks:
    """What was heard, and the clock that our own are stamped with."""

    def __init__(self, now_ms: Callable[[], int] = wall_ms) -> None:
        self._now_ms = now_ms
        self._behind_ms: dict[NodeId, deque[int]] = {}
        self._latest: dict[NodeId, Tick] = {}

    def stamped(self, message: Message) -> Message:
        """Return the message as it is to be sent."""
        now_ms = self._now_ms()
        match message:
            case Tick():
                return replace(message, wall_ms=now_ms, minute=minute_of_day(now_ms))
            case Install():
                return replace(message, wall_ms=now_ms)
            case _:
                return message

    def heard(self, event: Event) -> None:
        """Take an event in, which may be a tick; one of an older version tells nothing."""
        match event:
            case Delivered(sender=sender, message=Tick(wall_ms=stamp) as tick) if stamp:
                latest = self._behind_ms.get(sender)
                if latest is None:
                    latest = self._behind_ms[sender] = deque(maxlen=TICKS_MAX)
                latest.append(self._now_ms() - stamp)
                self._latest[sender] = tick
            case _:
                pass

    def files(self) -> dict[NodeId, ConfigFile]:
        """Return the cluster.toml that each member has read last."""
        return {
            node: ConfigFile(tick.config_version, tick.config_digest)
            for node, tick in self._latest.items()
        }

    def skews_ms(self) -> dict[NodeId, int]:
        """Return by how much each member's clock is ahead of this node's."""
        return {node: -min(behind) for node, behind in self._behind_ms.items()}
