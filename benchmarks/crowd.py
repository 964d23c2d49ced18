# SPDX-License-Identifier: Apache-2.0
"""Many real nodes on one machine: `make bench-crowd`.

All services start, nothing happens for a while, then two nodes lose their power at once. Each size
is a lab of its own, and has its time: one that this machine cannot carry is ended when that is up,
and told as such with the figures that it came to, which are written as they come. All nodes share
the processors of one machine: on a machine for each, all but the memory would be better.

corosync runs without its real-time priority here. With it, sixteen on two processors leave nothing
for the nodes that still boot; and it gets more time to find a node silent, for all wait in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from benchmarks.peers import layer
from benchmarks.peers.contestants import Rgmgr
from benchmarks.peers.report import number, replace_between, table
from benchmarks.peers.stage import US_PER_MS, Stage, now_us
from benchmarks.peers.works import units
from rgmgr.lab import render
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import NodePlan, plan

SIZES = ((16, 1000), (32, 320))
LOST = 2
START_S, BACK_S, MINUTES = 240.0, 240.0, 12.0
TOKEN_EACH_MS = 250  # of a ring's token, for each node: all of them wait in turn
SETTLE_S, IDLE_S = 45.0, 15.0
BEGIN, END = "<!-- crowd: begin -->", "<!-- crowd: end -->"
HEADS = {
    "boot_s": "boot and quorum, s",
    "start_s": "daemons started to the last service up, s",
    "lost": "services lost with two nodes",
    "ring_s": "cut to corosync's new ring, s",
    "back_s": "cut to the last of them up, s",
    "rgmgrd_mb": "rgmgrd, MB of one node",
    "corosync_mb": "corosync, MB of one node",
    "rgmgrd_percent": "rgmgrd idle, % of a core, one node",
    "corosync_percent": "corosync idle, % of a core, one node",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What one size came to; a fault says what could not be done, and ends its figures."""

    nodes: int
    services: int
    load: float
    figures: Mapping[str, float]
    fault: str = ""


class Figures:
    """What one size has come to so far; each figure is kept, and told, as it is found."""

    def __init__(self, nodes: int, services: int, keep: Callable[[Crowd], None]) -> None:
        self.nodes, self.services = nodes, services
        self.found: dict[str, float] = {}
        self._keep = keep

    def add(self, key: str, value: float) -> None:
        """Keep a figure, one of `HEADS`."""
        self.found[key] = value
        print(f"{self.nodes} nodes: {HEADS[key]}: {number(value)}", file=sys.stderr, flush=True)
        self._keep(self.crowd("still under way"))

    def crowd(self, fault: str) -> Crowd:
        """Return all of them."""
        return Crowd(
            nodes=self.nodes,
            services=self.services,
            load=os.getloadavg()[0],
            figures=dict(self.found),
            fault=fault,
        )


def main() -> int:
    """Measure each size, print a table, and put it into the document; 1 when one was not done."""
    parser = argparse.ArgumentParser(prog="benchmarks.crowd", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("NODES", "SERVICES"))
    parser.add_argument("--json", type=Path, default=Path(".lab/crowd.json"))
    parser.add_argument("--document", type=Path)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for each size")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the lab goes, too
    found: list[Crowd] = []

    def keep(crowd: Crowd) -> None:
        known = {"schema": 1, "crowds": [asdict(each) for each in (*found, crowd)]}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(f"{json.dumps(known, indent=1)}\n", encoding="utf-8")

    for nodes, services in options.size or SIZES:
        figures = Figures(nodes, services, keep)
        fault = _measured(Lab(options.dir), figures, options.minutes)
        keep(figures.crowd(fault))
        found.append(figures.crowd(fault))
    shown = rendered(found)
    print(shown)
    if options.document:
        replace_between(options.document, BEGIN, END, shown)
    return 1 if any(crowd.fault for crowd in found) else 0


