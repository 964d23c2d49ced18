# SPDX-License-Identifier: Apache-2.0
"""Cutting a script that breaks a promise down to what matters of it.

First the faults, by delta debugging (halves, quarters ... single ones), then the cluster, then the
details of what is left, again and again until nothing more can go. What counts is that the same
promise is broken, not with the same words. A simpler script throws its dice otherwise, and a
race may be lost by that alone: some other dice are tried before it is given up.

Deterministic: the same script is cut down the same way. Bounded by the number of plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from rgmgr.sim.faults import Script
from rgmgr.sim.run import Outcome, play
from rgmgr.sim.scenario_lines import canonical
from rgmgr.sim.smaller import smaller_clusters, smaller_faults

PLAYS_MAX = 600
OTHER_DICE = (1, 2, 3)
SETTLES = "I10"

Tell = Callable[[str], None]


def promise_of(outcome: Outcome) -> str | None:
    """Return which promise was broken first; None when all were kept."""
    if outcome.violations:
        return outcome.violations[0].split()[0]
    return None if outcome.settled else SETTLES


def shrink(
    script: Script,
    *,
    is_calm: bool = False,
    tell: Tell = lambda _words: None,
    plays_max: int = PLAYS_MAX,
) -> Script | None:
    """Return the smallest script found that breaks the same promise; None when it breaks none.

    Args:
        script: what to cut down.
        is_calm: no unit may change from the first fault on, as in `play`.
        tell: hears of each step forward.
        plays_max: how many plays it may take.
    """
    script = replace(script, faults=tuple(map(canonical, script.faults)))
    promise = promise_of(play(script, is_calm_from_first_fault=is_calm))
    if promise is None:
        return None
    hunt = _Hunt(script, promise, is_calm=is_calm, tell=tell, plays_left=plays_max)
    before = None
    while before != hunt.best and hunt.plays_left > 0:
        before = hunt.best
        _cut_faults(hunt)
        hunt.improve(smaller_clusters)
        hunt.improve(smaller_faults)
    return hunt.best


@dataclass(slots=True)
class _Hunt:
    """The best script so far, and what is left of the patience."""

    best: Script
    promise: str
    is_calm: bool = field(kw_only=True)
    tell: Tell = field(kw_only=True)
    plays_left: int = field(kw_only=True)
    tried: set[str] = field(default_factory=set)

    def takes(self, candidate: Script) -> bool:
        """Keep the candidate if it breaks the promise, with these dice or with others."""
        name = repr(candidate)
        if name in self.tried:
            return False
        self.tried.add(name)
        seeds = dict.fromkeys((candidate.seed, None, *OTHER_DICE))
        for seed in seeds:
            script = replace(candidate, seed=seed)
            if self.plays_left <= 0:
                return False
            self.plays_left -= 1
            if promise_of(play(script, is_calm_from_first_fault=self.is_calm)) == self.promise:
                self.best = script
                self.tell(_size(script))
                return True
        return False

    def improve(self, candidates: Callable[[Script], Iterable[Script]]) -> None:
        """Take the first candidate that will do, and begin again, until none will."""
        while any(self.takes(candidate) for candidate in candidates(self.best)):
            pass


def _cut_faults(hunt: _Hunt) -> None:
    """Leave out as many faults as possible, big pieces first."""
    size = max(1, len(hunt.best.faults) // 2)
    while size:
        start = 0
        while start < len(hunt.best.faults):
            faults = hunt.best.faults
            rest = faults[:start] + faults[start + size :]
            if not (rest and hunt.takes(replace(hunt.best, faults=rest))):
                start += size
        size //= 2


def _size(script: Script) -> str:
    spec = script.spec
    return f"{len(script.faults)} faults, {len(spec.nodes)} nodes, {len(spec.services)} services"
