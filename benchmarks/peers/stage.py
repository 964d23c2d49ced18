# SPDX-License-Identifier: Apache-2.0
"""The nodes that everybody works on, and when what happened there.

All nodes share one kernel, and so one CLOCK_MONOTONIC: a start taken here and an end that a node's
journal tells are of the same clock. What is waited for is seen in the control groups, from outside,
so that looking costs the nodes nothing; what is measured comes from the journals alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab import cgroups, machines
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.process import await_until, command

US_PER_MS = 1_000
DEADLINE_S = 150.0
LOOK_S = 0.1
ASK_S = 2.0
STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"
STARTED = "39f53479d3a045ac8e11786248231fbf"
STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
"""What systemd calls these messages (sd-messages.h)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of a journal; microseconds of CLOCK_MONOTONIC."""

    at_us: int
    node: str
    unit: str  # that the line is about, or that wrote it
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a daemon with all its processes has used so far, and has now.

    Memory is proportional (PSS): what processes share counts once. Switches are those that a task
    asked for: it slept, and woke up again.
    """

    cpu_us: int
    memory_kib: int
    switches: int


def now_us() -> int:
    """Return the clock that the journals use."""
    return time.monotonic_ns() // 1_000


def unit_of(number: int) -> str:
    """Return the unit of a service."""
    return f"load@{number}.service"