def rendered(crowds: Sequence[Crowd]) -> str:
    """Return a table in Markdown, a column for each size."""
    heads = ("", *(f"{crowd.nodes} nodes, {crowd.services:,} services" for crowd in crowds))
    rows = [
        (title, *(number(c.figures[key]) if key in c.figures else "" for c in crowds))
        for key, title in HEADS.items()
    ]
    rows.append(("load average at the end", *(number(crowd.load) for crowd in crowds)))
    faults = [f"\n**{c.nodes} nodes: not done: {c.fault}**" for c in crowds if c.fault]
    return "\n".join((*table(heads, rows), *faults))


def _measured(lab: Lab, figures: Figures, minutes: float) -> str:
    """Let one size live; return what could not be done, empty when all was."""
    try:
        with _at_most(minutes):
            _live(lab, figures)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        return f"{error} (after {', '.join(figures.found) or 'nothing'})"
    finally:
        lab.down()
    return ""


@contextmanager
def _at_most(minutes: float) -> Iterator[None]:
    """End what takes longer, wherever it is."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        raise LabError(f"not done in {minutes:g} minutes")

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _live(lab: Lab, figures: Figures) -> None:
    """Find the figures, one after the other."""
    nodes, services = figures.nodes, figures.services
    who, homes = Rgmgr(is_fencing=True), dict.fromkeys(range(1, services + 1), "")
    over = layer.ensure(lab.layout.directory, lab.layout.root, lab.progress)
    planned = plan(nodes)
    empty = Rgmgr().cluster_toml(planned, {})  # nobody is fenced while it boots
    began_s = time.monotonic()
    lab.up(nodes, empty, [over], corosync=_corosync_conf(planned))
    figures.add("boot_s", time.monotonic() - began_s)
    stage = Stage(lab)
    stage.shell(stage.nodes, "rm -f /etc/systemd/system/*.wants/rgmgrd.service")
    who.erase(stage)
    who.prepare(stage, homes)
    began = now_us()
    who.start(stage)
    stage.await_running(units(homes), START_S)
    figures.add("start_s", _seconds(began, _last_start(stage, began, units(homes))))
    _idle(stage, figures)
    victims = stage.nodes[:LOST]
    lost = [unit for victim in victims for unit in stage.running(victim)]
    figures.add("lost", len(lost))
    began = now_us()
    for victim in victims:
        lab.kill(victim)
    stage.await_running(units(homes), BACK_S)
    figures.add("ring_s", _seconds(began, stage.ring_formed(began, stage.nodes[LOST:])))
    figures.add("back_s", _seconds(began, _last_start(stage, began, lost)))


def _corosync_conf(nodes: Sequence[NodePlan]) -> str:
    text = render.corosync_conf(nodes)
    token_ms = TOKEN_EACH_MS * len(nodes)
    timers = {"token": token_ms, "consensus": token_ms * 6 // 5, "knet_ping_timeout": 2 * token_ms}
    for name, after_ms in timers.items():
        text = re.sub(rf"\b{name}: \d+", f"{name}: {after_ms}", text)
    return f"{text}system {{\n  sched_rr: no\n}}\n"


def _idle(stage: Stage, figures: Figures) -> None:
    """Look at one node that has nothing to do."""
    time.sleep(SETTLE_S)  # what is left of the start is not idleness
    node = stage.nodes[-1]
    daemons = {name: f"{name}.service" for name in ("rgmgrd", "corosync")}
    before = {name: stage.usage(node, unit) for name, unit in daemons.items()}
    began = now_us()
    time.sleep(IDLE_S)
    spent_us = now_us() - began
    for name, unit in daemons.items():
        after = stage.usage(node, unit)
        figures.add(f"{name}_percent", 100 * (after.cpu_us - before[name].cpu_us) / spent_us)
        figures.add(f"{name}_mb", after.memory_kib / 1024)


def _last_start(stage: Stage, since_us: int, wanted: Sequence[str]) -> int:
    return max(moment.at_us for moment in stage.starts(since_us, wanted).values())


def _seconds(began_us: int, ended_us: int) -> float:
    return (ended_us - began_us) / US_PER_MS / 1000


if __name__ == "__main__":
    sys.exit(main())
