# SPDX-License-Identifier: Apache-2.0
"""When something happened, in words for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rgmgr.fence_view import CaseView

_SECOND_MS = 1_000
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(milliseconds: int) -> str:
    """Return a time span in its two largest units, such as '3 min 20 s'."""
    rest = milliseconds // _SECOND_MS
    parts = []
    for unit, count_s in _UNITS:
        count, rest = divmod(rest, count_s)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def seconds(milliseconds: int) -> str:
    """Return a short time span with a tenth of a second, such as '1.2 s'."""
    return f"{milliseconds / _SECOND_MS:.1f} s"


def ago(case: CaseView) -> str:
    """Return when a case was: the wall clock of its end where it is known, else how long ago."""
    opened_s = case.wall_s - (case.ended_after_ms or 0) // _SECOND_MS if case.wall_s else 0
    return moment(opened_s, case.age_ms)


def moment(wall_s: int, age_ms: int) -> str:
    """Return a wall clock time, or how long ago it was when that is not known (0)."""
    if not wall_s:
        return f"{duration(age_ms)} ago"
    from datetime import UTC, datetime  # noqa: PLC0415 - takes long to load

    return datetime.fromtimestamp(wall_s, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
