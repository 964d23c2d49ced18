# SPDX-License-Identifier: Apache-2.0
"""Scenarios on real nodes end as the simulator says, and nothing ever runs twice.

What the simulator believes of corosync, systemd and fence devices is only as good as this.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rgmgr.lab.lab import Lab
from rgmgr.lab.play import Stage
from rgmgr.scenarios import load_scenario

SCENARIOS = Path(__file__).parents[1] / "simulation" / "scenarios"
PLAYED = (
    "owner-loses-power",
    "owner-is-cut-off",
    "daemon-is-killed",
    "corosync-is-killed",
    "unit-is-stopped-by-hand",
    "relocate-to-a-named-node",
)


@pytest.fixture(scope="module")
def stages(booted: Lab) -> Iterator[Lab]:
    """Give the lab away for other clusters; the tests after these get theirs back."""
    try:
        yield booted
    finally:
        booted.up(3)


@pytest.mark.parametrize("name", PLAYED)
def test_a_scenario_ends_in_the_lab_as_in_the_simulator(name: str, stages: Lab) -> None:
    played = Stage(stages, load_scenario(SCENARIOS / name)).play()

    assert played.differences == ()
    assert played.end
