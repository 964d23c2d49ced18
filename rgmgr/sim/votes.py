# SPDX-License-Identifier: Apache-2.0
"""votequorum's rules in a simulated corosync: majority, `two_node`, and what breaks a tie.

An arbiter outside (qnetd) votes for one half at a time. It may change its mind at any moment, when
it loses sight of the half that it has chosen, and may see neither for a while.
Source: votequorum(5), corosync-qdevice(8), corosync.md part 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum

from domains.model import NodeId
from rgmgr.sim.engine import Dice, Engine, chance
from rgmgr.sim.network import Component

CHANGES_MS = (2_000, 30_000)
"""How long an arbiter stays with what it has chosen, at least and at most."""

TOLD_MS = 1
FICKLE = 0.8
"""The share of arbiters that ever change their mind without need."""


class TieBreaker(Enum):
    """What decides between two halves."""

    NONE = ""
    LOWEST = "lowest"  # `auto_tie_breaker`: the half with the lowest node id
    ARBITER = "arbiter"  # an arbiter outside of the cluster


TIE_BREAKERS = {tie.value: tie for tie in TieBreaker if tie is not TieBreaker.NONE}
"""By their words."""


class Votes:
    """Who has quorum. `revote` is called when an arbiter has changed its mind."""

    def __init__(
        self, engine: Engine, dice: Dice, nodes: Sequence[NodeId], *, is_two_node: bool
    ) -> None:
        self._engine = engine
        self._dice = dice
        self._nodes = tuple(sorted(nodes))
        self.is_two_node = is_two_node
        self.tie_breaker = TieBreaker.NONE
        self._chosen: Component | None = None  # by an arbiter; (): it sees nobody

    def break_ties(
        self,
        tie_breaker: TieBreaker,
        components: Callable[[], Sequence[Component]],
        revote: Callable[[], None],
    ) -> None:
        """Let this decide ties from now on."""
        self.tie_breaker = tie_breaker
        if tie_breaker is TieBreaker.ARBITER:
            self._components = components
            self._revote = revote
            if chance(self._dice, FICKLE):
                self._change_later()

    def is_quorate(self, component: Component, *, has_met_all: bool) -> bool:
        """Tell whether these nodes have quorum; `has_met_all`: the asking one, for wait_for_all."""
        if self.is_two_node:
            is_whole = len(component) == len(self._nodes)
            return is_whole or (bool(component) and has_met_all)
        if 2 * len(component) != len(self._nodes):
            return 2 * len(component) > len(self._nodes)
        if self.tie_breaker is TieBreaker.LOWEST:  # it implies `wait_for_all`
            return self._nodes[0] in component and has_met_all
        return self.tie_breaker is TieBreaker.ARBITER and self._is_chosen(component)

    def _is_chosen(self, component: Component) -> bool:
        """Tell whether the arbiter votes for this half; all are told when that changes."""
        halves = [c for c in self._components() if 2 * len(c) == len(self._nodes)]
        is_free = self._chosen is None or (bool(self._chosen) and self._chosen not in halves)
        if halves and is_free:
            self._chosen = self._dice.choice(halves)
            self._engine.after(TOLD_MS, self._revote)
        return component == self._chosen

    def _change_later(self) -> None:
        self._engine.after(self._dice.randint(*CHANGES_MS), self._change)

    def _change(self) -> None:
        """See nobody for a while, or choose anew."""
        self._chosen = () if self._chosen else None
        self._revote()
        self._change_later()
