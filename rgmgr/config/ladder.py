# SPDX-License-Identifier: Apache-2.0
"""Reading a recovery policy: one of rgmanager's words, or a ladder of rungs.

A rung is `WORD`, `WORD COUNT` or `WORD COUNT in TIME`. A rung without a time takes that of the
next one that has a time, and counts for ever where there is none.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from rgmgr.config.durations import parse_duration, written_duration
from rgmgr.config.problems import Rejection, did_you_mean, item, listed, shown
from rgmgr.config.table import Table
from rgmgr.core.spec import Deed, Rung

KEY = "recovery"
COUNT_MAX = 100
_RUNG = re.compile(r"([a-z-]+)(?: +([0-9]{1,9})(?: +in +(.+))?)?")
_DEEDS = {deed.value: deed for deed in Deed}
_ORDER = tuple(Deed)
_EXAMPLE = 'such as "tolerate 2", "restart 3 in 10min", "relocate" or "disable"'


def is_ladder(table: Table) -> bool:
    """Tell whether the policy is written as a list."""
    return isinstance(table.raw.get(KEY), list)


def read_ladder(table: Table) -> tuple[Rung, ...]:
    """Return the rungs of a list, the first one first; what is wrong with them is noted."""
    raw = table.sequence(KEY, "a list of rungs")
    rungs: list[Rung] = []
    for number, text in enumerate(raw):
        rung = parse_rung(text)
        if isinstance(rung, Rejection):
            table.problems.reject(item(table.at(KEY), number), rung)
        else:
            rungs.append(rung)
    for key in ("max_restarts", "restart_expire_time"):
        if table.has(key):
            hint = 'write it into the rung: "restart 3 in 10min"'
            table.problems.add(table.at(key), "cannot be set beside a recovery ladder", hint)
    if len(rungs) == len(raw):
        _check_order(table, rungs)
    return _with_times(rungs)


def parse_rung(text: object) -> Rung | Rejection:
    """Return a rung, its own time only, or why it is none."""
    if not isinstance(text, str) or not (match := _RUNG.fullmatch(text.strip())):
        what = shown(text) if isinstance(text, str) else "something that is no text"
        return Rejection(f"expected a rung {_EXAMPLE}, got {what}")
    word, count, time = match.groups()
    if word not in _DEEDS:
        hint = did_you_mean(word, _DEEDS) or f"known: {listed(_DEEDS)}"
        return Rejection(f"unknown rung {shown(word)}", hint)
    window_ms = parse_duration(time) if time else 0
    if isinstance(window_ms, Rejection):
        return window_ms
    return _checked(
        text, Rung(deed=_DEEDS[word], limit=int(count or 0), window_ms=window_ms), count, time
    )


def _checked(text: str, rung: Rung, count: str | None, time: str | None) -> Rung | Rejection:
    name = shown(text)
    if count is not None and not 0 < rung.limit <= COUNT_MAX:
        return Rejection(f"the rung {name} needs a count from 1 to {COUNT_MAX}")
    if time and not rung.window_ms:
        return Rejection(
            f"the rung {name} needs a time above zero", "leave it out to count for ever"
        )
    if rung.deed is Deed.TOLERATE and not count:
        return Rejection(f"the rung {name} needs a count", 'such as "tolerate 2"')
    if rung.deed is Deed.DISABLE and count:
        return Rejection(f"the rung {name} has a count", "disable is the end: write it alone")
    return rung


def _check_order(table: Table, rungs: list[Rung]) -> None:
    path, problems = table.at(KEY), table.problems
    if not rungs:
        problems.add(path, "a ladder without rungs", _EXAMPLE)
        return
    for number, (lower, upper) in enumerate(pairwise(rungs), start=1):
        here, name = item(path, number), upper.deed.value
        if not lower.limit:
            text = f"{name!r} is never reached: {lower.deed.value!r} before it has no count"
            problems.add(
                here, text, f"write {lower.deed.value + ' 3'!r}, say, or leave {name!r} out"
            )
        elif _ORDER.index(upper.deed) <= _ORDER.index(lower.deed):
            words = ", ".join(deed.value for deed in _ORDER)
            text = f"{name!r} cannot come after {lower.deed.value!r}"
            problems.add(here, text, f"each at most once, in this order: {words}")
    if rungs[-1].limit:
        text = f"the last rung {rungs[-1].deed.value!r} has a count, and nothing says what follows"
        problems.add(item(path, len(rungs) - 1), text, 'add "relocate" or "disable"')


def _with_times(rungs: list[Rung]) -> tuple[Rung, ...]:
    """Give each counting rung its time."""
    found: list[Rung] = []
    next_ms = 0
    for rung in reversed(rungs):
        next_ms = rung.window_ms or next_ms
        found.append(replace(rung, window_ms=next_ms if rung.limit else 0))
    return tuple(reversed(found))


def written_ladder(rungs: tuple[Rung, ...]) -> list[str]:
    """Return the rungs as they are read."""
    return [_written(rung) for rung in rungs]


def _written(rung: Rung) -> str:
    count = f" {rung.limit}" if rung.limit else ""
    time = f" in {written_duration(rung.window_ms)}" if rung.limit and rung.window_ms else ""
    return f"{rung.deed.value}{count}{time}"
