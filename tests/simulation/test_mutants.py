# SPDX-License-Identifier: Apache-2.0
"""The simulator finds what it is for: a core with a mistake in it breaks a promise.

Each mutant runs the scenarios and the seeds of `make test` until one catches it, that of last time
first (`pytest --update-golden` keeps what caught it this time). A mutant that survives shows a
fault that nobody draws, or a promise that nobody checks.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.equivalent import EQUIVALENT
from tests.simulation.mutants.hunt import (
    DOCUMENT,
    SEEDS,
    Catch,
    broken_by,
    hunt_all,
    keep_trials,
    known_trials,
    stories,
    table,
)
from tests.simulation.mutants.mutant import Mutant

MUTANTS_MIN = 25
COMPARED = range(3_000, 3_020)
CATCHING = "test_a_mutant_is_caught"
Caught = dict[str, Catch | None]


@pytest.fixture(scope="module")
def caught(request: pytest.FixtureRequest) -> Caught:
    """Hunt all that are asked for at once, on all processors."""
    asked = {item.name for item in request.session.items}
    chosen = [mutant for mutant in MUTANTS if f"{CATCHING}[{mutant.name}]" in asked]
    found = {mutant.name: catch for mutant, catch in hunt_all(chosen)}
    if request.config.getoption("--update-golden"):
        trials = {name: catch.by for name, catch in found.items() if catch}
        keep_trials({**known_trials(), **trials})
    return found


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught(
    mutant: Mutant, caught: Caught, record_property: Callable[[str, object], None]
) -> None:
    catch = caught[mutant.name]

    assert catch is not None, (
        f"a core that {mutant.breaks} survives all scenarios and {len(SEEDS)} seeds"
    )
    record_property("caught by", f"{catch.by}: {catch.violation}")


@pytest.fixture(scope="module")
def own_stories() -> dict[int, str]:
    return stories(None, COMPARED)


@pytest.mark.parametrize("mutant", EQUIVALENT, ids=lambda mutant: mutant.name)
def test_an_equivalent_mutant_tells_the_same_stories(
    mutant: Mutant, own_stories: dict[int, str]
) -> None:
    """Another rule covers what it drops; one that is caught now has to move up."""
    assert stories(mutant, COMPARED) == own_stories


def test_there_are_mutants_enough_and_each_has_its_own_name_and_words() -> None:
    assert len(MUTANTS) >= MUTANTS_MIN
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.breaks for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.module, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", [*MUTANTS, *EQUIVALENT], ids=lambda mutant: mutant.name)
def test_a_mutant_is_a_core_that_python_can_read(mutant: Mutant) -> None:
    """Else it would be caught by its syntax."""
    compile(mutant.patched(), mutant.module, "exec")


def test_what_catches_mutants_is_good_itself() -> None:
    """Else the mistake would not be the mutant's."""
    trials = {*known_trials().values()}

    assert {trial: broken for trial in trials if (broken := broken_by(trial))} == {}
    assert {mutant.name for mutant in MUTANTS} == {*known_trials()}


def test_the_documentation_says_what_catches_whom() -> None:
    """`--update-golden` writes it."""
    assert table(known_trials()) in DOCUMENT.read_text(encoding="utf-8")


def test_a_text_that_is_not_there_once_is_no_mutant() -> None:
    mutant = Mutant(name="x", breaks="x", module="rgmgr.core.lease", old="turn", new="")

    with pytest.raises(ValueError, match=r"'turn' is \d+ times in rgmgr.core.lease"):
        mutant.patched()
