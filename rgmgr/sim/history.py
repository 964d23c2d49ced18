# SPDX-License-Identifier: Apache-2.0
"""What became of services and nodes in a world, counted: for what a scenario expects.

Looks at what systemd and the fence devices really do, from the moment it is made; it changes
nothing.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Record
from rgmgr.core.model import ClusterState
from rgmgr.sim.host import Host
from rgmgr.sim.systemd import Unit
from rgmgr.sim.world import World


class History:
    """`changes`: when which unit changed. `starts`: the nodes on which a service came up anew.

    `fences`: the nodes that a device switched off, in order.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.changes: list[tuple[int, str]] = []
        self.starts: dict[ServiceName, list[NodeId]] = {}
        self.fences: list[NodeId] = []
        self._active: dict[ServiceName, dict[int, None]] = {}  # its units, by identity
        self._gone_ms: dict[ServiceName, int] = {}
        self._absence_ms: dict[ServiceName, int] = {}
        for host in world.hosts.values():
            self._follow(host)
        self._follow_power()

    @property
    def now_ms(self) -> int:
        """The simulated time."""
        return self.world.engine.now_ms

    def _follow(self, host: Host) -> None:
        tell = host.systemd.changed

        def changed(node: NodeId, unit: Unit, words: str) -> None:
            self._note(node, unit)
            tell(node, unit, words)

        host.systemd.changed = changed

    def _follow_power(self) -> None:
        switch_off = self.world.power.switch_off

        def cut(node: NodeId, why: str) -> None:
            self.fences.append(node)
            switch_off(node, why)

        self.world.power.switch_off = cut

    def _note(self, node: NodeId, unit: Unit) -> None:
        self.changes.append((self.now_ms, f"{unit.service}/{unit.resource}"))
        units = self._active.setdefault(unit.service, {})
        was_there = bool(units)
        if unit.is_active:
            units[id(unit)] = None
        else:
            units.pop(id(unit), None)
        if units and not was_there:
            self.starts.setdefault(unit.service, []).append(node)
            gone_ms = self._gone_ms.pop(unit.service, self.now_ms)
            longest_ms = self._absence_ms.get(unit.service, 0)
            self._absence_ms[unit.service] = max(longest_ms, self.now_ms - gone_ms)
        elif was_there and not units:
            self._gone_ms[unit.service] = self.now_ms

    def longest_absence_ms(self, service: ServiceName) -> int:
        """Return how long nothing of a service ran that had run before."""
        gone_ms = self._gone_ms.get(service, self.now_ms)
        return max(self._absence_ms.get(service, 0), self.now_ms - gone_ms)

    def agreed(self) -> ClusterState | None:
        """Return the agreed state of the member that knows most; None when no daemon runs."""
        daemons = [h.daemon for h in self.world.hosts.values() if h.daemon is not None]
        installed = [d for d in daemons if d.state.local.is_installed] or daemons
        states = [daemon.state.cluster for daemon in installed]
        return max(states, key=lambda s: (s.epoch, s.ring_seq, s.applied), default=None)

    def events(self, name: str) -> int:
        """Return how often something of this name was written into the journals.

        What all members agreed on is in each journal, so the fullest counts.
        """
        counts: dict[NodeId | None, int] = {}
        for line in self.world.trace.lines:
            record = line.facts[0] if line.facts else None
            if isinstance(record, Record) and record.event == name:
                counts[line.node] = counts.get(line.node, 0) + 1
        return max(counts.values(), default=0)
