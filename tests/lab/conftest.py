# SPDX-License-Identifier: Apache-2.0
"""One lab for all tests of this folder: real nodes, settled again before each test."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from rgmgr.lab.lab import Lab
from tests.lab.observed import Observed

DIRECTORY = Path(os.environ.get("RGMGR_LAB_DIR", Path(__file__).parents[2] / ".lab"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def booted() -> Iterator[Lab]:
    """Boot three nodes once; take everything down at the end, also after a failure."""
    lab = Lab(DIRECTORY)
    try:
        lab.up(3)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def cluster(booted: Lab) -> Observed:
    """Give a whole, settled cluster with the service on node1."""
    observed = Observed(booted)
    observed.restore()
    return observed


@pytest.fixture
def own_lab(booted: Lab) -> Iterator[Lab]:
    """Give the test the lab to take down; the others get a new one."""
    try:
        yield booted
    finally:
        booted.up(3)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the daemons said to the report of a failed test."""
    report = yield
    cluster = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(cluster, Observed):
        report.sections.append(("journals of rgmgrd", cluster.journals()))
    return report
