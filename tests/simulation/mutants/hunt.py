# SPDX-License-Identifier: Apache-2.0
"""Running mutants against scenarios and seeds until one of them breaks a promise.

    python -m tests.simulation.mutants.hunt           # all of them, as a table
    python -m tests.simulation.mutants.hunt NAME      # these

Each runs in a process of its own, `--become` being how that is told who it is. What caught a mutant
last time is tried first, then the scenarios, then all seeds, those with the most faults first: so
a good test stays quick, and what catches it no more is replaced by what does.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.equivalent import EQUIVALENT
from tests.simulation.mutants.mutant import Mutant

ROOT = Path(__file__).parents[3]
KNOWN_FILE = Path(__file__).with_name("caught.json")
DOCUMENT = ROOT / "docs" / "simulation.md"
TABLE_HEAD = "| mutant | a core that | caught by |\n|---|---|---|"
SCENARIOS = Path(__file__).parents[1] / "scenarios"
SEEDS = (*range(300), *range(1_000, 2_000))
"""Those of `make test`."""
STORY_STEPS = 12
"""Faults of the stories by which mutants are compared with the core: many, for many troubles."""
SEED_MAX_S = 30
"""A core that never ends a seed is caught by that."""


Trial = int | str
"""A seed, or the name of a scenario."""


@dataclass(frozen=True, slots=True)
class Catch:
    """The seed or scenario that caught a mutant, which was the `tried`th, and what it broke."""

    by: Trial
    tried: int
    violation: str


def known_trials() -> dict[str, Trial]:
    """Return what caught each mutant last time."""
    found: dict[str, Trial] = json.loads(KNOWN_FILE.read_text(encoding="utf-8"))
    return found


def keep_trials(trials: dict[str, Trial]) -> None:
    """Remember what catches whom, and say it in the documentation."""
    KNOWN_FILE.write_text(json.dumps(trials, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(TABLE_HEAD)
    after = rest[rest.index("\n\n") :]
    DOCUMENT.write_text(f"{before}{table(trials)}{after}", encoding="utf-8")


def table(trials: dict[str, Trial]) -> str:
    """Return the table of the documentation: which core is caught by what."""
    rows = [
        f"| `{mutant.name}` | {mutant.breaks} | {_in_words(trials.get(mutant.name))} |"
        for mutant in MUTANTS
    ]
    return "\n".join([TABLE_HEAD, *rows])


def _in_words(trial: Trial | None) -> str:
    return f"`{trial}`" if isinstance(trial, str) else f"seed {trial}"


def hunt_all(mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Catch | None]]:
    """Hunt mutants on all processors and yield what caught each, in their order; None: nothing."""
    mutants = tuple(mutants)
    known = known_trials() if KNOWN_FILE.exists() else {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        catches = pool.map(lambda m: _hunt(m, known.get(m.name)), mutants)
        yield from zip(mutants, catches, strict=True)


def _hunt(mutant: Mutant, known: Trial | None) -> Catch | None:
    """Run one mutant in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--become", mutant.name]
    command += [] if known is None else [str(known)]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{mutant.name}: {ended.stderr}")
    found = json.loads(ended.stdout)
    return Catch(**found) if found else None


def _become(name: str, first: Iterable[Trial]) -> None:
    """Be the process of one mutant."""
    next(mutant for mutant in (*MUTANTS, *EQUIVALENT) if mutant.name == name).become()
    signal.signal(signal.SIGALRM, _too_long)
    scenarios = sorted(path.parent.name for path in SCENARIOS.glob("*/script"))
    for tried, trial in enumerate(itertools.chain(first, scenarios, _richest_first()), start=1):
        signal.alarm(SEED_MAX_S)
        broken = broken_by(trial)
        signal.alarm(0)
        if broken is not None:
            json.dump({"by": trial, "tried": tried, "violation": broken}, sys.stdout)
            return
    json.dump(None, sys.stdout)


def stories(mutant: Mutant | None, seeds: Iterable[int]) -> dict[int, str]:
    """Return the fingerprints of the stories that a mutant tells, or the core as it is."""
    name = mutant.name if mutant else ""
    command = [sys.executable, "-m", __spec__.name, "--tell", name, *map(str, seeds)]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {int(seed): told for seed, told in json.loads(ended.stdout).items()}


def _tell(name: str, seeds: Iterable[int]) -> None:
    """Be the process that tells these stories."""
    for mutant in EQUIVALENT:
        if mutant.name == name:
            mutant.become()
    from rgmgr.sim.run import simulate  # noqa: PLC0415 - not before it is a mutant

    told = {seed: simulate(seed=seed, steps=STORY_STEPS).trace.digest() for seed in seeds}
    json.dump(told, sys.stdout)


def _richest_first() -> Iterator[int]:
    from rgmgr.sim.draw import draw_script  # noqa: PLC0415 - not before it is a mutant

    richest = sorted((-len(draw_script(seed).faults), seed) for seed in SEEDS)
    return (seed for _, seed in richest)


def broken_by(trial: Trial) -> str | None:
    """Return the first promise or expectation that a seed or scenario finds broken."""
    from rgmgr.scenarios import load_scenario  # noqa: PLC0415 - not before it is a mutant
    from rgmgr.sim.run import simulate  # noqa: PLC0415 - likewise
    from rgmgr.sim.scenario import play_scenario  # noqa: PLC0415 - likewise

    if isinstance(trial, str):
        played = play_scenario(load_scenario(SCENARIOS / trial))
        found, is_good = (*played.outcome.violations, *played.unmet), played.is_good
    else:
        outcome = simulate(seed=trial)
        found, is_good = outcome.violations, outcome.is_good
    return None if is_good else next(iter(found), "did not come to rest")


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"the seed did not end within {SEED_MAX_S} s")


def main(arguments: list[str]) -> int:
    """Hunt what is named, or all; 1 when one survives."""
    if arguments[:1] == ["--become"]:
        _become(arguments[1], [int(a) if a.isdecimal() else a for a in arguments[2:]])
        return 0
    if arguments[:1] == ["--tell"]:
        _tell(arguments[1], map(int, arguments[2:]))
        return 0
    named = [mutant for mutant in (*MUTANTS, *EQUIVALENT) if mutant.name in arguments]
    chosen = named if arguments else MUTANTS
    survivors = 0
    for mutant, catch in hunt_all(chosen):
        survivors += catch is None
        words = f"{catch.by} ({catch.tried}): {catch.violation}" if catch else "SURVIVES"
        print(f"{mutant.name:28} {words}", flush=True)  # noqa: T201 - that is what it is for
    return int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
