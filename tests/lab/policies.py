# SPDX-License-Identifier: Apache-2.0
"""A cluster of many small services, one or two for each policy, driven and read as in 2012.

Every service is one process that sleeps. What is asked goes through `clusvcadm`, what is seen comes
from `clustat`; whether it runs, and how often, is systemd's own word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from rgmgr.lab.defaultconfig import render_cluster
from rgmgr.lab.layout import MANAGEMENT_ADDRESS, NodePlan
from tests.lab.observed import NODES, Observed

PROCESS = """
  [[service.resource]]
  type = "exec"
  name = "main"
  command = "/bin/sleep infinity"
"""
PING = f"""
[[ping]]
name = "gateway"
address = "{MANAGEMENT_ADDRESS}"
interval = "500ms"
failures = 2
successes = 2
"""
STAYS = "ordered = true\nnofailback = true"
ORDERS = {1: (1, 2, 3), 2: (2, 3, 1), 3: (3, 1, 2)}
"""In which order the nodes are preferred, by the node that is the home."""
LADDER = '["restart 1 in 10min", "relocate 1 in 1h", "disable"]'


@dataclass(frozen=True)
class Entry:
    """A service: where it belongs, and what is particular about it."""

    name: str
    home: int
    keys: str = ""
    failback: str = ""  # keys of a domain of its own


def services(closed: str, open_: str) -> tuple[Entry, ...]:
    """Return all services. Two windows of the day: one that is shut now, and one that is not."""
    return (
        Entry("web", 1, f"recovery = {LADDER}"),
        Entry("db", 1),
        Entry("hard", 2, 'depend = ["db"]'),
        Entry("soft", 2, 'depend = ["db"]\ndepend_mode = "soft"'),
        Entry("left", 1),
        Entry("follower", 1, 'with = ["left"]'),
        Entry("right", 2, 'apart_from = ["left"]'),
        Entry("iced", 3),
        Entry("asked", 3, 'takeover = "confirm"'),
        Entry("refused", 3, 'takeover = "confirm"'),
        Entry("patient", 3, 'on_shutdown = "wait 10min"'),
        Entry("stubborn", 1, 'no_quorum_policy = "ignore"'),
        Entry("later", 1, failback='ordered = true\nfailback_delay = "5s"'),
        Entry("tonight", 1, failback=f'ordered = true\nfailback = "{closed}"'),
        Entry("today", 1, failback=f'ordered = true\nfailback = "{open_}"'),
    )


def document(nodes: Sequence[NodePlan], entries: Sequence[Entry]) -> str:
    """Return the cluster.toml."""
    return "\n".join([render_cluster(nodes), PING, *map(_entry, entries)])


def _entry(entry: Entry) -> str:
    places = enumerate(ORDERS[entry.home], start=1)
    members = ", ".join(f"node{node} = {priority}" for priority, node in places)
    head = f"[domain.of-{entry.name}]\n{entry.failback or STAYS}\nmembers = {{ {members} }}\n"
    keys = f'name = "{entry.name}"\ndomain = "of-{entry.name}"\n{entry.keys}\n'
    return f"{head}\n[[service]]\n{keys}{PROCESS}"


@dataclass(frozen=True)
class Group:
    """One service as `clustat -x` shows it."""

    state: str
    owner: str
    flags: str


class Policies(Observed):
    """The cluster, and a hand on it that knows rgmanager's commands alone."""

    def clustat(self, service: str, asked: str = "node2") -> Group:
        """Return what clustat says of a service."""
        root = ET.fromstring(self.do(asked, "clustat", "-x"))  # noqa: S314 - our own
        found = root.find(f".//group[@name='service:{service}']")
        assert found is not None, f"clustat knows no service:{service}"
        return Group(found.attrib["state_str"], found.attrib["owner"], found.attrib["flags_str"])

    def because(self, service: str, asked: str = "node2") -> str:
        """Return what a service waits for."""
        status = self.status(asked)
        view = status.service_named(service) if status else None
        return (view.because if view else None) or ""

    def await_state(self, service: str, state: str, owner: str = "", asked: str = "node2") -> None:
        """Wait until clustat shows a service so."""

        def is_so() -> bool:
            found = self.clustat(service, asked)
            return found.state == state and owner in ("", found.owner)

        self.await_that(is_so, f"{service} to be {state} {owner and 'on'} {owner}")

    def place(self, service: str, node: str) -> None:
        """Have a service started on a node, whatever became of it before."""
        found = self.clustat(service)
        if found.state != "started":
            self.do("node2", "clusvcadm", "-e", service, "-m", node)
        elif found.owner != node:
            self.do("node2", "clusvcadm", "-r", service, "-m", node)
        assert self.clustat(service) == Group("started", node, found.flags)

    def refused(self, node: str, *argv: str) -> tuple[int, str]:
        """Run a command that must not succeed; return its exit code and all it says."""
        done = self.lab.run(node, list(argv), 60)
        assert done.returncode != 0, done.stdout
        return done.returncode, f"{done.stdout}{done.stderr}"

    def lives(self, service: str, node: str) -> str:
        """Return what tells one life of a service's process from the next; '' when it is down."""
        unit = f"rgmgr-{service}-main.service"
        if not self.active_on(node, unit):
            return ""
        return self.do(node, "systemctl", "show", "-P", "InvocationID", unit).strip()

    def where(self, service: str) -> list[str]:
        """Return the nodes on which its process runs."""
        unit = f"rgmgr-{service}-main.service"
        return [node for node in NODES if self.active_on(node, unit)]

    def kill_nine(self, service: str, node: str) -> None:
        """Kill its process."""
        self.do(node, "systemctl", "kill", "-s", "KILL", f"rgmgr-{service}-main.service")

    def await_new_life(self, service: str, node: str, before: str) -> None:
        """Wait until its process runs there anew."""
        self.await_that(
            lambda: self.lives(service, node) not in ("", before), f"{service} anew on {node}"
        )

    def await_all_online(self) -> None:
        """Wait until every node takes part and nothing is under way."""
        for node in NODES:
            self.do(node, "rgmgr", "wait", "joined", "--timeout", "60s")
            self.do("node2", "rgmgr", "wait", "online", node, "--timeout", "60s")
        self.do("node2", "rgmgr", "wait", "settled", "--timeout", "60s")
