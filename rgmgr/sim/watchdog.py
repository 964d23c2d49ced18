# SPDX-License-Identifier: Apache-2.0
"""A simulated watchdog: hardware that goes on counting while all else on its node stands still.

A process that is stopped between the look at the clock and the feeding feeds once more when it goes
on, however late that is; so does this one, by chance, if the watchdog has not fired by then.
"""

from __future__ import annotations

from rgmgr.core.actions import ArmWatchdog, DisarmWatchdog, FeedWatchdog
from rgmgr.core.local import State, Turn
from rgmgr.core.spec import ClusterSpec
from rgmgr.core.watchdog import is_proven
from rgmgr.sim.engine import Alarm, Call, Dice, Engine, chance

LATE_MAX_MS = 1_000
"""A device counts in seconds."""
ARM_MS = (1, 60)


class Watchdog:
    """The watchdog of one node. `reset` is called when it was not fed in time."""

    def __init__(self, engine: Engine, dice: Dice, reset: Call) -> None:
        self._engine = engine
        self._dice = dice
        self._reset = reset
        self._timeout_ms = 0
        self._alarm: Alarm | None = None
        self._is_amid_feeding = False

    def begin(self, spec: ClusterSpec, *, is_two_node: bool) -> int:
        """Be taken over by a daemon that starts; returns what that may promise.

        With corosync's `two_node` both halves go on, and neither would be reset.
        """
        if not spec.fencing.watchdog or is_two_node:
            return 0
        self._timeout_ms = spec.fencing.watchdog_ms
        return self._timeout_ms

    @property
    def is_armed(self) -> bool:
        """Whether it counts, maybe since an earlier life of the daemon."""
        return self._alarm is not None

    def heed(self, action: ArmWatchdog | FeedWatchdog | DisarmWatchdog, armed: Call) -> None:
        """Do as its daemon says; `armed` is told a little later."""
        match action:
            case ArmWatchdog():
                self._count()
                self._engine.after(self._dice.randint(*ARM_MS), armed)
            case FeedWatchdog():
                self.feed()
            case DisarmWatchdog():
                self.disarm()

    def feed(self) -> None:
        """Begin anew."""
        if self._alarm is not None:
            self._count()

    def disarm(self) -> None:
        """Stop counting."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._is_amid_feeding = False

    def stand_still(self, state: State, now_ms: int) -> None:
        """All that could feed it is stopped, maybe in the middle of doing so."""
        is_armed = self._alarm is not None and state.local.is_armed
        self._is_amid_feeding = (
            is_armed and is_proven(Turn(state, now_ms)) and chance(self._dice, 0.5)
        )

    def go_on(self) -> None:
        """What was stopped goes on with what it was at."""
        if self._is_amid_feeding:
            self._is_amid_feeding = False
            self.feed()

    def _count(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        late_ms = self._dice.randint(0, LATE_MAX_MS)
        self._alarm = self._engine.after(self._timeout_ms + late_ms, self._reset)
