# SPDX-License-Identifier: Apache-2.0
"""The command that developers and administrators use."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from rgmgr.sim import cli
from rgmgr.sim.run import Outcome, simulate


def test_good_seeds_end_with_a_summary_and_zero() -> None:
    result = CliRunner().invoke(cli.sim, ["--seeds", "3", "--nodes", "3", "--steps", "0"])

    assert result.exit_code == 0, result.output
    assert "3 seeds, 0 faults" in result.output
    assert "every promise kept" in result.output


def test_the_trace_tells_the_story() -> None:
    result = CliRunner().invoke(cli.sim, ["--seed", "4", "--nodes", "3", "--steps", "0", "--trace"])

    assert result.exit_code == 0, result.output
    assert "the members agree: epoch 1 with node1, node2, node3" in result.output


def test_a_broken_promise_is_told_with_the_way_to_replay_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*, seed: int, nodes: int | None, steps: int | None) -> Outcome:
        good = simulate(seed=seed, nodes=nodes, steps=steps)
        return Outcome(
            script=good.script,
            violations=("I1 at 1.000: web is active on node1, node2",),
            trace=good.trace,
            settled=False,
            stats=good.stats,
        )

    monkeypatch.setattr(cli, "simulate", broken)

    result = CliRunner().invoke(cli.sim, ["--seed", "4", "--nodes", "2", "--steps", "0"])

    assert result.exit_code == 1
    assert "web is active on node1, node2" in result.output
    assert "replay with: rgmgr sim --seed 4 --nodes 2 --steps 0 --trace" in result.output
    assert "1 broken" in result.output
