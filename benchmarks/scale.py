# SPDX-License-Identifier: Apache-2.0
"""How time, messages and memory grow with nodes and services: `make bench-scale`.

The real core in simulated clusters: all services start, then one node loses its power. Measured is
what one daemon spends in the core (its own processor time), what all of them send, the longest that
any one event took, and how large the state of one daemon is. What systemd, D-Bus and corosync
cost is not in it. Plots go to docs/benchmarks/.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers.contestants import Rgmgr
from benchmarks.plot import Line, plot
from domains.model import NodeId
from rgmgr.config.load import loads
from rgmgr.core.actions import Multicast
from rgmgr.core.events import Event
from rgmgr.core.local import State, Step
from rgmgr.core.machine import step
from rgmgr.lab.layout import NodePlan
from rgmgr.sim import host
from rgmgr.sim.faults import PowerLoss, Script
from rgmgr.sim.run import play
from rgmgr.sim.world import World

NODES_FOR_SERVICES, SERVICES_FOR_NODES = 3, 100
SERVICES = (10, 100, 300, 1000, 3000)
NODES = (3, 8, 16, 32, 64)
BIG = ((16, 1000), (64, 1000))
"""Measured, but not drawn: nodes and services."""
CUT_MS, OFF_MS, SEED = 30_000, 30_000, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one cluster came to."""

    nodes: int
    services: int
    cpu_ms: float  # of one daemon: all starts, and the loss of one node
    longest_ms: float  # one event
    messages: int  # of all daemons
    state_kib: int  # of one daemon
    is_good: bool


class Meter:
    """Stands where the simulator calls the core."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.longest_s = 0.0
        self.messages = 0
        self.state: State | None = None

    def step(self, state: State, event: Event, now_ms: int) -> Step:
        """Call the core, and note what it cost."""
        began_s = time.process_time()
        outcome = step(state, event, now_ms)
        took_s = time.process_time() - began_s
        self.cpu_s += took_s
        self.longest_s = max(self.longest_s, took_s)
        self.messages += sum(isinstance(action, Multicast) for action in outcome.actions)
        self.state = outcome.state
        return outcome


def main() -> int:
    """Measure every size, print a line for each, and draw."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--services", type=int, nargs="+", default=SERVICES)
    parser.add_argument("--nodes", type=int, nargs="+", default=NODES)
    parser.add_argument(
        "--big", type=int, nargs=2, action="append", default=[*BIG], metavar=("NODES", "SERVICES")
    )
    parser.add_argument("--plots", type=Path, default=Path("docs/benchmarks"))
    options = parser.parse_args()
    print("| nodes | services | core of one, ms | longest event, ms | messages | state, KiB |")
    print("|--:|--:|--:|--:|--:|--:|")
    by_services = [_told(measure(NODES_FOR_SERVICES, count)) for count in options.services]
    by_nodes = [_told(measure(count, SERVICES_FOR_NODES)) for count in options.nodes]
    big = [_told(measure(nodes, services)) for nodes, services in options.big]
    options.plots.mkdir(parents=True, exist_ok=True)
    _draw(options.plots, "services", [size.services for size in by_services], by_services)
    _draw(options.plots, "nodes", [size.nodes for size in by_nodes], by_nodes)
    sizes = (*by_services, *by_nodes, *big)
    kept = {"schema": 1, "sizes": [asdict(size) for size in sizes]}
    (options.plots / "scale.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0 if all(size.is_good for size in sizes) else 1


def measure(nodes: int, services: int) -> Size:
    """Let one cluster start everything and lose a node."""
    planned = tuple(NodePlan(number) for number in range(1, nodes + 1))
    homes = dict.fromkeys(range(1, services + 1), "")
    text = Rgmgr(is_fencing=True).cluster_toml(planned, homes)
    ids = {node.name: NodeId(node.number) for node in planned}
    spec = loads(text, source="the benchmark's cluster.toml", node_ids=ids)
    fault = PowerLoss(at_ms=CUT_MS, node=NodeId(1), for_ms=OFF_MS)
    meter = Meter()

    def attach(_world: World) -> None:
        host.step = meter.step  # type: ignore[attr-defined]  # a benchmark stands between

    gc.collect()
    gc.freeze()
    try:
        outcome = play(Script(seed=SEED, spec=spec, faults=(fault,)), prepare=attach)
    finally:
        host.step = step  # type: ignore[attr-defined]
        gc.unfreeze()
    return Size(
        nodes=nodes,
        services=services,
        cpu_ms=1000 * meter.cpu_s / nodes,
        longest_ms=1000 * meter.longest_s,
        messages=meter.messages,
        state_kib=sum(sys.getsizeof(part) for part in _parts(meter.state)) // 1024,
        is_good=outcome.is_good,
    )


def _parts(value: object) -> Iterator[object]:
    """Yield everything that a value holds, once, but for classes, functions and the like."""
    seen: set[int] = set()
    pending = [value]
    while pending:
        part = pending.pop()
        is_data = not isinstance(part, type) and not callable(part)
        if id(part) not in seen and is_data:
            seen.add(id(part))
            yield part
            pending += gc.get_referents(part)


def _told(size: Size) -> Size:
    verdict = "" if size.is_good else " a promise was broken"
    cells = (size.nodes, size.services, f"{size.cpu_ms:.0f}", f"{size.longest_ms:.1f}")
    print(
        f"| {' | '.join(map(str, (*cells, size.messages, size.state_kib)))} |{verdict}", flush=True
    )
    return size


def _draw(folder: Path, axis: str, places: Sequence[int], sizes: Sequence[Size]) -> None:
    """Draw three pictures: time, messages, memory."""
    pictures = {
        "time": [
            Line("one daemon's core, ms", [size.cpu_ms for size in sizes]),
            Line("longest event, ms", [size.longest_ms for size in sizes]),
        ],
        "messages": [Line("messages of all daemons", [size.messages for size in sizes])],
        "memory": [Line("state of one daemon, KiB", [size.state_kib for size in sizes])],
    }
    for name, lines in pictures.items():
        text = plot(f"{name} by {axis}", axis, places, lines)
        (folder / f"{name}-by-{axis}.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
