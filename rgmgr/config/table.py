# SPDX-License-Identifier: Apache-2.0
"""Reading one table of the file: typed values out, problems noted.

A `Table` knows which keys it may have, so an unknown one is found the moment it is made. A value
that is missing or wrong is answered with the default, or with None where there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import TypeGuard, TypeVar

from rgmgr.config.durations import parse_duration
from rgmgr.config.problems import (
    INTEGER_BITS_MAX,
    Problems,
    Rejection,
    below,
    described,
    did_you_mean,
    item,
    listed,
)

Word = TypeVar("Word", bound=Enum)

_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


class Table:
    """One table of the file, at its key path."""

    __slots__ = ("path", "problems", "raw")

    def __init__(
        self,
        raw: Mapping[str, object],
        path: str,
        problems: Problems,
        *,
        known: Collection[str] | None,
    ) -> None:
        """Note every key that is not `known`; None: the keys are names of the user's choice."""
        self.raw = raw
        self.path = path
        self.problems = problems
        for key in raw:
            if known is not None and key not in known:
                hint = did_you_mean(key, known) or f"known here: {listed(known)}"
                problems.add(self.at(key), "unknown key", hint)

    def at(self, key: str) -> str:
        """Return the key path of one of this table's keys."""
        return below(self.path, key)

    def has(self, key: str) -> bool:
        """Tell whether the key is there at all, right or wrong."""
        return key in self.raw

    def wrong(self, key: str, expected: str, hint: str = "") -> None:
        """Note that the value of a key is not what was expected."""
        self.problems.add(
            self.at(key), f"expected {expected}, got {described(self.raw[key])}", hint
        )

    def text(self, key: str) -> str | None:
        """Return a text that is not empty; None when it is missing or wrong."""
        value = self.raw.get(key)
        if isinstance(value, str) and value:
            return value
        if key in self.raw:
            self.wrong(key, "a text")
        return None

    def required_text(self, key: str, purpose: str) -> str | None:
        """Return a text; note a problem when it is missing. `purpose` says what it is for."""
        if key not in self.raw:
            self.problems.add(self.at(key), f"missing: {purpose}")
        return self.text(key)

    def boolean(self, key: str, default: bool) -> bool:  # noqa: FBT001 - the value is the subject
        """Return a truth value; the words and numbers that rgmanager's files use are understood."""
        value = self.raw.get(key, default)
        if isinstance(value, bool):
            return value
        if isinstance(value, int) and value in (0, 1):
            return value == 1
        if isinstance(value, str) and value.lower() in _TRUTH:
            return _TRUTH[value.lower()]
        self.wrong(key, "true or false")
        return default

    def integer(self, key: str, *, minimum: int, default: int) -> int:
        """Return an integer of at least `minimum`."""
        value = self.raw.get(key, default)
        if is_integer(value) and value >= minimum:
            return value
        self.wrong(key, f"an integer of {minimum} or more")
        return default

    def word(self, key: str, words: type[Word], default: Word) -> Word:
        """Return the member of an enumeration whose value is written there."""
        found = self.optional_word(key, words)
        return default if found is None else found

    def optional_word(self, key: str, words: type[Word]) -> Word | None:
        """Return the member of an enumeration; None when it is missing or wrong."""
        if key not in self.raw:
            return None
        known = [word.value for word in words]
        value = self.raw[key]
        if isinstance(value, str) and value in known:
            return words(value)
        hint = did_you_mean(value, known) if isinstance(value, str) else ""
        self.wrong(key, f"one of {listed(repr(word) for word in known)}", hint)
        return None

    def duration(self, key: str, default_ms: int) -> int:
        """Return the milliseconds of a time span that may be zero."""
        if key not in self.raw:
            return default_ms
        parsed = parse_duration(self.raw[key])
        if isinstance(parsed, Rejection):
            self.problems.reject(self.at(key), parsed)
            return default_ms
        return parsed

    def timeout(self, key: str, default_ms: int) -> int:
        """Return the milliseconds of a time span above zero."""
        parsed = self.duration(key, default_ms)
        if parsed > 0:
            return parsed
        self.problems.add(
            self.at(key), "expected a time span above zero", "no limit is not offered"
        )
        return default_ms

    def table(self, key: str) -> Mapping[str, object]:
        """Return a table; an empty one when it is missing or wrong."""
        value = self.raw.get(key, {})
        if isinstance(value, dict):
            return value
        self.wrong(key, f"a table, written [{self.at(key)}]")
        return {}

    def sequence(self, key: str, expected: str, hint: str = "") -> list[object]:
        """Return a list; an empty one when it is missing or wrong."""
        value = self.raw.get(key, [])
        if isinstance(value, list):
            return value
        self.wrong(key, expected, hint)
        return []

    def tables(self, key: str, heading: str) -> list[tuple[str, Mapping[str, object]]]:
        """Return the tables of an array of tables, headed [[heading]], each with its path."""
        expected = f"an array of tables, each written [[{heading}]]"
        tables: list[tuple[str, Mapping[str, object]]] = []
        for index, value in enumerate(self.sequence(key, expected)):
            path = item(self.at(key), index)
            if isinstance(value, dict):
                tables.append((path, value))
            else:
                self.problems.add(path, f"expected a table, got {described(value)}")
        return tables


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether a value is an integer as TOML means it: no truth value, 64 bits."""
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and value.bit_length() <= INTEGER_BITS_MAX
    )
