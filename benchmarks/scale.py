# SPDX-License-Identifier: Apache-2.0
"""How time, messages and memory grow with nodes and services: `make bench-scale`.

The real core in simulated clusters: all services start, then two nodes lose their power at once
(one of three), everything is back and the nodes as well. Measured is what one daemon spends in the
core (its own processor time), what all of them send, the longest that any one event took, and how
large the state of that daemon is. What systemd, D-Bus and corosync cost is not in it.

The members do the same with the same: one of them does it by itself and is measured, and the others
share what the first of them has found. Judges look at the end only: no service was ever active
twice, each runs on the node that the records name, and all members agree. Plots go to
docs/benchmarks/.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.peers.contestants import Rgmgr
from benchmarks.plot import Line, plot
from domains.model import NodeId, ServiceName
from rgmgr.config.load import loads
from rgmgr.core import operations, sync
from rgmgr.core.actions import Action, Multicast
from rgmgr.core.digest import digest
from rgmgr.core.events import Event
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import State, Step
from rgmgr.core.machine import begin, step
from rgmgr.core.membership import begun
from rgmgr.core.messages import AnyRequest, Install, Operation
from rgmgr.core.model import ClusterState, NodeStatus, ServiceState
from rgmgr.core.spec import ClusterSpec
from rgmgr.lab.layout import NodePlan
from rgmgr.sim import host
from rgmgr.sim.faults import Script
from rgmgr.sim.systemd import Unit
from rgmgr.sim.world import World

NODES_FOR_SERVICES, SERVICES_FOR_NODES = 3, 100
SERVICES = (10, 100, 300, 1000, 3000)
NODES = (3, 8, 16, 32, 64)
BIG = ((16, 1000), (64, 1000), (64, 10_000))
"""Measured, but not drawn: nodes and services."""
SEED, LOOK_MS, LATE_MS = 1, 500, 300_000
FEW = 5
"""Of so many nodes two can be lost and the rest has quorum."""
SHARED_MAX = 4_096
APPLY = operations.applied
Applied = tuple[Ledger, operations.Ruling | None]
HEADS = (
    "nodes",
    "services",
    "core of one, ms",
    "longest event, ms",
    "messages",
    "state, KiB",
    "all up after, s",
    "all back after, s",
    "simulated in, s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one cluster came to."""

    nodes: int
    services: int
    cpu_ms: float  # of one daemon: all starts, the loss of nodes, and their return
    longest_ms: float  # one event
    messages: int  # of all daemons
    state_kib: int  # of one daemon
    start_s: float  # simulated: from the first boot on
    back_s: float  # simulated: from the power cut on
    took_s: float  # processor time of the simulation
    is_good: bool


class Meter:
    """Stands where the simulator calls the core; measures one daemon, the last node's."""

    def __init__(self, measured: NodeId) -> None:
        self.cpu_s = 0.0
        self.longest_s = 0.0
        self.messages = 0
        self.state: State | None = None
        self._measured = measured
        self._first: ClusterState | None = None
        self._is_measured = False
        self._applied: dict[tuple[int, int], tuple[ClusterState, object, Applied]] = {}
        self._begun: dict[int, tuple[Install, Ledger]] = {}

    def step(self, state: State, event: Event, now_ms: int) -> Step:
        """Call the core, and note what it cost."""
        self._is_measured = state.local.me == self._measured
        began_s = time.process_time()
        outcome = step(state, event, now_ms)
        if self._is_measured:
            took_s = time.process_time() - began_s
            self.cpu_s += took_s
            self.longest_s = max(self.longest_s, took_s)
            self.state = outcome.state
        self.messages += sum(isinstance(action, Multicast) for action in outcome.actions)
        return outcome

    def begin(self, *, saved: ClusterState | None, **facts: Any) -> State:
        """Begin a daemon; likewise, where no disk has anything."""
        state = begin(saved=saved, **facts)
        if saved is not None or facts["me"] == self._measured:
            return state
        self._first = self._first or state.cluster
        return replace(state, cluster=self._first)

    def applied(self, cluster: ClusterState, sender: NodeId, operation: Operation) -> Applied:
        """Apply an operation; all but the measured daemon share what comes of it."""
        if self._is_measured:
            return APPLY(cluster, sender, operation)
        known = self._applied.get((id(cluster), id(operation)))
        if known is None:
            known = (cluster, operation, APPLY(cluster, sender, operation))
            self._applied[id(cluster), id(operation)] = known
            while len(self._applied) > SHARED_MAX:
                del self._applied[next(iter(self._applied))]
        return known[2]

    def begun(self, base: ClusterState, message: Install) -> Ledger:
        """Begin an epoch; likewise: the digest in the message says that all build on the same."""
        if self._is_measured:
            return begun(base, message)
        known = self._begun.get(id(message))
        if known is None:
            known = self._begun[id(message)] = (message, begun(base, message))
        return known[1]


