# SPDX-License-Identifier: Apache-2.0
"""The command `rgmgr sim`: run simulated clusters from seeds and tell what broke."""

from __future__ import annotations

from contextlib import nullcontext

import click

from rgmgr.sim.run import Outcome, simulate
from rgmgr.sim.trace import told


@click.command("sim")
@click.option("--seed", type=click.IntRange(min=0), help="Run this one seed.")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=200, show_default=True, help="Run so many seeds."
)
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them."
)
@click.option("--nodes", type=click.IntRange(min=2, max=16), help="Cluster size; default: drawn.")
@click.option("--steps", type=click.IntRange(min=0), help="Number of faults; default: drawn.")
@click.option("--trace", "is_told", is_flag=True, help="Tell the whole story of the seed.")
def sim(
    *,
    seed: int | None,
    seeds: int,
    first: int,
    nodes: int | None,
    steps: int | None,
    is_told: bool,
) -> None:
    """Run whole clusters with the real decision core on simulated everything else.

    Each seed is one cluster, its troubles and their outcome; the same seed always tells the same
    story. Exits with 1 when a promise was broken.
    """
    chosen = [seed] if seed is not None else range(first, first + seeds)
    extra = (f" --nodes {nodes}" if nodes else "") + (
        f" --steps {steps}" if steps is not None else ""
    )
    broken = 0
    simulated_ms = faults = 0
    progress = nullcontext(chosen) if seed is not None else click.progressbar(chosen, label="seeds")
    with progress as bar:
        for number in bar:
            outcome = simulate(seed=number, nodes=nodes, steps=steps)
            simulated_ms += outcome.stats.simulated_ms
            faults += len(outcome.script.faults)
            if is_told:
                _tell(outcome)
            if not outcome.is_good:
                broken += 1
                _complain(outcome, number, extra)
    click.echo(
        f"{len(chosen)} seeds, {faults} faults, {simulated_ms / 3_600_000:.1f} hours simulated: "
        + (f"{broken} broken" if broken else "every promise kept")
    )
    if broken:
        raise SystemExit(1)


def _tell(outcome: Outcome) -> None:
    for line in told(outcome.trace, outcome.script.spec):
        click.echo(line)


def _complain(outcome: Outcome, seed: int, extra: str) -> None:
    click.echo(f"\nseed {seed}:", err=True)
    for violation in outcome.violations or ("did not come to rest",):
        click.echo(f"  {violation}", err=True)
    click.echo(f"  replay with: rgmgr sim --seed {seed}{extra} --trace", err=True)
