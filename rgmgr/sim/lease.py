# SPDX-License-Identifier: Apache-2.0
"""A simulated lease on a shared disk: one side has it, and keeps it while it lives."""

from __future__ import annotations

from collections.abc import Callable

from domains.model import NodeId
from rgmgr.sim.engine import Dice, Engine

TAKE_MS = (2_000, 3_000)
EXPIRE_MS = 8_000
RENEW_MS = 1_000
Side = frozenset[NodeId]


class SharedDisk:
    """Who has the lease. `is_alive` tells whether a node can still renew it."""

    def __init__(self, engine: Engine, dice: Dice) -> None:
        self._engine = engine
        self._dice = dice
        self._side: Side = frozenset()
        self._seen_ms = 0

    def take(self, side: Side, answer: Callable[[bool], None]) -> None:
        """Tell after a while whether this side has it now; others' is waited for to expire."""
        is_ours = not self._side or bool(self._side & side)
        left_ms = 0 if is_ours else max(0, self._seen_ms + EXPIRE_MS - self._engine.now_ms)
        seen_ms, before = self._seen_ms, self._side

        def settle() -> None:
            is_changed = (self._side, self._seen_ms) != (before, seen_ms)
            if not self._side & side and self._side and is_changed:
                answer(False)  # noqa: FBT003  # the answer itself
                return
            self.renew(side)
            answer(True)  # noqa: FBT003  # likewise

        self._engine.after(left_ms + self._dice.randint(*TAKE_MS), settle)

    def renew(self, side: Side) -> None:
        """Hold it from now on."""
        self._side, self._seen_ms = side, self._engine.now_ms

    def release(self, side: Side) -> None:
        """Leave it to the others."""
        if self._side & side:
            self._side = frozenset()


class Keeper:
    """Renews a lease while its node lives and its fence goes on."""

    def __init__(
        self, engine: Engine, disk: SharedDisk, side: Side, is_alive: Callable[[], bool]
    ) -> None:
        self._engine = engine
        self._disk = disk
        self._side = side
        self._is_alive = is_alive
        self._is_over = False

    def renew(self) -> None:
        """Renew now and each second from now on."""
        if not self._is_over and self._is_alive():
            self._disk.renew(self._side)
            self._engine.after(RENEW_MS, self.renew)

    def end(self, *, is_won: bool) -> None:
        """Give it back where the other side is off; else let it expire."""
        self._is_over = True
        if is_won:
            self._disk.release(self._side)
