# SPDX-License-Identifier: Apache-2.0
"""The wall clock of one simulated node: noon when the world begins; it jumps when told."""

from __future__ import annotations

from dataclasses import replace

from domains.model import MINUTES_PER_DAY
from rgmgr.core.messages import Message, Tick
from rgmgr.sim.engine import Engine

NOON_MIN = 12 * 60
MINUTE_MS = 60_000


class WallClock:
    """What `rgmgr.runtime.ticks` reads on a real node."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ahead_ms = 0

    def jump(self, by_ms: int) -> None:
        """Somebody sets it, forwards or back."""
        self._ahead_ms += by_ms

    def stamped(self, message: Message) -> Message:
        """Return the message as it is sent: a tick tells the minute of the day."""
        if not isinstance(message, Tick):
            return message
        minutes = NOON_MIN + (self._engine.now_ms + self._ahead_ms) // MINUTE_MS
        return replace(message, minute=minutes % MINUTES_PER_DAY)
