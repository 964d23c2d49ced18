# SPDX-License-Identifier: Apache-2.0
"""The floor: systemd and the same units by hand, with nobody who decides anything.

In parallel is one `systemctl start` with all the units of a node; in sequence is one for each, the
next when the last is up. All nodes at the same time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from benchmarks.peers.contestants import Homes
from benchmarks.peers.stage import US_PER_MS, Stage, now_us
from benchmarks.peers.works import TIMES, VICTIM, Samples, units

Shares = Mapping[str, Sequence[str]]
Floor = Callable[[Stage, Homes], Samples]


def cold_start(stage: Stage, homes: Homes) -> Samples:
    """Start everything, spread over all nodes."""
    return _both(stage, _shares(stage.nodes, units(homes)))


def power_cut(stage: Stage, homes: Homes) -> Samples:
    """Start a third on the two others, which run the rest already."""
    lost = units(homes)[:: len(stage.nodes)]
    survivors = [node for node in stage.nodes if node != VICTIM]
    _start_parallel(stage, _shares(survivors, sorted({*units(homes)} - {*lost})))
    return _both(stage, _shares(survivors, lost))


def drain(stage: Stage, homes: Homes) -> Samples:
    """Stop all at once on one node, then start them on the others."""
    survivors = [node for node in stage.nodes if node != VICTIM]
    _start_parallel(stage, {VICTIM: units(homes)})
    began = now_us()
    _stop(stage, {VICTIM: units(homes)})
    stopped_ms = (now_us() - began) / US_PER_MS
    return {"in parallel": stopped_ms + _start_parallel(stage, _shares(survivors, units(homes)))}


def kill_unit(stage: Stage, homes: Homes) -> Samples:
    """Start one unit."""
    taken = [_start_parallel(stage, {VICTIM: [unit]}) for unit in units(homes)[:TIMES]]
    return {"one `systemctl start`": statistics.median(taken)}


def move(stage: Stage, homes: Homes) -> Samples:
    """Stop one unit on a node, then start it on another."""
    here, there = stage.nodes[:2]
    taken = []
    for unit in units(homes)[:TIMES]:
        _start_parallel(stage, {here: [unit]})
        began = now_us()
        stage.shell([here], f"systemctl stop {unit}")
        stage.shell([there], f"systemctl start {unit}")
        up = stage.starts(began, [unit])[unit].at_us
        taken.append((up - stage.stopping(began, unit)) / US_PER_MS)
    return {"its stop begun to running there": statistics.median(taken)}


FLOORS: Mapping[str, Floor] = {
    "cold-start": cold_start,
    "kill-unit": kill_unit,
    "move": move,
    "power-cut": power_cut,
    "drain": drain,
}


def clear(stage: Stage) -> None:
    """Stop everything."""
    stage.shell(stage.nodes, "systemctl stop 'load@*.service'")


def _both(stage: Stage, shares: Shares) -> Samples:
    parallel_ms = _start_parallel(stage, shares)
    _stop(stage, shares)
    script = "for unit in {units}; do systemctl start $unit; done"
    return {"in parallel": parallel_ms, "in sequence": _start(stage, shares, script)}


def _shares(nodes: Sequence[str], wanted: Sequence[str]) -> Shares:
    return {node: wanted[place :: len(nodes)] for place, node in enumerate(nodes)}


def _start_parallel(stage: Stage, shares: Shares) -> float:
    return _start(stage, shares, "systemctl start {units}")


def _start(stage: Stage, shares: Shares, script: str) -> float:
    """Run the script on each node at once; return how long until the last unit was up."""
    wanted = [unit for units in shares.values() for unit in units]
    began = now_us()
    stage.shells({node: script.format(units=" ".join(units)) for node, units in shares.items()})
    return (max(m.at_us for m in stage.starts(began, wanted).values()) - began) / US_PER_MS


def _stop(stage: Stage, shares: Shares) -> None:
    stage.shells({node: f"systemctl stop {' '.join(units)}" for node, units in shares.items()})
