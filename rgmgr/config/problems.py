# SPDX-License-Identifier: Apache-2.0
"""Collecting what is wrong with a configuration, and the words for it.

Checking never stops at the first problem: a reader notes it here, returns a harmless value or None,
and goes on. Key paths are written as an administrator would look for them: sections by their name
(`service.web.domain`), places in a list by their number from 1 (`service.web.resource[2].unit`).
"""

from __future__ import annotations

import difflib
import json
import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from rgmgr.errors import Problem

INTEGER_BITS_MAX = 63  # TOML's integers; also keeps repr() of a number short and allowed
_SHOWN_CHARACTERS_MAX = 60
_CANDIDATES_MAX = 200
_LISTED_MAX = 20
_KINDS: dict[type[object], str] = {list: "a list", dict: "a table"}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control, half of a pair, line breaks


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a value was not accepted, and what to do about it."""

    text: str
    hint: str = ""


@dataclass(slots=True)
class Problems:
    """Every problem found so far, in the order of the checks."""

    found: list[Problem] = field(default_factory=list)

    def add(self, path: str, text: str, hint: str = "") -> None:
        """Note a problem."""
        self.found.append(Problem(path, text, hint))

    def reject(self, path: str, rejection: Rejection) -> None:
        """Note why the value at this path was not accepted."""
        self.add(path, rejection.text, rejection.hint)


def below(path: str, key: str) -> str:
    """Return the path of a key of the table at `path`; quoted where TOML needs quotes."""
    part = key if _BARE_KEY.fullmatch(key) else _quoted(key)
    return f"{path}.{part}" if path else part


def item(path: str, index: int) -> str:
    """Return the path of a list's item; `index` counts from 0, what is shown from 1."""
    return f"{path}[{index + 1}]"


def shown(value: str) -> str:
    """Return a text in quotes, cut when it is long, safe for a terminal."""
    if len(value) > _SHOWN_CHARACTERS_MAX:
        return repr(value[: _SHOWN_CHARACTERS_MAX - 1] + "…")
    return repr(value)


def described(value: object) -> str:
    """Return what a value from a TOML file is, in words; never the content of a list or table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        is_short = value.bit_length() <= INTEGER_BITS_MAX
        return f"the integer {value}" if is_short else "an integer beyond 64 bits"
    if isinstance(value, float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {shown(value)}"
    return _KINDS.get(type(value), "a date or a time")


def did_you_mean(wrong: str, known: Collection[str]) -> str:
    """Return a hint that names the nearest known word; nothing when none is near.

    Among too many words it does not look: a hint is not worth seconds.
    """
    if len(known) > _CANDIDATES_MAX:
        return ""
    nearest = difflib.get_close_matches(wrong[:_SHOWN_CHARACTERS_MAX], sorted(known), n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else ""


def listed(names: Iterable[str]) -> str:
    """Return names as a list to read: `a, b, c`; a long one is cut."""
    every = list(names)
    rest = len(every) - _LISTED_MAX
    more = [f"and {rest} more"] if rest > 0 else []
    return ", ".join([*every[:_LISTED_MAX], *more]) or "none"


def unprintable(text: str) -> str | None:
    """Return the first character that no name or setting may hold, such as a line break."""
    for character in text:
        if unicodedata.category(character) in _UNPRINTABLE:
            return character
    return None


def _quoted(key: str) -> str:
    cut = key if len(key) <= _SHOWN_CHARACTERS_MAX else key[: _SHOWN_CHARACTERS_MAX - 1] + "…"
    return json.dumps(cut, ensure_ascii=not cut.isprintable())
