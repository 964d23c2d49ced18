# SPDX-License-Identifier: Apache-2.0
"""Two real nodes that both have quorum when the cable between them is cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import DISK_DEVICE, MANAGEMENT_ADDRESS
from rgmgr.lab.observe import Observer
from tests.lab.race import ROUNDS, RaceConfig, blank_disk, run_race


@pytest.fixture(scope="module")
def bench(booted: Lab) -> Iterator[Lab]:
    """Give a lab to race in; the other tests get their three nodes back."""
    try:
        yield booted
    finally:
        booted.up(3)


@pytest.fixture
def pair(bench: Lab) -> Lab:
    """Give two new nodes: no race begins with what another one has left or configured."""
    bench.up(2, RaceConfig(delay_by_weight_s=9).text())
    return bench


def test_exactly_one_survives_a_race_and_the_service_runs_once(pair: Lab) -> None:
    """Weights decide; a first method with a dead device is passed over on the way."""
    results = [run_race(pair) for _ in range(ROUNDS)]

    assert [result.survivors for result in results] == [(result.owner,) for result in results]
    assert [result.overlaps for result in results] == [[]] * ROUNDS
    assert all("method 2" in result.proof for result in results)


def test_a_node_that_does_not_see_the_tie_breaker_loses_whatever_it_runs(pair: Lab) -> None:
    observer = Observer(pair)
    observer.await_that(observer.is_settled, "both nodes online")
    if observer.service().owner != "node2":
        pair.run("node1", ["rgmgr", "relocate", "web", "-m", "node2"], 60)
    blind = pair.run("node2", ["ip", "route", "add", "blackhole", f"{MANAGEMENT_ADDRESS}/32"])
    assert blind.returncode == 0, blind.stderr
    observer.await_that(lambda: observer.service().owner == "node2", "the service on node2")

    result = run_race(pair, owner="node2")

    assert result.survivors == ("node1",)
    assert result.overlaps == []


def test_a_lease_on_a_shared_disk_decides_without_any_delay(bench: Lab) -> None:
    """The fence takes longer than the lease lasts unrenewed: its first device is dead."""
    bench.up(2, RaceConfig(lease=DISK_DEVICE).text())
    blank_disk(bench)

    result = run_race(bench)

    assert len(result.survivors) == 1
    assert result.overlaps == []
    assert "method 2" in result.proof
