# SPDX-License-Identifier: Apache-2.0
"""The lab as a test uses it: an observer that can also mend everything and run commands."""

from __future__ import annotations

import contextlib

from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.observe import SETTLE_TIMEOUT, Observer

NODES = ("node1", "node2", "node3")


class Observed(Observer):
    """A running lab with the service `web` on an address that a client can reach."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        assert self.nodes == NODES

    def restore(self) -> None:
        """Mend everything, then wait until `web` runs on node1 and nothing else is going on."""
        self.lab.heal()
        for node in NODES:
            self.lab.bmc_fault(node, None)
            if not self.lab.is_on(node):
                self.lab.boot(node)
        self.lab.await_quorate()
        for node in NODES:
            self.lab.run(node, ["systemctl", "start", "corosync", "rgmgrd"])
        self.await_that(self.is_settled, "all nodes online and nothing under way")
        if self.service().state != "started":
            self.do("node1", "rgmgr", "enable", "web", "-m", "node1")
        if self.service().owner != "node1":
            self.do("node1", "rgmgr", "relocate", "web", "-m", "node1")
        self.await_page("node1")

    def active_on(self, node: str, unit: str = "nginx.service") -> bool:
        """Tell whether systemd of this node has the unit up."""
        with contextlib.suppress(LabError):
            return self.lab.run(node, ["systemctl", "is-active", unit]).returncode == 0
        return False

    def main_pid(self, node: str) -> str:
        """Return the main process of the web server there."""
        argv = ["systemctl", "show", "-P", "MainPID", "nginx.service"]
        return self.lab.run(node, argv).stdout.strip()

    def do(self, node: str, *argv: str, timeout: float = SETTLE_TIMEOUT) -> str:
        """Run a command on a node; it must succeed."""
        done = self.lab.run(node, list(argv), timeout)
        said = f"{done.stdout}{done.stderr}"
        assert done.returncode == 0, f"{argv} on {node}: {done.returncode}\n{said}"
        return done.stdout

    def journals(self) -> str:
        """Return the end of every daemon's journal."""
        texts = []
        for node in NODES:
            with contextlib.suppress(LabError):
                texts.append(f"--- {node}\n{self.lab.journal(node, 'rgmgrd.service')[-6000:]}")
        return "\n".join(texts)
