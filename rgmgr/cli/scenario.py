# SPDX-License-Identifier: Apache-2.0
"""`rgmgr sim SCENARIO`, and the scenario that is left of a seed that broke a promise."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from rgmgr.cli.exits import Exit
from rgmgr.cli.hunt import Task
from rgmgr.errors import ConfigError
from rgmgr.scenarios import load_scenario, save_scenario
from rgmgr.sim.draw import draw_script, is_calm
from rgmgr.sim.run import play
from rgmgr.sim.scenario import Played, Scenario, play_scenario, story
from rgmgr.sim.shrink import promise_of, shrink
from rgmgr.sim.trace import told


def tell_scenario(directory: Path, *, is_whole: bool) -> None:
    """Play the scenario in a directory and tell it; ends the command when it is not as it should.

    `is_whole`: every line, not only what matters.
    """
    try:
        scenario = load_scenario(directory)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(Exit.CONFIG) from None
    played = play_scenario(scenario)
    outcome = played.outcome
    lines = told(outcome.trace, outcome.script.spec) if is_whole else [story(played).rstrip("\n")]
    for line in lines:
        click.echo(line)
    for complaint in _complaints(played):
        click.echo(complaint, err=True)
    count = len(scenario.expectations)
    click.echo(f"{count} expectations: " + ("all met" if played.is_good else "NOT AS EXPECTED"))
    if not played.is_good:
        raise SystemExit(Exit.FAILED)


def _complaints(played: Played) -> list[str]:
    broken = [f"broken: {violation}" for violation in played.outcome.violations]
    if not broken and not played.outcome.settled:
        broken = ["broken: it does not come to rest"]
    return [*broken, *(f"not met: {words}" for words in played.unmet)]


def keep_smallest(seed: int, task: Task, directory: Path) -> None:
    """Cut a seed down to what breaks its promise, and write that as a scenario."""
    script = draw_script(seed, nodes=task.nodes, spec=task.spec, steps=task.steps)
    click.echo(f"\nseed {seed} is cut down to what matters ...", err=True)
    smallest = shrink(script, is_calm=is_calm(seed), tell=_show_progress)
    if smallest is None:
        click.echo(f"its script of {len(script.faults)} faults breaks nothing by itself", err=True)
        return
    scenario = Scenario(script=smallest, is_calm=is_calm(seed))
    promise = promise_of(play(smallest, is_calm_from_first_fault=scenario.is_calm))
    readme = f"What is left of seed {seed}.\n{promise} is broken; it must not be.\n"
    try:
        save_scenario(scenario, directory, readme)
    except OSError as error:
        click.echo(f"cannot write into {directory}: {error.strerror}", err=True)
        return
    faults, whole = len(smallest.faults), len(script.faults)
    click.echo(f"{faults} of {whole} faults are left, in {directory}", err=True)
    click.echo(f"  play it with: rgmgr sim {directory}", err=True)


def _show_progress(words: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{words}", nl=False, err=True)
