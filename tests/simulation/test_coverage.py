# SPDX-License-Identifier: Apache-2.0
"""docs/coverage.md says what shows each case: all of it must be there, and no scenario unnamed."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"(?m)^\| ([A-Z]\d+) \|(?: [^|]+ \|)? ([^|]+) \|$", TEXT))
SCENARIOS = {path.parent.name for path in (ROOT / "tests/simulation/scenarios").glob("*/script")}
CASES = {"A": 30, "B": 26, "C": 31, "D": 21, "E": 34, "F": 37, "H": 27, "U": 19, "M": 19, "S": 10}
"""The last number of each section of the catalogue."""


def named(text: str) -> set[str]:
    """The words of a cell that can only be scenarios: after the last colon, between commas."""
    without_paths = re.sub(r"`[^`]+`", "", text)
    return set(re.findall(r"(?<![\w-])[a-z0-9]+(?:-[a-z0-9]+)+(?![\w-])", without_paths))


def test_every_case_has_its_line() -> None:
    missing = [
        f"{section}{number}"
        for section, last in CASES.items()
        for number in range(1, last + 1)
        if not ROWS.get(f"{section}{number}", "").strip()
    ]

    assert missing == []


def test_every_scenario_is_named() -> None:
    words = {word for cell in ROWS.values() for word in re.findall(r"[\w-]+", cell)}

    assert SCENARIOS - words == set()


def test_what_is_named_is_there() -> None:
    words = {word for cell in ROWS.values() for word in named(cell)}

    assert words - SCENARIOS == set()


def is_there(place: str) -> bool:
    path, _, name = place.partition("::")
    file = ROOT / path
    return file.is_file() and (not name or f"def {name}(" in file.read_text(encoding="utf-8"))


def test_the_tests_that_are_named_are_there() -> None:
    missing = [p for p in re.findall(r"`(tests/[^`]+[^/`])`", TEXT) if not is_there(p)]

    assert missing == []
