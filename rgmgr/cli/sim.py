# SPDX-License-Identifier: Apache-2.0
"""`rgmgr sim`: run simulated clusters from seeds and tell what broke.

Owns the options, the progress and the summary; running many at once is `hunt`'s.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from rgmgr.cli.exits import Exit
from rgmgr.cli.hunt import Result, Task, hunt, processors, workers_for
from rgmgr.cli.scenario import keep_smallest, tell_scenario
from rgmgr.config.load import load
from rgmgr.errors import ConfigError
from rgmgr.sim.run import simulate
from rgmgr.sim.trace import told

SCHEMA_VERSION = 1
SEEDS_DEFAULT = 200
HOUR_MS = 3_600_000


@dataclass(slots=True, kw_only=True)
class Tally:
    """What the seeds that have been run amount to."""

    first: int
    workers: int
    began_s: float
    seeds: int = 0
    faults: int = 0
    events: int = 0
    simulated_ms: int = 0
    broken: list[Result] = field(default_factory=list)
    is_interrupted: bool = False

    def add(self, result: Result) -> None:
        """Count one more."""
        self.seeds += 1
        self.faults += result.faults
        self.events += result.stats.calls
        self.simulated_ms += result.stats.simulated_ms
        if not result.is_good:
            self.broken.append(result)

    @property
    def wall_ms(self) -> int:
        """How long it has taken so far."""
        return round((time.monotonic() - self.began_s) * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line says."""

    cluster_toml: Path | None
    seed: int | None
    seeds: int | None
    first: int
    minutes: float | None
    nodes: int | None
    steps: int | None
    jobs: int | None
    is_told: bool
    as_json: bool
    shrink: Path | None
    is_left_whole: bool

    @property
    def scenario(self) -> Path | None:
        """The directory of a scenario, if that is what is to be played."""
        path = self.cluster_toml
        return path if path is not None and path.is_dir() else None

    def refuse_nonsense(self) -> None:
        """End the command when two options cannot both be meant."""
        if self.scenario is not None:
            of_seeds = (self.seed, self.seeds, self.minutes, self.nodes, self.steps, self.shrink)
            if of_seeds != (None,) * len(of_seeds) or self.as_json:
                raise click.UsageError("a scenario is played as it is: give it nothing but --trace")
            return
        if self.is_left_whole and self.shrink is not None:
            raise click.UsageError("--shrink and --no-shrink contradict each other")
        if self.is_told and self.seed is None:
            raise click.UsageError("--trace tells the story of one seed: name it with --seed")
        if self.seed is not None and (self.seeds is not None or self.minutes is not None):
            raise click.UsageError("--seed runs one seed: leave out --seeds and --minutes")
        if self.cluster_toml is not None and self.nodes is not None:
            raise click.UsageError("--nodes draws a cluster, but CLUSTER_TOML names one already")

    def how_many(self) -> int | None:
        """Return the number of seeds; None: as many as the time allows."""
        if self.seed is not None:
            return 1
        return self.seeds if self.minutes is not None else self.seeds or SEEDS_DEFAULT

    def replay(self, seed: int) -> str:
        """Return the command that tells the story of one seed."""
        words = ["rgmgr sim", *([str(self.cluster_toml)] if self.cluster_toml else [])]
        words.append(f"--seed {seed}")
        words += [f"--nodes {self.nodes}"] if self.nodes else []
        words += [f"--steps {self.steps}"] if self.steps is not None else []
        return " ".join((*words, "--trace"))

    def shrink_into(self, seed: int) -> Path | None:
        """Return where the scenario goes that is left of a broken seed; None: nowhere."""
        if self.is_left_whole or (self.seed is not None and self.shrink is None):
            return None
        return self.shrink or Path(f"rgmgr-sim-{seed}")


