# SPDX-License-Identifier: Apache-2.0
"""A broken core: what is left of a long script must be short, and must break the same promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from domains.model import NodeId
from rgmgr.cli.main import cli
from rgmgr.config.load import loads
from rgmgr.config.write import written
from rgmgr.core import recovery
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import Node, NodeStatus
from rgmgr.scenarios import load_scenario, save_scenario
from rgmgr.sim.draw import draw_script
from rgmgr.sim.faults import Ambush, Ask, ConfigChange, Fault, LinksCut, Partition, Script
from rgmgr.sim.run import play
from rgmgr.sim.scenario import Scenario, play_scenario
from rgmgr.sim.shrink import promise_of, shrink
from rgmgr.sim.smaller import smaller_clusters, smaller_faults, without_node

STEPS = 7


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Break the core: whoever is lost counts as down, with no proof at all."""
    real = Ledger.put_node

    def put_node(ledger: Ledger, node_id: NodeId, node: Node) -> None:
        real(ledger, node_id, node)
        if node.status is NodeStatus.UNCLEAN:
            recovery.release(ledger, node_id, ledger.state.epoch)

    monkeypatch.setattr(Ledger, "put_node", put_node)


@pytest.fixture
def broken(hasty: None) -> Script:
    """Return a long script that the broken core does not survive."""
    del hasty
    scripts = (draw_script(seed, nodes=3, steps=STEPS) for seed in range(1, 200, 10))
    return next(s for s in scripts if (promise_of(play(s)) or "").startswith("I1"))


def test_a_broken_core_leaves_at_most_three_faults(broken: Script, tmp_path: Path) -> None:
    steps: list[str] = []

    smallest = shrink(broken, tell=steps.append)

    assert smallest is not None
    assert len(broken.faults) >= STEPS
    assert len(smallest.faults) <= 3, smallest.faults
    assert len(smallest.spec.services) <= 2
    assert steps
    kept = save_scenario(Scenario(script=smallest), tmp_path / "kept", "One.\nTwo.\n")
    again = play_scenario(load_scenario(kept)).outcome
    assert again.violations == play(smallest).violations
    assert promise_of(again) == promise_of(play(broken))


def test_it_is_cut_down_the_same_way_each_time(broken: Script) -> None:
    assert shrink(broken, plays_max=25) == shrink(broken, plays_max=25)


def test_patience_has_an_end(broken: Script) -> None:
    assert shrink(broken, plays_max=1) is not None


def test_a_script_that_breaks_nothing_is_left_alone() -> None:
    assert shrink(draw_script(1, steps=1)) is None


@pytest.mark.usefixtures("hasty")
def test_the_command_keeps_what_is_left(tmp_path: Path) -> None:
    place = tmp_path / "kept"
    arguments = ["sim", "--first", "1", "--seeds", "30", "--nodes", "3", "--jobs", "1"]

    result = CliRunner().invoke(cli, [*arguments, "--steps", "4", "--shrink", str(place)])
    again = CliRunner().invoke(cli, ["sim", str(place)])

    assert result.exit_code == 1
    assert f"play it with: rgmgr sim {place}" in result.output
    assert again.exit_code == 1
    assert "broken: I1" in again.output


# The candidates.


def test_a_node_that_is_left_out_is_named_nowhere() -> None:
    for seed in range(40):
        script = draw_script(seed, nodes=4, steps=20)

        smaller = without_node(script, NodeId(2))

        assert list(smaller.spec.nodes) == [1, 2, 3]
        assert [n.name for n in smaller.spec.nodes.values()] == ["node1", "node3", "node4"]
        assert all(n in smaller.spec.nodes for fault in smaller.faults for n in named(fault))
        assert all(
            s.domain is None or s.domain in smaller.spec.domains for s in smaller.spec.services
        )


def named(fault: Fault) -> list[NodeId]:
    if isinstance(fault, Ambush):
        return [fault.node, *named(fault.strike)]
    found = [getattr(fault, name, None) for name in ("node", "victim", "target")]
    if isinstance(fault, Partition):
        found += [node for side in fault.sides for node in side]
    if isinstance(fault, LinksCut):
        found += [node for way in fault.ways for node in way]
    if isinstance(fault, ConfigChange):
        found += fault.nodes
    return [node for node in found if node is not None]


def test_candidates_differ_from_what_they_come_from_and_come_to_an_end() -> None:
    for seed in range(10):
        script = draw_script(seed, nodes=4, steps=8)

        candidates = [*smaller_clusters(script), *smaller_faults(script)]

        assert script not in candidates
        assert all(len(c.faults) <= len(script.faults) for c in candidates)
        assert all(c.end_ms <= script.end_ms for c in candidates if c.spec == script.spec)


def test_a_cluster_with_watchdogs_gets_no_smaller_than_it_can_be_read() -> None:
    drawn = [draw_script(seed, nodes=3, steps=4) for seed in range(60)]
    guarded = [script for script in drawn if script.spec.fencing.watchdog]

    for script in guarded:
        for smaller in smaller_clusters(script):
            loads(written(smaller.spec), source="what was written", node_ids=None)

    assert guarded


def test_a_service_that_is_left_out_is_asked_of_no_more() -> None:
    script = draw_script(3, nodes=3, steps=40)
    services = script.spec.services
    gone = replace(script.spec, services=services[1:])

    [smaller] = [c for c in smaller_clusters(script) if c.spec == gone] or [script]

    asked = {fault.service for fault in smaller.faults if isinstance(fault, Ask)}
    assert len(services) > 1
    assert services[0].name not in asked
