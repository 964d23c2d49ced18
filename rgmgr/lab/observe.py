# SPDX-License-Identifier: Apache-2.0
"""What can be seen of the cluster in a lab: what rgmgr says, what is logged, and what answers.

Used by the demo, the benchmarks and the tests. Changes nothing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab
from rgmgr.lab.process import await_until
from rgmgr.view import ServiceView, Status, decode_status

SETTLE_TIMEOUT = 60.0
PATIENCE_S = "0.25"
"""Of a client: a lost packet is sent again after a second, which would hide the page's return."""
IDLE_STATES = ("started", "disabled", "stopped", "failed")


@dataclass(frozen=True, slots=True)
class Line:
    """One journal line; wall-clock microseconds, the same clock for all nodes of one machine."""

    at_us: int
    node: str
    text: str


class Observer:
    """Looks at a running lab whose service `web` shows the name of its node."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.nodes = tuple(node.name for node in lab.nodes)
        self.page_url = f"http://{lab.service_addresses[0]}/"

    def status(self, node: str = "") -> Status | None:
        """Return what rgmgr says on a node, or on the first that is in an epoch; None if nobody."""
        for asked in [node] if node else self.nodes:
            with contextlib.suppress(LabError, ValueError):
                said = self.lab.run(asked, ["rgmgr", "status", "--json"], 10)
                if said.returncode == 0 and said.stdout:
                    status = decode_status(said.stdout)
                    if node or status.is_installed:
                        return status
        return None

    def service(self, node: str = "") -> ServiceView:
        """Return `web` as rgmgr shows it.

        Raises:
            LabError: no daemon answers, or the service is not configured.
        """
        status = self.status(node)
        found = status.service_named("web") if status else None
        if found is None:
            raise LabError(f"no daemon tells of service web (asked {node or 'all nodes'})")
        return found

    def is_settled(self) -> bool:
        """Tell whether every node says that all are online and the service is at rest."""
        return all(self.is_calm(self.status(node)) for node in self.nodes)

    def answering(self) -> str:
        """Return the node whose page a client gets from the floating address; '' for none."""
        said = self.lab.client(["curl", "-s", "--max-time", PATIENCE_S, self.page_url])
        found = re.search(r"node\d+", said.stdout)
        return found[0] if said.returncode == 0 and found else ""

    def await_that(
        self, condition: Callable[[], bool], what: str, timeout: float = SETTLE_TIMEOUT
    ) -> None:
        """Wait until it holds; raises LabError when it does not in time."""
        await_until(condition, timeout=timeout, what=what)

    def await_page(self, node: str, timeout: float = SETTLE_TIMEOUT) -> None:
        """Wait until the page comes from this node."""
        self.await_that(lambda: self.answering() == node, f"the page of {node}", timeout)

    def now_us(self) -> int:
        """Return the wall clock that the journals use."""
        return int(self.lab.client(["date", "+%s%6N"]).stdout)

    def lines(self, node: str, since_us: int = 0, unit: str = "rgmgrd.service") -> list[Line]:
        """Return the journal of a unit on a node, with power or without, oldest first."""
        since = f"--since=@{since_us // 1_000_000}"
        entries = self.lab.journal_entries(node, f"--unit={unit}", since)
        found = (Line(int(e["__REALTIME_TIMESTAMP"]), node, str(e["MESSAGE"])) for e in entries)
        return [line for line in found if line.at_us >= since_us]

    def boot_id(self, node: str) -> str:
        """Return the identity of a node's present boot; '' for one without power."""
        with contextlib.suppress(LabError):
            return self.lab.run(node, ["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()
        return ""

    def when(self, node: str, event: str, since_us: int, *words: str) -> int | None:
        """Return when a node first logged this event with these words since then."""
        for line in self.lines(node, since_us):
            if line.text.split(" ", 1)[0] == event and all(word in line.text for word in words):
                return line.at_us
        return None

    def is_calm(self, status: Status | None) -> bool:
        """Tell whether a status has all nodes online and the service at rest."""
        if status is None or not status.is_installed:
            return False
        web = status.service_named("web")
        is_whole = all(node.status.lower() == "online" for node in status.nodes)
        return is_whole and web is not None and web.state in IDLE_STATES