@click.command("sim")
@click.argument(
    "cluster_toml",
    metavar="[CLUSTER_TOML|SCENARIO]",
    required=False,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--seed", type=click.IntRange(min=0), help="Run this one seed.")
@click.option(
    "--seeds", type=click.IntRange(min=1), help=f"Run so many seeds. [default: {SEEDS_DEFAULT}]"
)
@click.option(
    "--first", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="Begin no seed after this time."
)
@click.option("--nodes", type=click.IntRange(min=2, max=16), help="Cluster size; default: drawn.")
@click.option("--steps", type=click.IntRange(min=0), help="Number of faults; default: drawn.")
@click.option(
    "--jobs", type=click.IntRange(min=1), help="Processes at work; default: one per processor."
)
@click.option("--trace", "is_told", is_flag=True, help="Tell the whole story of the one seed.")
@click.option(
    "--json", "as_json", is_flag=True, help=f"Print the summary as JSON (schema {SCHEMA_VERSION})."
)
@click.option(
    "--shrink",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write what matters of the first broken seed there. [default: rgmgr-sim-SEED]",
)
@click.option("--no-shrink", "is_left_whole", is_flag=True, help="Do not look for what matters.")
def sim(**options: Any) -> None:
    """Run whole clusters with the real decision core on simulated everything else.

    Each seed is one cluster, its troubles and their outcome; the same seed always tells the same
    story. With CLUSTER_TOML it is always that cluster, and only the troubles are drawn. SCENARIO is
    a directory with a script, which is played and told. Exits with 1 when a promise was broken,
    with 78 when the configuration or the script has problems.
    """
    wish = Wish(**options)
    wish.refuse_nonsense()
    if wish.scenario is not None:
        tell_scenario(wish.scenario, is_whole=wish.is_told)
        return
    task = _task(wish)
    seeds = wish.how_many()
    workers = workers_for(seeds, wish.jobs or processors())
    tally = Tally(first=wish.first, workers=workers, began_s=time.monotonic())
    if wish.seed is not None:
        tally.first = wish.seed
        if wish.is_told:
            _tell(wish.seed, task)
    _run(tally, task, seeds, wish)
    broken = tally.broken[0].seed if tally.broken else None
    if broken is not None and not tally.is_interrupted and (place := wish.shrink_into(broken)):
        with suppress(KeyboardInterrupt):
            keep_smallest(broken, task, place)
    _sum_up(tally, as_json=wish.as_json)


def _task(wish: Wish) -> Task:
    """Return what to run; a configuration with problems ends the command."""
    if wish.cluster_toml is None:
        return Task(nodes=wish.nodes, steps=wish.steps)
    try:
        spec = load(wish.cluster_toml, node_ids=None)
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(Exit.CONFIG) from None
    if not spec.services:
        click.echo(f"{wish.cluster_toml}: there is no service to run; add a [[service]]", err=True)
        raise SystemExit(Exit.CONFIG)
    return Task(steps=wish.steps, spec=spec)


def _run(tally: Tally, task: Task, seeds: int | None, wish: Wish) -> None:
    minutes = wish.minutes or 0
    end_s = tally.began_s + minutes * 60 if minutes else None
    numbers = itertools.islice(itertools.count(tally.first), seeds)
    length = seeds or round(minutes * 60)
    with (
        closing(hunt(_in_time(numbers, end_s), task, tally.workers)) as results,
        click.progressbar(
            length=length,
            label="seeds" if seeds is not None else "seconds",
            show_pos=True,
            file=sys.stderr,
            hidden=seeds == 1 or not sys.stderr.isatty(),
        ) as bar,
    ):
        try:
            for result in results:
                tally.add(result)
                bar.update(1 if seeds is not None else tally.wall_ms // 1000 - bar.pos)
                if not result.is_good:
                    _complain(result, wish.replay(result.seed))
        except KeyboardInterrupt:
            tally.is_interrupted = True


def _in_time(seeds: Iterator[int], end_s: float | None) -> Iterator[int]:
    return itertools.takewhile(lambda _seed: end_s is None or time.monotonic() < end_s, seeds)


def _tell(seed: int, task: Task) -> None:
    outcome = simulate(seed=seed, nodes=task.nodes, spec=task.spec, steps=task.steps)
    for line in told(outcome.trace, outcome.script.spec):
        click.echo(line)


def _complain(result: Result, replay: str) -> None:
    click.echo(f"\nseed {result.seed}:", err=True)
    for violation in result.violations:
        click.echo(f"  {violation}", err=True)
    click.echo(f"  replay with: {replay}", err=True)


def _sum_up(tally: Tally, *, as_json: bool) -> None:
    click.echo(json.dumps(_as_data(tally), indent=2) if as_json else _in_words(tally))
    if tally.broken:
        raise SystemExit(Exit.FAILED)
    if tally.is_interrupted:
        raise SystemExit(Exit.INTERRUPTED)


def _in_words(tally: Tally) -> str:
    hours = tally.simulated_ms / HOUR_MS
    verdict = f"{len(tally.broken)} broken" if tally.broken else "every promise kept"
    amount = f"{tally.seeds} seeds, {tally.faults} faults, {tally.events} events"
    time_words = f"{hours:.1f} hours simulated in {tally.wall_ms / 1000:.1f} s"
    end = "interrupted: " if tally.is_interrupted else ""
    return f"{end}{amount}, {time_words} ({tally.workers} at work): {verdict}"


def _as_data(tally: Tally) -> dict[str, object]:
    return {
        "schema": SCHEMA_VERSION,
        "first": tally.first,
        "seeds": tally.seeds,
        "faults": tally.faults,
        "events": tally.events,
        "simulated_ms": tally.simulated_ms,
        "wall_ms": tally.wall_ms,
        "workers": tally.workers,
        "is_interrupted": tally.is_interrupted,
        "broken": [{"seed": r.seed, "violations": list(r.violations)} for r in tally.broken],
    }
