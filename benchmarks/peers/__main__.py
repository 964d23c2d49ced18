# SPDX-License-Identifier: Apache-2.0
"""Run works and keep what they gave: `make bench-peers`, or one work at a time.

Each call makes a lab, lets the contestants do each work in turn, round by round, adds their samples
to those that a file of JSON has, and writes the document from all of them.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import rgmgr
from benchmarks.peers import floors, layer, report
from benchmarks.peers.contestants import Contestant, Homes, Pacemaker, Rgmgr
from benchmarks.peers.report import Results, Run
from benchmarks.peers.stage import Stage
from benchmarks.peers.works import VICTIM, WORKS, Samples
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan

NODES = 3
ROUNDS, SERVICES, DRAINED = 5, 100, 50
QUICK = 12
IDLE_SERVICES = (0, 100, 1000)


@dataclass(frozen=True, slots=True)
class Life:
    """Works that are done one after the other by a cluster that is started once."""

    works: tuple[str, ...]  # the first of all is the cold start
    homes: Homes
    contestants: tuple[Contestant, ...]

    @property
    def services(self) -> int:
        """How many there are."""
        return len(self.homes)


def main() -> int:
    """Run what was asked for; 1 when a work could not be done by rgmgr."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # the lab goes, too
    results = report.load(options.json)
    if options.work:
        _measure(options, results)
    if options.document:
        report.put_into(options.document, results)
    print(report.measured(results))
    return 1 if any(run.fault and run.who.startswith(report.OURS) for run in results.runs) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".lab"))
    parser.add_argument("--work", nargs="*", default=list(WORKS), choices=list(WORKS))
    parser.add_argument("--quick", action="store_true", help="few services, one round")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--services", type=int, nargs="+")
    parser.add_argument("--only", nargs="+", metavar="WHO", help="some of the contestants")
    parser.add_argument("--json", type=Path, default=Path(".lab/peers.json"), help="the samples")
    parser.add_argument("--document", type=Path, help="where the document goes")
    return parser.parse_args()


def _measure(options: argparse.Namespace, results: Results) -> None:
    """Make a lab, and let everybody live every life; what is known is kept at once."""
    lab = Lab(options.dir)
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    try:
        over = layer.ensure(lab.layout.directory, lab.layout.root, lab.progress)
        lab.up(NODES, Rgmgr().cluster_toml(plan(NODES), {}), [over])
        stage = Stage(lab)
        stage.shell(stage.nodes, "rm -f /etc/systemd/system/*.wants/rgmgrd.service")
        results.machine = _machine(stage)
        Rgmgr().erase(stage)
        for life in _lives(options):
            for _ in range(rounds):
                for run in _play(stage, life, options.only):
                    results.runs.append(run)
                    report.save(options.json, results)
                    lab.progress(report.told(run))
    finally:
        lab.down()


def _machine(stage: Stage) -> dict[str, str]:
    """Say what was measured on, and what."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    model = re.search(r"^model name\s*: (.*)$", cpu, re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ("corosync", "pacemaker", "systemd", "dbus", "python3")
    shown = stage.run(stage.nodes[0], "dpkg-query", "-W", "-f=${Package} ${Version}, ", *packages)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} processors ({model[1] if model else platform.machine()}),"
        f" {memory:.0f} GiB, Linux {platform.release()}; the three nodes share them",
        "versions": f"rgmgr {rgmgr.__version__}, {shown.strip(', ')}",
        "corosync": "token 1000 ms, consensus 1200 ms: a lost node is seen after 2200 ms or less",
    }


def _lives(options: argparse.Namespace) -> Iterator[Life]:
    """Yield what has to be lived for the works that are wanted."""
    asked: Sequence[int] = options.services or ()
    all_three = (Rgmgr(), Rgmgr(name=report.FENCING, is_fencing=True), Pacemaker())
    common = tuple(w for w in ("status", "kill-unit", "move", "power-cut") if w in options.work)
    usual = QUICK if options.quick else SERVICES
    if common or "cold-start" in options.work:
        for count in asked or (usual,):
            yield Life(common, dict.fromkeys(range(1, count + 1), ""), all_three)
    if "drain" in options.work:
        for count in asked or (QUICK if options.quick else DRAINED,):
            homes = dict.fromkeys(range(1, count + 1), VICTIM)
            yield Life(("drain",), homes, (Rgmgr(), Pacemaker()))
    if "idle" in options.work:
        for count in asked or ((0, usual) if options.quick else IDLE_SERVICES):
            homes = dict.fromkeys(range(1, count + 1), "")
            yield Life(("idle",), homes, (Rgmgr(), Pacemaker()))


def _play(stage: Stage, life: Life, only: Sequence[str] | None) -> Iterator[Run]:
    """Let one contestant after the other live it, and systemd by hand; yield what each gave."""
    for who in life.contestants:
        if only is not None and who.name not in only:
            continue
        for work in ("cold-start", *life.works):
            run = _run(who.name, work, life, partial(WORKS[work], stage, who, life.homes))
            yield run
            if run.fault and work == "cold-start":
                break
        who.erase(stage)
    if only is not None and report.BY_HAND not in only:
        return
    for work in ("cold-start", *life.works):
        if life.homes and (floor := floors.FLOORS.get(work)):
            yield _run(report.BY_HAND, work, life, partial(floor, stage, life.homes))
            floors.clear(stage)


def _run(who: str, work: str, life: Life, act: Callable[[], Samples]) -> Run:
    """Let one work be done; what fails is kept as such, and does not end the rest."""
    samples: Samples = {}
    fault = ""
    load = os.getloadavg()[0]
    try:
        samples = act()
    except (LabError, OSError) as error:
        fault = str(error)
    return Run(
        work=work,
        services=life.services,
        who=who,
        load=load,
        samples=samples,
        fault=fault,
    )


if __name__ == "__main__":
    sys.exit(main())
