# SPDX-License-Identifier: Apache-2.0
"""A script that says something else than it means is refused, with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from rgmgr.errors import ConfigError
from rgmgr.scenarios import load_scenario, save_scenario
from rgmgr.sim.faults import PowerLoss, Script
from rgmgr.sim.scenario import Scenario, cluster_of, parse, play_scenario, write
from rgmgr.sim.story import FIRST, demo_script

SPEC = demo_script().spec


def refusal(line: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(f"# a comment\n\n{line}\n", SPEC, "some/script")
    [problem] = caught.value.problems
    assert problem.path == "line 3"
    assert "some/script" in str(caught.value)
    return f"{problem.problem} ({problem.hint})"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("10s power-los node=node1 for=5s", "unknown fault 'power-los' (did you mean 'power-loss'"),
        ("10s power-loss node=nod1 for=5s", "unknown node 'nod1' (did you mean 'node1'"),
        ("10s power-loss node=node1 for=5x", "unknown unit 'x'"),
        ("10s power-loss node=node1", "power-loss needs for="),
        ("10s power-loss node=node1 fro=5s", "power-loss has no 'fro' (did you mean 'for'"),
        ("10s power-loss node1", "expected KEY=VALUE, got 'node1'"),
        ("10s power-loss node=node1 node=node2 for=1s", "node is given twice"),
        ("10s unit-death service=wbe resource=nginx", "unknown service 'wbe' (did you mean 'web'"),
        ("10s unit-death service=web resource=x", "unknown resource of web 'x'"),
        ("10s ask node=node1 verb=move service=web", "unknown verb 'move' (known: enable"),
        ("10s daemon-crash node=node1 for=1s amid=soon", "expected a whole number, got 'soon'"),
        ("10s links-cut ways=node1 for=1s", "expected SENDER>RECEIVER, got 'node1'"),
        ("10s ambush node=node1 moment=start for=9s", "needs ': FAULT'"),
        ("10s network-heals : network-heals", "only an ambush"),
        ('10s unit-death service="web', "a quote is not closed"),
        ("10s", "what is at 10s?"),
        ("end power-loss node=node1 for=5s", "nothing can happen after the end"),
        ("sed 7", "(and no time, such as 10s) 'sed' (did you mean 'seed'"),
        ("seed x", "expected a seed"),
        ("calm yes", "calm takes nothing after it"),
        ("10s expect web is startd", "unknown state of a service 'startd' (did you mean"),
        ("10s expect wbe is started", "unknown service 'wbe' (did you mean 'web'"),
        ("10s expect web flies", "nothing of this kind can be expected"),
        ("10s expect node1 fenced 3", "unknown count (or N times) '3'"),
    ],
)
def test_what_says_nothing_is_refused(line: str, words: str) -> None:
    assert words in refusal(line)


def test_all_mistakes_are_told_in_the_order_of_the_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        parse('10s expect web flies\nseed "\n9s nothing\n', SPEC, "script")

    assert [problem.path for problem in caught.value.problems] == ["line 1", "line 2", "line 3"]


def test_a_setting_counts_once() -> None:
    with pytest.raises(ConfigError, match="seed is set twice"):
        parse("seed 1\nseed 2\n", SPEC, "script")


def test_quotes_and_comments() -> None:
    scenario = parse('5s expect web says "no # here" # but here\n', SPEC, "script")

    assert scenario.expectations[0].text == 'web says "no # here"'
    assert parse(write(scenario), SPEC, "script") == scenario


def test_the_configuration_may_be_another_file() -> None:
    assert cluster_of("cluster ../two.toml\n") == "../two.toml"
    assert cluster_of("10s network-heals\n") == "cluster.toml"


def test_what_is_expected_and_is_not_so_is_told() -> None:
    text = (
        "10s power-loss node=node1 for=15s\n9s expect web is disabled\nend expect nobody fenced\n"
    )

    played = play_scenario(parse(text, SPEC, "script"))

    assert played.outcome.is_good
    assert not played.is_good
    assert played.unmet[0] == "at 9.0 s expected: web is disabled; but it is started on node1"
    assert played.unmet[1].endswith("expected: nobody fenced; but node1 was")


def test_a_saved_scenario_plays_the_same(tmp_path: Path) -> None:
    faults = (PowerLoss(at_ms=10_000, node=FIRST, for_ms=5_000),)
    scenario = Scenario(script=Script(seed=7, spec=SPEC, faults=faults))

    again = load_scenario(save_scenario(scenario, tmp_path / "kept", "One.\nTwo.\n"))

    first, second = play_scenario(scenario), play_scenario(again)
    assert first.outcome.trace.digest() == second.outcome.trace.digest()


def test_a_directory_that_holds_no_scenario_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a file named script"):
        load_scenario(tmp_path)
