# SPDX-License-Identifier: Apache-2.0
"""Each scenario shows one behaviour, and goes on showing it.

`pytest --update-golden` writes the traces anew; read the diff: does the cluster do the right thing?
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rgmgr.scenarios import README, TRACE, load_scenario
from rgmgr.sim.scenario import Played, play_scenario, story
from tests.conftest import Golden

ROOT = Path(__file__).parent / "scenarios"
NAMES = sorted(path.parent.name for path in ROOT.glob("*/script"))
OTHER_DICE = (6,)
COUNT_MIN = 120


def complaints(played: Played) -> list[str]:
    found = [*played.unmet, *played.outcome.violations]
    return found if found or played.is_good else ["it does not come to rest"]


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_keeps_every_promise_and_meets_what_it_expects(
    name: str, golden: Golden
) -> None:
    played = play_scenario(load_scenario(ROOT / name))

    assert complaints(played) == []
    golden(str(ROOT / name / TRACE), story(played))


@pytest.mark.parametrize("name", NAMES)
def test_it_does_so_in_a_less_orderly_world(name: str) -> None:
    """Other delays and orders: what is expected must not hang on a lucky millisecond."""
    scenario = load_scenario(ROOT / name)

    found = {seed: complaints(play_scenario(scenario, seed)) for seed in OTHER_DICE}

    assert not any(found.values()), found


@pytest.mark.parametrize("name", NAMES)
def test_it_says_in_two_lines_what_happens_and_what_must_hold(name: str) -> None:
    readme = (ROOT / name / README).read_text(encoding="utf-8")

    assert len(readme.splitlines()) == 2, readme
    assert all(0 < len(line) <= 110 and line.endswith(".") for line in readme.splitlines())
    assert load_scenario(ROOT / name).expectations, "it expects nothing"


def test_no_two_scenarios_are_the_same() -> None:
    scenarios = [load_scenario(ROOT / name) for name in NAMES]
    said = [(s.script.spec, s.script.faults, s.script.is_two_node, s.is_calm) for s in scenarios]

    twins = [
        (a, b) for i, a in enumerate(NAMES) for j, b in enumerate(NAMES[:i]) if said[i] == said[j]
    ]

    assert twins == []
    assert len(NAMES) >= COUNT_MIN
