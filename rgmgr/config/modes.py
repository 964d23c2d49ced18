# SPDX-License-Identifier: Apache-2.0
"""Reading modes of which one has a time: `"delay 5min"`, `"wait 10min"`."""

from __future__ import annotations

from enum import Enum
from typing import TypeVar

from rgmgr.config.durations import parse_duration, written_duration
from rgmgr.config.problems import Rejection, shown
from rgmgr.config.table import Table

Mode = TypeVar("Mode", bound=Enum)


def read_mode(table: Table, key: str, timed: Mode, default: Mode) -> tuple[Mode, int]:
    """Return a mode and its milliseconds; only `timed` has any, and it needs them."""
    modes = type(timed)
    text = table.text(key)
    if text is None:
        return default, 0
    word, _, span = text.partition(" ")
    known = {mode.value: mode for mode in modes}
    if known.get(word) is not timed:
        return table.word(key, modes, default), 0
    span_ms = parse_duration(span.strip()) if span.strip() else 0
    if isinstance(span_ms, Rejection):
        table.problems.reject(table.at(key), span_ms)
    elif span_ms == 0:
        hint = f"write {shown(f'{word} 5min')}, say"
        table.problems.add(table.at(key), f"the mode {shown(word)} needs a time above zero", hint)
    else:
        return timed, span_ms
    return default, 0


def written_mode(mode: Enum, timed: Enum, span_ms: int) -> str:
    """Return a mode as it is read."""
    return f"{mode.value} {written_duration(span_ms)}" if mode is timed else str(mode.value)
