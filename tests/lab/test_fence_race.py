# SPDX-License-Identifier: Apache-2.0
"""Two real nodes that both have quorum when the cable between them is cut."""

from __future__ import annotations

from rgmgr.lab.lab import Lab
from tests.lab.race import ROUNDS, RaceConfig, run_race


def test_of_two_nodes_that_race_exactly_one_survives_and_the_service_runs_once(
    own_lab: Lab,
) -> None:
    """Weights decide; a first method with a dead device is passed over on the way."""
    own_lab.up(2, RaceConfig(delay_by_weight_s=4).text())

    results = [run_race(own_lab) for _ in range(ROUNDS)]

    assert [len(result.survivors) for result in results] == [1] * ROUNDS
    assert [result.survivors[0] == result.owner for result in results] == [True] * ROUNDS
    assert [result.overlaps for result in results] == [[]] * ROUNDS
    assert all("method 2" in result.proof for result in results)
