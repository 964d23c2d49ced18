# SPDX-License-Identifier: Apache-2.0
"""Many real nodes on one machine: `make bench-crowd`.

All services start, nothing happens for a while, then two nodes lose their power at once. Each size
is a lab of its own; one that this machine cannot carry is told as such. All nodes share the
processors of one machine: on a machine for each, all but the memory would be better.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.peers import layer
from benchmarks.peers.contestants import Rgmgr
from benchmarks.peers.report import replace_between
from benchmarks.peers.stage import US_PER_MS, Stage, now_us
from benchmarks.peers.works import units
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan

SIZES = ((16, 1000), (32, 1000))
LOST = 2
START_S, BACK_S, IDLE_S = 180.0, 120.0, 10.0
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


def main() -> int:
    """Measure each size, print a table, and put it into the document; 1 when one was not done."""
    parser = argparse.ArgumentParser(prog="benchmarks.crowd", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("NODES", "SERVICES"))
    parser.add_argument("--json", type=Path, default=Path(".lab/crowd.json"))
    parser.add_argument("--document", type=Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the lab goes, too
    found = []
    for nodes, services in options.size or SIZES:
        found.append(_measured(Lab(options.dir), nodes, services))
        text = json.dumps({"schema": 1, "crowds": [asdict(crowd) for crowd in found]}, indent=1)
        options.json.write_text(f"{text}\n", encoding="utf-8")
    table = rendered(found)
    print(table)
    if options.document:
        replace_between(options.document, BEGIN, END, table)
    return 1 if any(crowd.fault for crowd in found) else 0


def rendered(crowds: Sequence[Crowd]) -> str:
    """Return a table in Markdown, a column for each size."""
    heads = [f"{crowd.nodes} nodes, {crowd.services:,} services" for crowd in crowds]
    lines = [f"| | {' | '.join(heads)} |", f"|---|{'--:|' * len(crowds)}"]
    for key, title in HEADS.items():
        cells = [f"{c.figures[key]:.3g}" if key in c.figures else "" for c in crowds]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    lines.append(f"| load average at the end | {' | '.join(f'{c.load:.1f}' for c in crowds)} |")
    lines += [f"\n**{c.nodes} nodes: not done: {c.fault}**" for c in crowds if c.fault]
    return "\n".join(lines)


def _measured(lab: Lab, nodes: int, services: int) -> Crowd:
    """Let one size live; what it came to before something failed is kept."""
    figures: dict[str, float] = {}
    fault = ""
    try:
        _live(lab, nodes, services, figures)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        fault = str(error)
    finally:
        lab.down()
    load = os.getloadavg()[0]
    return Crowd(nodes=nodes, services=services, load=load, figures=figures, fault=fault)


def _live(lab: Lab, nodes: int, services: int, figures: dict[str, float]) -> None:
    """Fill in the figures, one after the other."""
    who, homes = Rgmgr(is_fencing=True), dict.fromkeys(range(1, services + 1), "")
    over = layer.ensure(lab.layout.directory, lab.layout.root, lab.progress)
    began_s = time.monotonic()
    lab.up(nodes, who.cluster_toml(plan(nodes), {}), [over])
    figures["boot_s"] = time.monotonic() - began_s
    stage = Stage(lab)
    stage.shell(stage.nodes, "rm -f /etc/systemd/system/*.wants/rgmgrd.service")
    who.erase(stage)
    who.prepare(stage, homes)
    began = now_us()
    who.start(stage)
    stage.await_running(units(homes), START_S)
    figures["start_s"] = _seconds(began, _last_start(stage, began, units(homes)))
    lab.progress(f"all of {services} run")
    _idle(stage, figures)
    victims = stage.nodes[:LOST]
    lost = [unit for victim in victims for unit in stage.running(victim)]
    figures["lost"] = len(lost)
    began = now_us()
    for victim in victims:
        lab.kill(victim)
    stage.await_running(units(homes), BACK_S)
    figures["ring_s"] = _seconds(began, stage.ring_formed(began, stage.nodes[LOST:]))
    figures["back_s"] = _seconds(began, _last_start(stage, began, lost))
    lab.progress(f"{len(lost)} services of {LOST} nodes are back")


def _idle(stage: Stage, figures: dict[str, float]) -> None:
    """Look at one node that has nothing to do."""
    time.sleep(IDLE_S)  # what is left of the start is not idleness
    node = stage.nodes[-1]
    daemons = {name: f"{name}.service" for name in ("rgmgrd", "corosync")}
    before = {name: stage.usage(node, unit) for name, unit in daemons.items()}
    began = now_us()
    time.sleep(IDLE_S)
    spent_us = now_us() - began
    for name, unit in daemons.items():
        after = stage.usage(node, unit)
        figures[f"{name}_percent"] = 100 * (after.cpu_us - before[name].cpu_us) / spent_us
        figures[f"{name}_mb"] = after.memory_kib / 1024


def _last_start(stage: Stage, since_us: int, wanted: Sequence[str]) -> int:
    return max(moment.at_us for moment in stage.starts(since_us, wanted).values())


def _seconds(began_us: int, ended_us: int) -> float:
    return (ended_us - began_us) / US_PER_MS / 1000


if __name__ == "__main__":
    sys.exit(main())