class Plain:
    """Nobody looks over the shoulders of the daemons; only what is active twice is noted."""

    def __init__(self) -> None:
        self.active: dict[ServiceName, set[NodeId]] = {}
        self.is_good = True

    def changed(self, node: NodeId, unit: Unit, _words: str) -> None:
        """A unit has changed; each service is one unit here."""
        where = self.active.setdefault(unit.service, set())
        (where.add if unit.is_active else where.discard)(node)
        self.is_good &= len(where) <= 1

    def began(self, host: host.Host) -> None:
        """See `Observer`."""

    def stepped(self, host: host.Host, event: Event, before: State) -> None:
        """See `Observer`."""

    def acts(self, host: host.Host, action: Action) -> None:
        """See `Observer`."""

    def asked(self, host: host.Host, request: AnyRequest) -> None:
        """See `Observer`."""

    def ended(self, host: host.Host, daemon: host.Daemon, reason: str) -> None:
        """See `Observer`."""


def main() -> int:
    """Measure every size, print a line for each, and draw."""
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--services", type=int, nargs="*", default=SERVICES)
    parser.add_argument("--nodes", type=int, nargs="*", default=NODES)
    parser.add_argument("--big", type=int, nargs=2, action="append", metavar=("NODES", "SERVICES"))
    parser.add_argument("--plots", type=Path, help="folder; left out: only told")
    options = parser.parse_args()
    print(f"| {' | '.join(HEADS)} |")
    print("|--:" * len(HEADS) + "|")
    by_services = [_told(measure(NODES_FOR_SERVICES, count)) for count in options.services]
    by_nodes = [_told(measure(count, SERVICES_FOR_NODES)) for count in options.nodes]
    big = [_told(measure(nodes, services)) for nodes, services in options.big or BIG]
    sizes = (*by_services, *by_nodes, *big)
    if options.plots:
        options.plots.mkdir(parents=True, exist_ok=True)
        _draw(options.plots, "services", [size.services for size in by_services], by_services)
        _draw(options.plots, "nodes", [size.nodes for size in by_nodes], by_nodes)
        kept = json.dumps({"schema": 2, "sizes": [asdict(size) for size in sizes]}, indent=1)
        (options.plots / "scale.json").write_text(f"{kept}\n", encoding="utf-8")
    return 0 if all(size.is_good for size in sizes) else 1


