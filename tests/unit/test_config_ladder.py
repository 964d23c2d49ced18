# SPDX-License-Identifier: Apache-2.0
"""Recovery ladders as administrators write them, and what is said of mistakes."""

from __future__ import annotations

import pytest

from rgmgr.core.spec import Deed, Rung
from tests.unit.config_documents import VALID, problems_of, read


def ladder(recovery: str) -> tuple[Rung, ...]:
    text = VALID.replace('name = "web"', f'name = "web"\nrecovery = {recovery}')
    return read(text).services[0].ladder


def test_a_ladder_is_read_rung_by_rung() -> None:
    assert ladder('["tolerate 2 in 1min", "restart 3 in 10min", "relocate", ]') == (
        Rung(deed=Deed.TOLERATE, limit=2, window_ms=60_000),
        Rung(deed=Deed.RESTART, limit=3, window_ms=600_000),
        Rung(deed=Deed.RELOCATE),
    )


def test_a_rung_without_a_time_takes_that_of_the_next_that_has_one() -> None:
    rungs = ladder('["tolerate 2", "restart 3 in 10min", "relocate"]')

    assert [rung.window_ms for rung in rungs] == [600_000, 600_000, 0]
    assert ladder('["restart 3", "disable"]')[0].window_ms == 0


def test_a_word_is_no_ladder() -> None:
    assert ladder('"relocate"') == ()


@pytest.mark.parametrize(
    ("recovery", "place", "words"),
    [
        ("[]", "recovery", "a ladder without rungs"),
        ('["restrat 3", "disable"]', "recovery[1]", "unknown rung 'restrat'"),
        ('[3, "disable"]', "recovery[1]", "expected a rung such as"),
        ('["tolerate", "disable"]', "recovery[1]", "the rung 'tolerate' needs a count"),
        ('["restart 0", "disable"]', "recovery[1]", "the rung 'restart 0' needs a count from 1"),
        ('["restart 101", "disable"]', "recovery[1]", "the rung 'restart 101' needs a count"),
        ('["restart 3 in 5 parsecs", "disable"]', "recovery[1]", "unknown unit 'parsecs'"),
        ('["restart 3 in 0s", "disable"]', "recovery[1]", "needs a time above zero"),
        ('["restart 3", "disable 2"]', "recovery[2]", "the rung 'disable 2' has a count"),
        ('["restart 3 in 1h"]', "recovery[1]", "the last rung 'restart' has a count"),
        ('["restart", "disable"]', "recovery[2]", "'disable' is never reached"),
        ('["relocate 1", "restart"]', "recovery[2]", "'restart' cannot come after 'relocate'"),
        ('["restart 1", "restart 2", "disable"]', "recovery[2]", "cannot come after 'restart'"),
        ('["disable"]\nmax_restarts = 3', "max_restarts", "cannot be set beside a recovery"),
    ],
)
def test_a_mistake_names_its_rung(recovery: str, place: str, words: str) -> None:
    text = VALID.replace('name = "web"', f'name = "web"\nrecovery = {recovery}')

    (problem,) = problems_of(text)

    assert problem.path == f"service.web.{place}"
    assert words in problem.problem
