# SPDX-License-Identifier: Apache-2.0
"""docs/coverage.md says what shows each case: all of it must be there, and no scenario unnamed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
LINES = re.findall(r"(?m)^\| ([A-Z]\d+) (.*)$", TEXT)
CELLS = re.compile(r"\| ([^|]+) \| ([^|]+) \|")
ROWS = {case: CELLS.fullmatch(rest) for case, rest in LINES}
SHOWN = [(case, row[2] if row else "") for case, row in ROWS.items()]
SCENARIOS = {path.parent.name for path in (ROOT / "tests/simulation/scenarios").glob("*/script")}
CASES = {
    "A": 30, "B": 26, "C": 31, "D": 21, "E": 34, "F": 37, "G": 22, "H": 27,
    "U": 19, "M": 19, "K": 18, "T": 12, "S": 10, "W": 12,
}  # fmt: skip
"""The last number of each section of the catalogue."""
REASON = re.compile(r"(does not apply|not shown): .{15,}")
VAGUE = re.compile(r"\b(not yet|todo|tbd)\b", re.IGNORECASE)


def named(text: str) -> set[str]:
    """The words of a cell that are scenarios, or can be nothing else: with a dash, no document."""
    words = re.findall(r"(?<![\w-])[a-z0-9]+(?:-[a-z0-9]+)*(?![\w-]|\.md)", prose(text))
    return {word for word in words if "-" in word or word in SCENARIOS}


def prose(text: str) -> str:
    return re.sub(r"`[^`]+`", "", text)


def cited(text: str) -> list[str]:
    return re.findall(r"`(tests/[^`]+[^/`])`", text)


def is_there(place: str) -> bool:
    path, _, name = place.partition("::")
    file = ROOT / path
    return file.is_file() and (not name or f"def {name}(" in file.read_text(encoding="utf-8"))


def test_every_case_has_one_line_and_there_are_no_others() -> None:
    catalogue = [f"{s}{n}" for s, last in CASES.items() for n in range(1, last + 1)]

    assert sorted(case for case, _ in LINES) == sorted(catalogue)
    assert [case for case, row in ROWS.items() if row is None] == [], "not three cells"


def test_a_line_names_what_shows_it_or_says_why_nothing_does() -> None:
    without = [c for c, x in SHOWN if not (named(x) or cited(x) or REASON.fullmatch(x))]

    assert without == []
    assert [case for case, shown in SHOWN if VAGUE.search(prose(shown))] == []


def test_every_scenario_is_named() -> None:
    words = {word for _, shown in SHOWN for word in named(shown)}

    assert SCENARIOS - words == set()


def test_what_is_named_is_there() -> None:
    words = {word for _, shown in SHOWN for word in named(shown)}

    assert words - SCENARIOS == set()


def test_the_tests_that_are_named_are_there() -> None:
    assert [place for place in cited(TEXT) if not is_there(place)] == []
