# SPDX-License-Identifier: Apache-2.0
"""The simulated disk of one node: saves end later, and a crash keeps the last one that ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from rgmgr.core.events import StateSaved
from rgmgr.core.model import ClusterState
from rgmgr.sim.engine import Dice, Engine, chance

QUICK_MS = (1, 12)


class DiskMood(Enum):
    """How well a disk takes and gives files."""

    GOOD = "works"
    FULL = "is full"
    FAILS = "gives errors"  # cannot be read either: no daemon can start


class Damage(Enum):
    """What became of a state file."""

    TORN = "ends in the middle"
    CORRUPT = "has flipped bits"
    LOST = "is gone"
    OLD = "is the one before"  # somebody put a copy back


@dataclass(slots=True, eq=False)
class Disk:
    """What survives a crash. `slow_ms` is added to each save while something clogs it."""

    engine: Engine
    dice: Dice
    saved: ClusterState | None = None
    slow_ms: int = 0
    _due_ms: int = 0
    _power_cycle: int = 0

    def save(self, state: ClusterState, answer: Callable[[StateSaved], None]) -> None:
        """Save later, in the order of asking, and say so then."""
        wish_ms = self.engine.now_ms + self.dice.randint(*QUICK_MS) + self.slow_ms
        self._due_ms = max(self._due_ms, wish_ms)
        cycle = self._power_cycle

        def end() -> None:
            if cycle == self._power_cycle:
                self.saved = state
                answer(StateSaved(state.epoch, state.applied))

        self.engine.after(self._due_ms - self.engine.now_ms, end)

    def lose_power(self) -> None:
        """Drop every save that has not ended; a rename is atomic, so none is half done."""
        self._power_cycle += 1
        self._due_ms = 0

    def abandon(self) -> None:
        """The daemon died: a save it had begun may end or not, as the dice say."""
        if chance(self.dice, 0.5):
            self.lose_power()
