# SPDX-License-Identifier: Apache-2.0
"""`rgmgr sim SCENARIO`: plays, tells, compares; exit codes for whoever runs it in CI."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.main import cli

SCENARIOS = Path(__file__).parent / "scenarios"
GOOD = SCENARIOS / "owner-loses-power"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["sim", *map(str, arguments)])


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A scenario that somebody is writing."""
    cluster = (SCENARIOS / "three-nodes.toml").read_text(encoding="utf-8")
    (tmp_path / "cluster.toml").write_text(cluster, encoding="utf-8")
    return tmp_path


def test_a_good_one_is_told_and_ends_with_zero() -> None:
    result = run(GOOD)

    assert result.exit_code == 0, result.output
    assert "web is given to node2" in result.output
    assert "rgmgrd starts" not in result.output
    assert "4 expectations: all met" in result.output


def test_the_whole_story_has_every_line() -> None:
    result = run(GOOD, "--trace")

    assert "rgmgrd starts" in result.output


def test_what_is_not_met_ends_with_one(own: Path) -> None:
    (own / "script").write_text("20s expect web is disabled\n", encoding="utf-8")

    result = run(own)

    assert result.exit_code == 1
    assert "not met: at 20.0 s expected: web is disabled; but it is started" in result.output


def test_a_mistake_ends_with_78_and_names_the_line(own: Path) -> None:
    (own / "script").write_text("\n20s power-los node=node1 for=5s\n", encoding="utf-8")

    result = run(own)

    assert result.exit_code == 78
    assert "line 2" in result.output
    assert "did you mean 'power-loss'?" in result.output


def test_a_mistake_in_the_cluster_ends_with_78_too(own: Path) -> None:
    (own / "cluster.toml").write_text("[cluster]\n", encoding="utf-8")
    (own / "script").write_text("20s network-heals\n", encoding="utf-8")

    assert run(own).exit_code == 78


@pytest.mark.parametrize(
    "option", [("--seed", "1"), ("--seeds", "3"), ("--steps", "3"), ("--minutes", "1"), ("--json",)]
)
def test_a_scenario_takes_no_seeds(option: tuple[str, ...]) -> None:
    result = run(GOOD, *option)

    assert result.exit_code == 2
    assert "a scenario is played as it is" in result.output
