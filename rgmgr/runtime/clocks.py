# SPDX-License-Identifier: Apache-2.0
"""How far the wall clocks of the members are apart: for display, nothing is decided by it.

Every tick carries the time of its sender's wall clock. What it says is late by as long as the tick
was under way, a millisecond or, while a ring breaks, seconds: of the latest ticks the quickest
counts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.events import Delivered, Event
from rgmgr.core.messages import Message, Tick

TICKS_MAX = 8  # four seconds of them


def wall_ms() -> int:
    """Return this node's wall clock."""
    return time.time_ns() // 1_000_000


class WallClocks:
    """The clocks of all members, as seen from here."""

    def __init__(self, now_ms: Callable[[], int] = wall_ms) -> None:
        self._now_ms = now_ms
        self._behind_ms: dict[NodeId, deque[int]] = {}

    def stamped(self, message: Message) -> Message:
        """Return the message as it is to be sent."""
        return replace(message, wall_ms=self._now_ms()) if isinstance(message, Tick) else message

    def heard(self, event: Event) -> None:
        """Look at an event for a clock in it; a tick of an older version has none."""
        match event:
            case Delivered(sender=sender, message=Tick(wall_ms=stamp)) if stamp:
                latest = self._behind_ms.setdefault(sender, deque(maxlen=TICKS_MAX))
                latest.append(self._now_ms() - stamp)
            case _:
                pass

    def skews_ms(self) -> dict[NodeId, int]:
        """Return by how much each member's clock is ahead of this node's."""
        return {node: -min(behind) for node, behind in self._behind_ms.items()}
