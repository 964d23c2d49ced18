# SPDX-License-Identifier: Apache-2.0
"""So many in so long a time, written as `"3 in 10min"`."""

from __future__ import annotations

import re

from rgmgr.config.durations import parse_duration, written_duration
from rgmgr.config.table import Table

_RATE = re.compile(r"\s*([0-9]{1,3})\s+in\s+(.+)")
_HINT = 'such as "3 in 10min"'


def read_rate(table: Table, key: str, things: str, most: int) -> tuple[int, int]:
    """Return how many `things`, from 1 to `most`, in how many milliseconds; (0, 0): not given."""
    raw = table.text(key)
    if raw is None:
        return 0, 0
    found = _RATE.fullmatch(raw)
    span_ms = parse_duration(found[2]) if found else None
    if found is None or not isinstance(span_ms, int) or span_ms == 0:
        table.wrong(key, f"a number of {things} and a time span", _HINT)
        return 0, 0
    count = int(found[1])
    if not 1 <= count <= most:
        table.wrong(key, f"1 to {most} {things}", _HINT)
        return 0, 0
    return count, span_ms


def written_rate(count: int, span_ms: int) -> str | None:
    """Return what `read_rate` reads; None for no rate."""
    return f"{count} in {written_duration(span_ms)}" if count else None
