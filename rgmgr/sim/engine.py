# SPDX-License-Identifier: Apache-2.0
"""The simulated time: a heap of calls, ordered by time and then by making.

Owns the only clock and the only dice of the simulator. One seed is one execution: nothing here
reads a real clock, and everything random is drawn from the `Dice` that is passed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

Call = Callable[[], None]


class Dice(Random):
    """What is random, drawn as `Random` draws it, without the questions that it asks first."""

    def randint(self, a: int, b: int) -> int:
        """Return a number from a to b, both included; ValueError when there is none."""
        sides = b - a + 1
        if sides < 1:
            raise ValueError(f"no number is between {a} and {b}")
        bits = sides.bit_length()
        rolled = self.getrandbits(bits)
        while rolled >= sides:
            rolled = self.getrandbits(bits)
        return a + rolled


def dice(seed: int, purpose: str) -> Dice:
    """Return the dice for one purpose, so that drawing more for one does not shift another."""
    return Dice(f"{seed}/{purpose}")


def chance(rolls: Dice, share: float) -> bool:
    """Tell whether something happens that happens in this share of all cases."""
    return rolls.random() < share


def _nothing() -> None:
    """Be the call that was cancelled."""


class Alarm:
    """One call that will be made; cancelling is final."""

    __slots__ = ("call", "due_ms")

    def __init__(self, call: Call, due_ms: int) -> None:
        self.call: Call | None = call
        self.due_ms = due_ms

    def cancel(self) -> None:
        """Forget the call; one already made is fine."""
        self.call = None


class Engine:
    """Makes calls in the order of simulated time; at one instant, in the order of asking."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.calls_made = 0
        self._sequence = 0
        self._heap: list[tuple[int, int, Alarm]] = []

    def after(self, delay_ms: int, call: Call) -> Alarm:
        """Make a call `delay_ms` from now (never before what is already due at that instant)."""
        due_ms = self.now_ms + delay_ms if delay_ms > 0 else self.now_ms
        alarm = Alarm(call, due_ms)
        self._sequence += 1
        heapq.heappush(self._heap, (due_ms, self._sequence, alarm))
        return alarm

    def put_off(self, alarm: Alarm, by_ms: int) -> Alarm:
        """Make a call so much later than it was meant to be; returns its new alarm."""
        call, alarm.call = alarm.call, None
        return self.after(alarm.due_ms + by_ms - self.now_ms, call or _nothing)

    def run_until(self, until_ms: int) -> None:
        """Make every call due up to and at this time; the clock then shows it."""
        heap = self._heap
        while heap and heap[0][0] <= until_ms:
            at_ms, _, alarm = heapq.heappop(heap)
            call, alarm.call = alarm.call, None
            if call is not None:
                self.now_ms = at_ms
                self.calls_made += 1
                call()
        self.now_ms = max(self.now_ms, until_ms)
