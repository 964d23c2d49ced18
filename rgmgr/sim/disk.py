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


RETRY_FIRST_MS = 1_000
RETRY_MAX_MS = 30_000

Answer = Callable[[StateSaved], None]


@dataclass(slots=True, eq=False)
class Disk:
    """What survives a crash. `slow_ms` is added to each save while something clogs it.

    A disk that takes nothing is tried again with growing pauses, always with the newest state.
    A file that cannot be understood is set aside, and then there is none. Source: the store.
    """

    engine: Engine
    dice: Dice
    saved: ClusterState | None = None
    mood: DiskMood = DiskMood.GOOD
    slow_ms: int = 0
    _previous: ClusterState | None = None
    _due_ms: int = 0
    _pause_ms: int = RETRY_FIRST_MS
    _waiting: tuple[ClusterState, Answer] | None = None  # for the next attempt
    _life: int = 0  # of the daemon or the node: what an earlier one began ends no more

    def save(self, state: ClusterState, answer: Answer) -> None:
        """Save later, in the order of asking, and say so then."""
        if self._waiting is not None:
            self._waiting = (state, answer)
            return
        wish_ms = self.engine.now_ms + self.dice.randint(*QUICK_MS) + self.slow_ms
        self._due_ms = max(self._due_ms, wish_ms)
        self._later(self._due_ms - self.engine.now_ms, lambda: self._write(state, answer))

    def damage(self, how: Damage) -> None:
        """Spoil the file, from outside."""
        self.saved = self._previous if how is Damage.OLD else None

    def mend(self) -> None:
        """Work, and fast, from now on."""
        self.mood, self.slow_ms = DiskMood.GOOD, 0

    def lose_power(self) -> None:
        """Drop every save that has not ended; a rename is atomic, so none is half done."""
        self._life += 1
        self._due_ms = 0
        self._waiting, self._pause_ms = None, RETRY_FIRST_MS

    def abandon(self) -> None:
        """The daemon died: a save it had begun may end or not, as the dice say."""
        if self._waiting is not None or chance(self.dice, 0.5):
            self.lose_power()

    def _write(self, state: ClusterState, answer: Answer) -> None:
        if self.mood is not DiskMood.GOOD:
            self._try_later(state, answer)
            return
        self._pause_ms = RETRY_FIRST_MS
        self._previous, self.saved = self.saved, state
        answer(StateSaved(state.epoch, state.applied))

    def _try_later(self, state: ClusterState, answer: Answer) -> None:
        """Keep it for the next attempt, unless a newer one waits for that already."""
        if self._waiting is not None:
            self._waiting = (state, answer)
            return
        self._waiting = (state, answer)
        self._later(self._pause_ms, self._try_again)
        self._pause_ms = min(2 * self._pause_ms, RETRY_MAX_MS)

    def _try_again(self) -> None:
        if self._waiting is not None:
            (state, answer), self._waiting = self._waiting, None
            self._write(state, answer)

    def _later(self, delay_ms: int, call: Callable[[], None]) -> None:
        life = self._life
        self.engine.after(delay_ms, lambda: call() if life == self._life else None)