def measure(nodes: int, services: int) -> Size:
    """Let one cluster start everything, lose nodes, and have all back."""
    spec = configuration(nodes, services)
    meter, plain = Meter(NodeId(nodes)), Plain()
    gc.collect()
    gc.freeze()
    began_s = time.process_time()
    with _put_between(meter):
        world = _world(Script(seed=SEED, spec=spec, faults=()), plain)
        is_up = _await(world, lambda: _all_run(world, plain))
        start_ms = cut_ms = world.engine.now_ms
        for victim in [*world.hosts][: 2 if nodes >= FEW else 1]:
            world.hosts[victim].switch_off()
        is_back = is_up and _await(world, lambda: _all_run(world, plain))
        back_ms = world.engine.now_ms - cut_ms
        is_whole = is_back and _await(world, lambda: _is_whole(world))
    gc.unfreeze()
    return Size(
        nodes=nodes,
        services=services,
        cpu_ms=1000 * meter.cpu_s,
        longest_ms=1000 * meter.longest_s,
        messages=meter.messages,
        state_kib=sum(sys.getsizeof(part) for part in _parts(meter.state)) // 1024,
        start_s=start_ms / 1000,
        back_s=back_ms / 1000,
        took_s=time.process_time() - began_s,
        is_good=plain.is_good and is_whole and _all_run(world, plain),
    )


def configuration(nodes: int, services: int) -> ClusterSpec:
    """Return that of a cluster whose services may run anywhere."""
    planned = tuple(NodePlan(number) for number in range(1, nodes + 1))
    homes = dict.fromkeys(range(1, services + 1), "")
    text = Rgmgr(is_fencing=True).cluster_toml(planned, homes)
    ids = {node.name: NodeId(node.number) for node in planned}
    return loads(text, source="the benchmark's cluster.toml", node_ids=ids)


@contextmanager
def _put_between(meter: Meter) -> Iterator[None]:
    """Let the meter stand where the core is called, and where it does what all members do alike."""
    host.step, host.begin = meter.step, meter.begin  # type: ignore[attr-defined]
    operations.applied, sync.begun = meter.applied, meter.begun  # type: ignore[attr-defined]
    try:
        yield
    finally:
        host.step, host.begin = step, begin  # type: ignore[attr-defined]
        operations.applied, sync.begun = APPLY, begun  # type: ignore[attr-defined]


def _world(script: Script, plain: Plain) -> World:
    """Return a world whose judges do not look: at each event they go through all services."""
    world = World(script)
    for each in world.hosts.values():
        each._observer = plain  # noqa: SLF001  # the judges' place, which only a world gives
        each.systemd.changed = plain.changed
    return world


def _await(world: World, is_so: Callable[[], bool]) -> bool:
    """Let time go by until something is so; False: it never came to that."""
    until_ms = world.engine.now_ms + LATE_MS
    while world.engine.now_ms < until_ms:
        world.engine.run_until(world.engine.now_ms + LOOK_MS)
        if is_so():
            return True
    return False


def _all_run(world: World, plain: Plain) -> bool:
    """Tell whether each service runs once, where all daemons say, and all say the same."""
    states = [each.daemon.state for each in world.hosts.values() if each.daemon is not None]
    clusters = [state.cluster for state in states]
    return (
        bool(states)
        and all(state.local.is_installed for state in states)
        and len({(cluster.epoch, cluster.applied) for cluster in clusters}) == 1
        and all(
            service.state is ServiceState.STARTED and plain.active.get(name) == {service.owner}
            for name, service in clusters[0].services.items()
        )
        and len({digest(cluster) for cluster in clusters}) == 1
    )


def _is_whole(world: World) -> bool:
    """Tell whether every node is back, on all of them."""
    daemons = [each.daemon for each in world.hosts.values()]
    return all(
        daemon is not None
        and daemon.state.local.is_installed
        and all(n.status is NodeStatus.ONLINE for n in daemon.state.cluster.nodes.values())
        for daemon in daemons
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
    cells = (
        f"{size.nodes}",
        f"{size.services:,}",
        f"{size.cpu_ms:,.0f}",
        f"{size.longest_ms:,.0f}",
        f"{size.messages:,}",
        f"{size.state_kib:,}",
        f"{size.start_s:.1f}",
        f"{size.back_s:.1f}",
        f"{size.took_s:.0f}",
    )
    verdict = "" if size.is_good else " not all is well at the end"
    print(f"| {' | '.join(cells)} |{verdict}", flush=True)
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