class Stage:
    """A running lab and the units on it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = tuple(node.name for node in lab.nodes)
        self._groups = cgroups.find_hierarchies()

    # Doing

    def run(self, node: str, *argv: str, timeout: float = 60.0) -> str:
        """Run a program in a node that must succeed, and return what it printed."""
        return command(self.lab.enter(node, argv), timeout=timeout)

    def shell(self, nodes: Iterable[str], script: str, timeout: float = 60.0) -> None:
        """Run one script on several nodes at the same time: see `shells`."""
        self.shells(dict.fromkeys(nodes, script), timeout)

    def shells(self, script_by_node: Mapping[str, str], timeout: float = 60.0) -> None:
        """Run a script on each of these nodes at the same time, until all are done.

        Raises:
            LabError: one failed; says on which node, and its last words.
        """
        children = {
            node: subprocess.Popen(
                self.lab.enter(node, ["sh", "-c", script]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for node, script in script_by_node.items()
        }
        for node, child in children.items():
            _, said = child.communicate(timeout=timeout)
            if child.returncode != 0:
                what = script_by_node[node][:60]
                raise LabError(f"{node}: `{what}` failed: {said.strip()[-200:]}")

    def write(self, name: str, text: str, owner: str = "root:root") -> None:
        """Write a file on every node."""
        for node in self.nodes:
            pid = machines.init_pid(self.lab.layout, node)
            path = Path(f"/proc/{pid}/root/{name}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        if owner != "root:root":
            self.shell(self.nodes, f"chown {owner} /{name}; chmod 600 /{name}")

    def boot_all(self) -> None:
        """Have every node up, and in one ring."""
        for status in self.lab.status():
            if status.power == "off":
                self.lab.boot(status.name)
        self.lab.await_quorate()

    def end_hard(self, daemon: str, state: str) -> None:
        """Kill a daemon on all nodes, then end what it runs, and remove its files.

        Nodes on which something is left are switched off and on.
        """
        self.boot_all()
        kill = f"systemctl kill --signal=KILL {daemon} 2>/dev/null; systemctl stop {daemon}; true"
        self.shell(self.nodes, kill)
        self.shell(self.nodes, f"systemctl stop 'load@*.service'; rm -rf {state}; true")
        for node in self.nodes:
            if self.running(node):
                self.lab.kill(node)
        self.boot_all()
        self.shell(self.nodes, "systemctl daemon-reload")

    def power_cycle(self) -> None:
        """Switch all nodes off and on: what nothing else ends."""
        for node in self.nodes:
            self.lab.kill(node)
        self.boot_all()

    def kill_unit(self, node: str, unit: str) -> int:
        """Kill every process of a unit at once; return when."""
        group = self._group(node, unit)
        began = now_us()
        (group / "cgroup.kill").write_text("1", encoding="ascii")
        return began

    # Looking, from outside

    def running(self, node: str) -> frozenset[str]:
        """Return the units that have processes on a node; groups outlive a power cut."""
        groups = (group for group in self._below(node) if group.match("load@*.service"))
        return frozenset(group.name for group in groups if cgroups.is_populated(group))

    def placed(self) -> dict[str, frozenset[str]]:
        """Return the running units of every node."""
        return {node: self.running(node) for node in self.nodes}

    def await_running(self, units: Iterable[str], deadline_s: float = DEADLINE_S) -> None:
        """Wait until each of these runs somewhere.

        Raises:
            LabError: not in time; says how many do.
        """
        wanted = set(units)
        deadline = time.monotonic() + deadline_s
        while missing := wanted.difference(*self.placed().values()):
            if time.monotonic() > deadline:
                raise LabError(
                    f"{len(wanted) - len(missing)} of {len(wanted)} run after {deadline_s:g} s"
                )
            time.sleep(LOOK_S)  # what is waited for is measured by its journal, not by this

    def await_online(self, status: Sequence[str], deadline_s: float = DEADLINE_S) -> None:
        """Wait until the command for the status says that every node is online, asking seldom.

        Raises:
            LabError: not in time.
        """
        deadline = time.monotonic() + deadline_s
        while not _is_everybody_online(self.lab.run(self.nodes[0], status).stdout, self.nodes):
            if time.monotonic() > deadline:
                raise LabError(f"not all nodes are online after {deadline_s:g} s")
            time.sleep(ASK_S)

    def await_started(self, status: Sequence[str], count: int, deadline_s: float) -> None:
        """Wait until the command for the status shows so many services as started.

        Raises:
            LabError: not in time; says how many it shows.
        """
        deadline = time.monotonic() + deadline_s
        while (found := self._started(status)) < count:
            if time.monotonic() > deadline:
                raise LabError(f"{found} of {count} are found after {deadline_s:g} s")
            time.sleep(ASK_S)

    def _started(self, status: Sequence[str]) -> int:
        said = self.lab.run(self.nodes[0], status).stdout.splitlines()
        return sum(bool(re.search(r"\bstarted\b", line, re.IGNORECASE)) for line in said)

    def usage(self, node: str, unit: str) -> Usage:
        """Return what a unit has used so far."""
        group = self._group(node, unit)
        lines = (group / "cpu.stat").read_text(encoding="ascii").splitlines()
        cpu_us = int(dict(line.split() for line in lines)["usage_usec"])
        memory_kib = switches = 0
        for path in [group, *group.rglob("*/")]:
            for pid in (path / "cgroup.procs").read_text(encoding="ascii").split():
                memory_kib += _field(Path(f"/proc/{pid}/smaps_rollup"), "Pss")
                for task in Path(f"/proc/{pid}/task").iterdir():
                    switches += _field(task / "status", "voluntary_ctxt_switches")
        return Usage(cpu_us, memory_kib, switches)

    def _group(self, node: str, unit: str) -> Path:
        for group in self._below(node):
            if group.name == unit and cgroups.is_populated(group):
                return group
        raise LabError(f"{unit} does not run on {node}")

    def _below(self, node: str) -> Iterator[Path]:
        """Yield all groups of a node; one that vanishes meanwhile is no error."""
        for where, names, _ in os.walk(self._groups.group(node)):
            yield from (Path(where, name) for name in names)

    # Looking, into the journals

    def starts(self, since_us: int, units: Iterable[str]) -> dict[str, Moment]:
        """Return the last start of each of these units since then; all have one.

        Raises:
            LabError: a start is not in the journal in time.
        """
        wanted = frozenset(units)
        found: dict[str, Moment] = {}

        def is_told() -> bool:
            for moment in self.moments(since_us, f"MESSAGE_ID={STARTED}"):
                if moment.unit in wanted:
                    found[moment.unit] = moment
            return len(found) == len(wanted)

        await_until(is_told, timeout=20, what=f"the journal to tell of {len(wanted)} starts")
        return found

    def stopping(self, since_us: int, unit: str) -> int:
        """Return when a unit was first told to stop since then."""
        found = self.moments(since_us, f"MESSAGE_ID={STOPPING}", f"UNIT={unit}")
        if not found:
            raise LabError(f"the journal does not tell of a stop of {unit}")
        return found[0].at_us

    def first_starting(self, since_us: int) -> int:
        """Return when the first of the units began to start since then."""
        found = self.moments(since_us, f"MESSAGE_ID={STARTING}")
        began = [moment.at_us for moment in found if moment.unit.startswith("load@")]
        if not began:
            raise LabError("the journal does not tell of any start")
        return min(began)

    def ring_formed(self, since_us: int, nodes: Sequence[str]) -> int:
        """Return when the last of these nodes had its first new ring since then."""
        found = [
            moment
            for moment in self.moments(since_us, "_SYSTEMD_UNIT=corosync.service")
            if "A new membership" in moment.text
        ]
        firsts = [next((m.at_us for m in found if m.node == node), 0) for node in nodes]
        if not all(firsts):
            raise LabError("the journal does not tell of a new ring on every survivor")
        return max(firsts)

    def event(self, since_us: int, name: str) -> int:
        """Return when rgmgrd first told of an event since then, on any node.

        Raises:
            LabError: it did not.
        """
        for moment in self.moments(since_us, "_SYSTEMD_UNIT=rgmgrd.service"):
            if re.match(rf"{re.escape(name)}\b", moment.text):
                return moment.at_us
        raise LabError(f"rgmgrd did not tell of {name}")

    def moments(self, since_us: int, *matches: str) -> list[Moment]:
        """Return the lines of all journals since then that match, oldest first."""
        found: list[Moment] = []
        ago_s = (now_us() - since_us) // 1_000_000 + 2
        for node in self.nodes:
            where = self.lab.layout.upper(node) / "var/log/journal"
            argv = ["journalctl", f"--directory={where}", "--output=json", "--no-pager", "--quiet"]
            fields = "MESSAGE,UNIT,_SYSTEMD_UNIT"
            argv += [f"--since=-{ago_s}s", f"--output-fields={fields}", *matches]
            for raw in command(argv).splitlines():
                entry = json.loads(raw)
                unit = str(entry.get("UNIT") or entry.get("_SYSTEMD_UNIT"))
                at_us = int(entry["__MONOTONIC_TIMESTAMP"])
                found.append(Moment(at_us, node, unit, str(entry.get("MESSAGE"))))
        return sorted(
            (moment for moment in found if moment.at_us >= since_us), key=lambda m: m.at_us
        )


def _is_everybody_online(said: str, nodes: Sequence[str]) -> bool:
    """Read either table: a line for each node, or one for all of them."""
    lines = [line for line in said.splitlines() if "online" in line.lower()]
    return all(any(node in line for line in lines) for node in nodes)


def _field(path: Path, name: str) -> int:
    """Return a number of a file of the kernel; 0 for a process that has just ended."""
    try:
        text = path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else 0
