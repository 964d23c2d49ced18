# SPDX-License-Identifier: Apache-2.0
"""The lab and its demo: what they promise, and that nothing of them is left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rgmgr.lab.lab import Lab
from tests.lab.observed import Observed

PROJECT = Path(__file__).parents[2]
DEMO_TIMEOUT_S = 180


def test_down_leaves_nothing_behind(own_lab: Lab) -> None:
    own_lab.down()

    assert left_behind(own_lab) == []


def test_cables_can_be_mended_while_a_node_is_switched_on(cluster: Observed) -> None:
    """Its port is made anew at each boot, so for a moment there is none."""
    for _ in range(3):
        cluster.lab.kill("node3")
        cluster.lab.cut("node3")
        cluster.lab.power_on("node3")
        cluster.lab.heal()

    cluster.lab.await_booted("node3")
    cluster.await_that(cluster.is_settled, "node3 to return")


def test_the_demo_tells_a_real_failover_and_leaves_nothing_behind(own_lab: Lab) -> None:
    said = rgmgr("lab", "--dir", str(own_lab.layout.directory), "demo")

    assert said.returncode == 0, said.stdout + said.stderr
    told = re.findall(r"^ +\d+\.\d{3} s  (.*)$", said.stdout, re.MULTILINE)
    assert told[:2] == [
        "corosync lost the node; the others agree on a new membership",
        "fencing node1 over IPMI begins",
    ]
    assert told[2].startswith("proof: the BMC confirms")
    assert told[-1] == "the page answers again"
    assert "service:web is now running on node1" in said.stdout
    assert left_behind(own_lab) == []


def test_without_root_the_demo_is_told_by_the_simulator() -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

    said = rgmgr("lab", "--dir", "/nonexistent", "demo", before=nobody)

    first = said.stdout.splitlines()[0]
    assert said.returncode == 0, said.stdout + said.stderr
    assert first.startswith("no lab here (")
    assert "needs root" in first
    assert "every promise was kept" in said.stdout


def rgmgr(*argv: str, before: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command of this tree."""
    program = [sys.executable, "-c", "from rgmgr.cli.main import main; main()"]
    return subprocess.run(
        [*(before or []), *program, *argv],
        capture_output=True,
        text=True,
        timeout=DEMO_TIMEOUT_S,
        cwd=PROJECT,
        check=False,
    )


def left_behind(lab: Lab) -> list[str]:
    """Return every namespace, mount, process and control group of a lab that is down."""
    where = str(lab.layout.directory / "run")
    spaces = subprocess.run(
        ["/usr/sbin/ip", "netns", "list"], capture_output=True, text=True, check=True
    )
    found = [f"namespace {s}" for s in spaces.stdout.split() if s.startswith("rglab")]
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    found += [f"mount {line}" for line in mounts.splitlines() if where in line]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        if where in words:
            found.append(f"process {words}")
    return found + [f"control group {g}" for g in Path("/sys/fs/cgroup").rglob("rglab*")]
