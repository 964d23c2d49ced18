# SPDX-License-Identifier: Apache-2.0
"""How fast the simulator is: `make bench-sim`.

Two figures: seeds per second as `rgmgr sim` draws them, and long histories, each of a cluster of 5
nodes and 20 services with 300 faults and requests. All processors work, as they do in a hunt.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import dataclass, replace

from domains.model import ServiceName
from rgmgr.cli.hunt import Task, collect_seldom, hunt, processors
from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.draw import draw_script, draw_spec
from rgmgr.sim.engine import dice
from rgmgr.sim.run import play

NODES, SERVICES, FAULTS = 5, 20, 300
HISTORIES_MEANT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What one long history amounted to."""

    seed: int
    cpu_s: float
    events: int
    simulated_ms: int
    violations: tuple[str, ...]


def main() -> int:
    """Measure both and print a line for each; 1 when a promise was broken on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400, help="seeds as drawn")
    parser.add_argument("--histories", type=int, default=20, help="long histories")
    parser.add_argument("--jobs", type=int, default=processors(), help="processes")
    options = parser.parse_args()
    is_good = _measure_seeds(options.seeds, options.jobs)
    return 0 if _measure_histories(options.histories, options.jobs) and is_good else 1


def _measure_seeds(count: int, jobs: int) -> bool:
    began_s = time.monotonic()
    results = list(hunt(range(count), Task(), jobs))
    wall_s = time.monotonic() - began_s
    events = sum(result.stats.calls for result in results)
    print(
        f"seeds: {count} in {wall_s:.1f} s on {jobs} processors, {count / wall_s:.1f} per second,"
        f" {events / count:.0f} events each"
    )
    broken = [result for result in results if not result.is_good]
    for result in broken:
        print(f"  seed {result.seed}: {'; '.join(result.violations)}")
    return not broken


def _measure_histories(count: int, jobs: int) -> bool:
    began_s = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(jobs, collect_seldom) as pool:
        histories = pool.map(_run_history, range(count), chunksize=1)
    wall_s = time.monotonic() - began_s
    cpu_s = sum(history.cpu_s for history in histories) / count
    events = sum(history.events for history in histories) / count
    simulated_s = sum(history.simulated_ms for history in histories) / count / 1000
    print(
        f"histories ({NODES} nodes, {SERVICES} services, {FAULTS} faults and requests): {count} in"
        f" {wall_s:.1f} s on {jobs} processors, {cpu_s:.2f} s of one each, {events:.0f} events and"
        f" {simulated_s:.0f} simulated seconds each;"
        f" {HISTORIES_MEANT} take {wall_s / count * HISTORIES_MEANT / 60:.1f} minutes"
    )
    broken = [history for history in histories if history.violations]
    for history in broken:
        print(f"  history {history.seed}: {'; '.join(history.violations)}")
    return not broken


def _run_history(seed: int) -> History:
    script = draw_script(seed, spec=big_cluster(seed), steps=FAULTS)  # a step is a fault or more
    script = replace(script, faults=script.faults[:FAULTS])
    began_s = time.process_time()
    outcome = play(script)
    return History(
        seed=seed,
        cpu_s=time.process_time() - began_s,
        events=outcome.stats.calls,
        simulated_ms=outcome.stats.simulated_ms,
        violations=outcome.violations,
    )


def big_cluster(seed: int) -> ClusterSpec:
    """Draw clusters until there are services enough, and give each its own name."""
    rolls = dice(seed, "benchmark")
    spec = draw_spec(rolls, NODES)
    services = list(spec.services)
    while len(services) < SERVICES:
        services += draw_spec(rolls, NODES).services
    named = [
        replace(service, name=ServiceName(f"service{number}"))
        for number, service in enumerate(services[:SERVICES], start=1)
    ]
    return replace(spec, services=tuple(named))


if __name__ == "__main__":
    raise SystemExit(main())
