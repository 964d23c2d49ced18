# SPDX-License-Identifier: Apache-2.0
"""The command that developers and administrators use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli import hunt
from rgmgr.cli.main import cli
from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.run import Outcome, simulate

CLUSTER = """
[cluster]
name = "alpha"
version = 3
[[node]]
name = "left"
fence = [[{ device = "pdu" }]]
[[node]]
name = "right"
fence = [[{ device = "pdu" }]]
[fencing.device.pdu]
agent = "fence_ipmi"
[[service]]
name = "web"
[[service.resource]]
type = "systemd"
unit = "nginx.service"
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["sim", *map(str, arguments)])


@pytest.fixture
def cluster_toml(tmp_path: Path) -> Path:
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER, encoding="utf-8")
    return file


@pytest.fixture
def broken_core(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(
        *, seed: int, nodes: int | None, steps: int | None, spec: ClusterSpec | None
    ) -> Outcome:
        good = simulate(seed=seed, nodes=nodes, steps=steps, spec=spec)
        return replace(good, violations=("I1 at 1.000: web is active on node1, node2",))

    monkeypatch.setattr(hunt, "simulate", broken)


def test_good_seeds_end_with_a_summary_and_zero() -> None:
    result = run("--seeds", "3", "--nodes", "3", "--steps", "0")

    assert result.exit_code == 0, result.output
    assert "3 seeds, 0 faults" in result.output
    assert "every promise kept" in result.output


def test_the_trace_tells_the_story() -> None:
    result = run("--seed", "4", "--nodes", "3", "--steps", "0", "--trace")

    assert result.exit_code == 0, result.output
    assert "the members agree: epoch 1 with node1, node2, node3" in result.output


@pytest.mark.usefixtures("broken_core")
def test_a_broken_promise_is_told_with_the_way_to_replay_it() -> None:
    result = run("--seed", "4", "--nodes", "2", "--steps", "0")

    assert result.exit_code == 1
    assert "web is active on node1, node2" in result.output
    assert "replay with: rgmgr sim --seed 4 --nodes 2 --steps 0 --trace" in result.output
    assert "1 broken" in result.output


@pytest.mark.usefixtures("broken_core")
def test_the_summary_for_programs_names_what_broke() -> None:
    result = run("--first", "7", "--seeds", "2", "--nodes", "2", "--steps", "0", "--json")

    data = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (data["schema"], data["first"], data["seeds"], data["faults"]) == (1, 7, 2, 0)
    assert [broken["seed"] for broken in data["broken"]] == [7, 8]
    assert data["broken"][0]["violations"] == ["I1 at 1.000: web is active on node1, node2"]
    assert data["events"] > 0
    assert data["simulated_ms"] > 0


def test_an_administrator_runs_his_own_cluster(cluster_toml: Path) -> None:
    result = run(cluster_toml, "--seed", "1", "--steps", "0", "--trace")

    assert result.exit_code == 0, result.output
    assert "web is given to left" in result.output
    assert "the members agree: epoch 1 with left, right" in result.output


@pytest.mark.usefixtures("broken_core")
def test_the_way_to_replay_names_the_administrators_file(cluster_toml: Path) -> None:
    result = run(cluster_toml, "--seeds", "1", "--steps", "1")

    assert f"rgmgr sim {cluster_toml} --seed 0 --steps 1 --trace" in result.output


def test_a_configuration_with_problems_ends_with_78(cluster_toml: Path) -> None:
    cluster_toml.write_text(CLUSTER.replace('device = "pdu"', 'device = "pud"'), encoding="utf-8")

    result = run(cluster_toml)

    assert result.exit_code == 78
    assert "pud" in result.output


def test_a_cluster_without_services_has_nothing_to_show(cluster_toml: Path) -> None:
    cluster_toml.write_text(CLUSTER.partition("[[service]]")[0], encoding="utf-8")

    result = run(cluster_toml)

    assert result.exit_code == 78
    assert "there is no service to run" in result.output


@pytest.mark.parametrize(
    "arguments",
    [("--trace",), ("--seed", "1", "--seeds", "2"), ("--seed", "1", "--minutes", "1")],
    ids=" ".join,
)
def test_options_that_cannot_both_be_meant_are_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_number_of_nodes_is_refused_for_a_cluster_that_has_its_own(cluster_toml: Path) -> None:
    assert run(cluster_toml, "--nodes", "3").exit_code == 2


def test_the_time_is_up_after_so_many_minutes() -> None:
    result = run("--minutes", "0.005", "--nodes", "2", "--steps", "0", "--jobs", "1", "--json")

    data = json.loads(result.stdout)
    assert result.exit_code == 0
    assert data["seeds"] > 0
    assert 300 <= data["wall_ms"] < 10_000


def test_nothing_but_the_summary_is_written_into_a_pipe() -> None:
    result = run("--seeds", "2", "--nodes", "2", "--steps", "0")

    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
