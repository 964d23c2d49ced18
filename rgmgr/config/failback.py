# SPDX-License-Identifier: Apache-2.0
"""When a service goes back to a better node: `failback`, `failback_delay`, and `nofailback`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from domains.model import Window
from rgmgr.config.table import Table

FAILBACK_KEYS = ("nofailback", "failback", "failback_delay")
NEVER, ALWAYS = "never", "always"
_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failback:
    """What a domain says of it."""

    is_never: bool
    window: Window | None
    delay_ms: int


def read_failback(table: Table) -> Failback:
    """Return when services of a domain go back; what contradicts itself is noted."""
    is_never = table.boolean("nofailback", False)  # noqa: FBT003  # the default
    word = table.text("failback")
    window = _read_window(table, word)
    if table.has("nofailback") and word is not None and is_never is not (word == NEVER):
        said = "true" if is_never else "false"
        text = f"{word!r} contradicts nofailback = {said}"
        table.problems.add(table.at("failback"), text, "leave one of the two out")
    return Failback(
        is_never=is_never or word == NEVER,
        window=window,
        delay_ms=table.duration("failback_delay", 0),
    )


def _read_window(table: Table, word: str | None) -> Window | None:
    if word in (None, NEVER, ALWAYS):
        return None
    found = _WINDOW.fullmatch(word or "")
    if found is not None:
        hours = [int(part) for part in found.groups()]
        window = Window(60 * hours[0] + hours[1], 60 * hours[2] + hours[3])
        if window.begin_min != window.end_min:
            return window
    table.wrong("failback", "'never', 'always' or a time of day such as '02:00-04:00'")
    return None
