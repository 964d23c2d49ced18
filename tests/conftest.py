# SPDX-License-Identifier: Apache-2.0
"""Shared by all tests: golden files, which change only with `pytest --update-golden`.

Laws have no deadline: how long an example takes says more about the machine than about the law.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

GOLDEN = Path(__file__).parent / "golden"


class Golden(Protocol):
    """Compare a text with the one kept in tests/golden/NAME, or keep it there."""

    def __call__(self, name: str, text: str) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the golden files from what the code does now; read the diff and say why",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Return the comparison with a golden file; a missing one fails, too."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if not path.exists():
            pytest.fail(f"no golden file {path}: run pytest --update-golden and read the diff")
        assert text == path.read_text(encoding="utf-8"), f"differs from {path}"

    return compare
