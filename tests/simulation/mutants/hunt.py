# SPDX-License-Identifier: Apache-2.0
"""Running mutants against seeds until one breaks a promise.

    python -m tests.simulation.mutants.hunt           # all of them, as a table
    python -m tests.simulation.mutants.hunt NAME      # these

Each runs in a process of its own, `--become` being how that is told who it is. The seed that
caught a mutant last time is tried first, and then all others, those with the most faults first: so
a good test stays quick, and a seed that catches it no more is replaced by one that does.
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

from tests.simulation.mutants.catalogue import MUTANTS, SURVIVORS
from tests.simulation.mutants.mutant import Mutant

ROOT = Path(__file__).parents[3]
KNOWN_FILE = Path(__file__).with_name("caught.json")
SEEDS = (*range(300), *range(1_000, 2_000))
"""Those of `make test`."""
SEED_MAX_S = 30
"""A core that never ends a seed is caught by that."""


@dataclass(frozen=True, slots=True)
class Catch:
    """The seed that caught a mutant, which was the `tried`th, and what it broke."""

    seed: int
    tried: int
    violation: str


def known_seeds() -> dict[str, int]:
    """Return the seed that caught each mutant last time."""
    found: dict[str, int] = json.loads(KNOWN_FILE.read_text(encoding="utf-8"))
    return found


def keep_seeds(seeds: dict[str, int]) -> None:
    """Remember which seed catches whom."""
    KNOWN_FILE.write_text(json.dumps(seeds, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def hunt_all(mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, Catch | None]]:
    """Hunt mutants on all processors and yield what caught each, in their order; None: nothing."""
    mutants = tuple(mutants)
    known = known_seeds() if KNOWN_FILE.exists() else {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        catches = pool.map(lambda m: _hunt(m, known.get(m.name)), mutants)
        yield from zip(mutants, catches, strict=True)


def _hunt(mutant: Mutant, known: int | None) -> Catch | None:
    """Run one mutant in a process of its own."""
    command = [sys.executable, "-m", __spec__.name, "--become", mutant.name]
    command += [] if known is None else [str(known)]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{mutant.name}: {ended.stderr}")
    found = json.loads(ended.stdout)
    return Catch(**found) if found else None


def _become(name: str, first: Iterable[int]) -> None:
    """Be the process of one mutant."""
    next(mutant for mutant in (*MUTANTS, *SURVIVORS) if mutant.name == name).become()
    from rgmgr.sim.draw import draw_script  # noqa: PLC0415 - not before it is a mutant
    from rgmgr.sim.run import simulate  # noqa: PLC0415 - likewise

    signal.signal(signal.SIGALRM, _too_long)
    richest = ((-len(draw_script(seed).faults), seed) for seed in SEEDS)
    order = itertools.chain(first, (seed for _, seed in sorted(richest)))
    for tried, seed in enumerate(order, start=1):
        signal.alarm(SEED_MAX_S)
        outcome = simulate(seed=seed)
        signal.alarm(0)
        if not outcome.is_good:
            violation = next(iter(outcome.violations), "did not come to rest")
            json.dump({"seed": seed, "tried": tried, "violation": violation}, sys.stdout)
            return
    json.dump(None, sys.stdout)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"the seed did not end within {SEED_MAX_S} s")


def main(arguments: list[str]) -> int:
    """Hunt what is named, or all; 1 when one survives."""
    if arguments[:1] == ["--become"]:
        _become(arguments[1], map(int, arguments[2:]))
        return 0
    named = [mutant for mutant in (*MUTANTS, *SURVIVORS) if mutant.name in arguments]
    chosen = named if arguments else MUTANTS
    survivors = 0
    for mutant, catch in hunt_all(chosen):
        survivors += catch is None
        words = f"seed {catch.seed} ({catch.tried}): {catch.violation}" if catch else "SURVIVES"
        print(f"{mutant.name:28} {words}", flush=True)  # noqa: T201 - that is what it is for
    return int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
