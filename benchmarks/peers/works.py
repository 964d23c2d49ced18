# SPDX-License-Identifier: Apache-2.0
"""The work, one function each: a beginning, an end, both from events, in milliseconds.

A work is done by one contestant and gives its samples by name. All but the first find the cluster
as the one before has left it: every service runs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks.peers.contestants import Contestant, Homes, Rgmgr
from benchmarks.peers.stage import DEADLINE_S, US_PER_MS, Stage, now_us, unit_of
from rgmgr.lab.errors import LabError

Samples = dict[str, float]
Work = Callable[[Stage, Contestant, Homes], Samples]
VICTIM = "node1"
IDLE_S = 20.0
CALM_S = 5.0
"""What is left of the start is not idleness."""
TIMES = 3
STATUSES = 5
START_S = 240.0
TIME_IT = """
import subprocess, sys, time
for _ in range({count}):
    began = time.monotonic_ns()
    subprocess.run({argv!r}, check=True, stdout=subprocess.DEVNULL)
    print((time.monotonic_ns() - began) / 1e6)
"""


def units(homes: Homes) -> list[str]:
    """Return the units of these services."""
    return [unit_of(number) for number in homes]


def cold_start(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Start the daemons of all nodes; everything runs."""
    who.prepare(stage, homes)
    began = now_us()
    who.start(stage)
    if not homes:
        stage.await_online(who.status_command())
        return {}
    stage.await_running(units(homes), START_S)
    last = max(moment.at_us for moment in stage.starts(began, units(homes)).values())
    first = stage.first_starting(began)
    return {
        "daemons started to the first unit's start": _ms(began, first),
        "first unit's start to the last up": _ms(first, last),
        "daemons started to the last up": _ms(began, last),
    }


def adoption(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Start the daemons where everything runs already: to start very much would take too long."""
    shares = {
        node: [unit_of(n) for n, home in homes.items() if home == node] for node in stage.nodes
    }
    stage.shells({node: f"systemctl start {' '.join(units)}" for node, units in shares.items()})
    who.prepare(stage, homes)
    began = now_us()
    who.start(stage)
    stage.await_started(who.status_command(), len(homes), START_S)
    return {"daemons started to all found": _ms(began, now_us())}


def kill_unit(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Kill the processes of one unit after another; it runs again."""
    del who
    taken = []
    for unit in units(homes)[:TIMES]:
        began = stage.kill_unit(_place(stage, unit), unit)
        taken.append(_ms(began, stage.starts(began, [unit])[unit].at_us))
    return {"killed to running again": statistics.median(taken)}


def move(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Move one service after another to the next node."""
    ordered, away = [], []
    for number in [*homes][:TIMES]:
        unit = unit_of(number)
        here = _place(stage, unit)
        target = stage.nodes[(stage.nodes.index(here) + 1) % len(stage.nodes)]
        began = now_us()
        who.move(stage, number, target)
        again = stage.starts(began, [unit])[unit]
        ordered.append(_ms(began, again.at_us))
        away.append(_ms(stage.stopping(began, unit), again.at_us))
    return {
        "command given to running there": statistics.median(ordered),
        "its stop begun to running there": statistics.median(away),
    }


def power_cut(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Cut the power of a node that has a third of the services."""
    lost = stage.running(VICTIM)
    survivors = [node for node in stage.nodes if node != VICTIM]
    began = now_us()
    stage.lab.kill(VICTIM)
    stage.await_running(units(homes))
    at_us = [moment.at_us for moment in stage.starts(began, lost).values()]
    ring = stage.ring_formed(began, survivors)
    taken = {
        "services lost": float(len(lost)),
        "cut to corosync's new ring": _ms(began, ring),
        "cut to the first up": _ms(began, min(at_us)),
        "cut to the last up": _ms(began, max(at_us)),
        "new ring to the last up": _ms(ring, max(at_us)),
        "first unit's start to the last up": _ms(stage.first_starting(began), max(at_us)),
    }
    if isinstance(who, Rgmgr):
        agreed = stage.event(began, "epoch.installed")
        taken["new ring to the epoch agreed"] = _ms(ring, agreed)
    if isinstance(who, Rgmgr) and who.is_fencing:
        asked = stage.event(began, "fence.requested")
        taken["fencing"] = _ms(asked, stage.event(began, "fence.succeeded"))
    return taken


def drain(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Have everything leave a node."""
    del homes
    on_it = stage.running(VICTIM)
    began = now_us()
    who.drain(stage, VICTIM)
    _await_left(stage, on_it)
    at_us = [moment.at_us for moment in stage.starts(began, on_it).values()]
    return {
        "services on the node": float(len(on_it)),
        "command given to the first up elsewhere": _ms(began, min(at_us)),
        "command given to the last up elsewhere": _ms(began, max(at_us)),
    }


def idle(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Leave everything alone and look what it costs on the busiest node."""
    del homes
    who.settle(stage)
    time.sleep(CALM_S)
    before = {node: stage.usage(node, who.unit) for node in stage.nodes}
    began = now_us()
    time.sleep(IDLE_S)
    spent_us = now_us() - began
    after = {node: stage.usage(node, who.unit) for node in stage.nodes}
    cpu_us = max(after[node].cpu_us - before[node].cpu_us for node in stage.nodes)
    switches = max(after[node].switches - before[node].switches for node in stage.nodes)
    return {
        "percent of a core": 100 * cpu_us / spent_us,
        "memory, MB": max(usage.memory_kib for usage in after.values()) / 1024,
        "wakeups per second": switches / (spent_us / 1e6),
    }


def status(stage: Stage, who: Contestant, homes: Homes) -> Samples:
    """Ask for the state of the cluster."""
    del homes
    script = TIME_IT.format(count=STATUSES, argv=who.status_command())
    said = stage.run(stage.nodes[0], "python3", "-c", script)
    return {"command to answer": statistics.median(map(float, said.split()))}


WORKS: Mapping[str, Work] = {
    "cold-start": cold_start,
    "adoption": adoption,
    "status": status,
    "kill-unit": kill_unit,
    "move": move,
    "power-cut": power_cut,
    "drain": drain,
    "idle": idle,
}


def _place(stage: Stage, unit: str) -> str:
    for node, running in stage.placed().items():
        if unit in running:
            return node
    raise LabError(f"{unit} runs nowhere")


def _await_left(stage: Stage, left: frozenset[str]) -> None:
    """Wait until none of these is on the node any more, and all run elsewhere."""
    deadline = time.monotonic() + DEADLINE_S
    while stage.running(VICTIM) & left and time.monotonic() < deadline:
        time.sleep(0.05)
    stage.await_running(left, DEADLINE_S)


def _ms(began_us: int, ended_us: int) -> float:
    return (ended_us - began_us) / US_PER_MS
