# SPDX-License-Identifier: Apache-2.0
"""What runs twice through no fault of rgmgr: a human started it, or a fence device lied.

No proof is better than the device that gives it, and no manager keeps root from its units. So what
is active in such a way does not count against promise 1, and everything else still does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domains.model import NodeId, ServiceName
from rgmgr.sim.systemd import Unit


@dataclass(slots=True, eq=False)
class Excuses:
    """Services on nodes that do not count, for as long as anything of them is active there."""

    _excused: dict[tuple[ServiceName, NodeId], None] = field(default_factory=dict)
    _lied_of: dict[NodeId, None] = field(default_factory=dict)

    def note(self, node: NodeId, unit: Unit, *, is_gone: bool) -> None:
        """Follow a unit that changed; `is_gone`: nothing of its service is active there."""
        key = (unit.service, node)
        if is_gone:
            self._excused.pop(key, None)
        elif unit.is_excused or node in self._lied_of:
            self._excused[key] = None

    def lied(self, node: NodeId, services: list[ServiceName]) -> None:
        """A device says off of a node on which these services are active."""
        self._lied_of[node] = None
        self._excused.update(dict.fromkeys((service, node) for service in services))

    def joined(self, node: NodeId) -> None:
        """A node is a member again: what it starts from here on is as the members agreed."""
        self._lied_of.pop(node, None)

    def started(self, service: ServiceName, node: NodeId) -> None:
        """The cluster starts it there itself."""
        if node not in self._lied_of:
            self._excused.pop((service, node), None)

    def count_out(self, service: ServiceName, nodes: list[NodeId]) -> list[NodeId]:
        """Return the nodes that count."""
        return [node for node in nodes if (service, node) not in self._excused]
