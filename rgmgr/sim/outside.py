# SPDX-License-Identifier: Apache-2.0
"""What one simulated node sees beside the cluster: a wall clock, and what it pings.

The clock shows noon when the world begins, and jumps when told. What is pinged answers, but for
nodes that are cut off from it.
"""

from __future__ import annotations

from collections.abc import Callable

from domains.model import MINUTES_PER_DAY
from rgmgr.core.actions import SendPing
from rgmgr.core.events import PingEnded
from rgmgr.core.evolve import replace
from rgmgr.core.messages import Message, Tick
from rgmgr.sim.engine import Engine

NOON_MIN = 12 * 60
MINUTE_MS = 60_000
ANSWER_MS = 2
SILENCE_MS = 3_000


class Outside:
    """What `rgmgr.runtime.ticks` and `rgmgr.adapters.reach` see on a real node."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ahead_ms = 0
        self._cuts = 0

    def cut(self) -> None:
        """Nothing answers from now on."""
        self._cuts += 1

    def mend(self) -> None:
        """One such trouble is over."""
        self._cuts -= 1

    def ping(self, action: SendPing, answer: Callable[[PingEnded], None]) -> None:
        """Answer soon, or tell after a while that there was no answer."""
        is_answered = not self._cuts
        ended = PingEnded(action.ping.name, is_answered)
        self._engine.after(ANSWER_MS if is_answered else SILENCE_MS, lambda: answer(ended))

    def jump(self, by_ms: int) -> None:
        """Somebody sets it, forwards or back."""
        self._ahead_ms += by_ms

    def stamped(self, message: Message) -> Message:
        """Return the message as it is sent: a tick tells the minute of the day."""
        if not isinstance(message, Tick):
            return message
        minutes = NOON_MIN + (self._engine.now_ms + self._ahead_ms) // MINUTE_MS
        return replace(message, minute=minutes % MINUTES_PER_DAY)
