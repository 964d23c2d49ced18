# SPDX-License-Identifier: Apache-2.0
"""Run works and keep what they gave: `make bench-peers`, or one work at a time.

Each call makes a lab, lets the contestants do each work in turn, round by round until its time is
up, adds their samples to those that a file of JSON has, and writes the document from all of them.
What fails is told in the tables and ends nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import signal
import subprocess
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
ROUNDS, SERVICES, DRAINED, MANY = 5, 100, 50, 1000
QUICK = 12
MINUTES = 25.0
USUAL = ("idle", "status", "kill-unit", "move", "power-cut")
"""Done one after the other by a cluster that runs the usual number of services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Works that are done one after the other by a cluster that is started once."""

    first: str = "cold-start"
    works: tuple[str, ...]
    homes: Homes
    contestants: tuple[Contestant, ...]
    rounds: int

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
    works = [work for work in WORKS if work != "adoption"]  # a part of "idle"
    parser.add_argument("--work", nargs="*", default=works, choices=works)
    parser.add_argument("--quick", action="store_true", help="few services, one round")
    parser.add_argument("--rounds", type=int, help="at most so many")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="no round after that")
    parser.add_argument("--services", type=int, nargs="+")
    parser.add_argument("--only", nargs="+", metavar="WHO", help="some of the contestants")
    parser.add_argument("--json", type=Path, default=Path(".lab/peers.json"), help="the samples")
    parser.add_argument("--document", type=Path, help="where the document goes")
    return parser.parse_args()


def _measure(options: argparse.Namespace, results: Results) -> None:
    """Make a lab, and let everybody live every life; what is known is kept at once."""
    ends_s = time.monotonic() + 60 * options.minutes
    lab = Lab(options.dir)
    try:
        over = layer.ensure(lab.layout.directory, lab.layout.root, lab.progress)
        lab.up(NODES, Rgmgr().cluster_toml(plan(NODES), {}), [over])
        stage = Stage(lab)
        stage.shell(stage.nodes, "rm -f /etc/systemd/system/*.wants/rgmgrd.service")
        results.machine = {**_machine(stage), "command": _command()}
        Rgmgr().erase(stage)
        for life in _in_turn(_lives(options), ends_s):
            for run in _play(stage, life, options.only):
                results.runs.append(run)
                report.save(options.json, results)
                lab.progress(report.told(run))
    finally:
        lab.down()


def _in_turn(lives: Sequence[Life], ends_s: float) -> Iterator[Life]:
    """Yield all lives round by round; after the first round only those that end in time."""
    took_s: dict[int, float] = {}
    for count in range(max((life.rounds for life in lives), default=0)):
        for number, life in enumerate(lives):
            began_s = time.monotonic()
            if count < life.rounds and began_s + took_s.get(number, 0.0) <= ends_s:
                yield life
                took_s[number] = time.monotonic() - began_s


def _command() -> str:
    """Return how this was called."""
    given = " ".join(sys.argv[1:])
    return f"`python -m benchmarks.peers {given}`" if given else "`python -m benchmarks.peers`"


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


def _lives(options: argparse.Namespace) -> list[Life]:
    """Return what has to be lived for the works that are wanted."""
    rounds = options.rounds or (1 if options.quick else ROUNDS)
    usual, drained, many = (QUICK,) * 3 if options.quick else (SERVICES, DRAINED, MANY)
    ours, fencing, peer = Rgmgr(), Rgmgr(name=report.FENCING, is_fencing=True), Pacemaker()
    works = tuple(work for work in USUAL if work in options.work)
    lives: list[Life] = []

    def add(
        works: tuple[str, ...], count: int, rounds: int, *who: Contestant, at: str = ""
    ) -> None:
        homes = dict.fromkeys(range(1, count + 1), at)
        lives.append(Life(works=works, homes=homes, contestants=who, rounds=rounds))

    if works or "cold-start" in options.work:
        for count in options.services or (usual,):
            add(works, count, rounds, ours, peer, fencing)
    if "drain" in options.work:
        add(("drain",), drained, rounds, ours, peer, at=VICTIM)
    if "idle" in options.work and not options.services:
        add(("idle",), 0, 1, ours, peer)
        homes = {n: f"node{1 + n % NODES}" for n in range(1, many + 1)}
        whole = Life(
            first="adoption", works=("idle",), homes=homes, contestants=(ours, peer), rounds=1
        )
        lives.append(whole)
    return lives


def _play(stage: Stage, life: Life, only: Sequence[str] | None) -> Iterator[Run]:
    """Let one contestant after the other live it, and systemd by hand; yield what each gave."""
    for who in life.contestants:
        if only is None or who.name in only:
            yield from _lived(stage, life, who)
    if only is None or report.BY_HAND in only:
        for work in (life.first, *life.works):
            if life.homes and (floor := floors.FLOORS.get(work)):
                yield _run(report.BY_HAND, work, life, partial(floor, stage, life.homes))
                floors.clear(stage)


def _lived(stage: Stage, life: Life, who: Contestant) -> Iterator[Run]:
    """Yield what one contestant gave; all works need that it has started."""
    for work in (life.first, *life.works):
        if who.name == report.FENCING and work == "idle":
            continue  # as without fencing
        run = _run(who.name, work, life, partial(WORKS[work], stage, who, life.homes))
        yield run
        if run.fault and work == life.first:
            break
    try:
        who.erase(stage)
    except (LabError, OSError) as error:
        stage.lab.progress(f"{who.name} did not end: {error}; all nodes are switched off and on")
        stage.power_cycle()
        who.erase(stage)


def _run(who: str, work: str, life: Life, act: Callable[[], Samples]) -> Run:
    """Let one work be done; what fails is kept as such, and does not end the rest."""
    samples: Samples = {}
    fault = ""
    load = os.getloadavg()[0]
    try:
        samples = act()
    except (LabError, OSError, subprocess.SubprocessError) as error:
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
