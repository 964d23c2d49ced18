# SPDX-License-Identifier: Apache-2.0
"""A simulated cluster of three that has come to rest, to try faults on one by one."""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Record
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.sim.faults import (
    Fault,
    Script,
)
from rgmgr.sim.phases import Phase
from rgmgr.sim.story import demo_script
from rgmgr.sim.trace import told
from rgmgr.sim.world import World

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
ALL = (N1, N2, N3)
WEB, EXTRA = ServiceName("web"), ServiceName("extra")
DATA = ResourceName("data")
FIRST_MS = 10_000
SPEC = demo_script().spec


class Lab:
    """A world at rest, and what it tells from then on."""

    def __init__(
        self, *faults: Fault, cluster: ClusterSpec = SPEC, is_two_node: bool = False, seed: int = 1
    ) -> None:
        script = Script(seed=seed, spec=cluster, faults=faults, is_two_node=is_two_node)
        self.world = World(script)
        for fault in faults:
            self.world.plan(fault)
        self.until(FIRST_MS - 1)
        self.past = len(self.world.trace.lines)

    def until(self, at_ms: int) -> None:
        self.world.engine.run_until(at_ms)

    def story(self) -> str:
        """What was told since the world came to rest."""
        lines = tuple(told(self.world.trace, self.world.spec))
        return "\n".join(line for line in lines if float(line.split()[0]) * 1_000 >= FIRST_MS - 1)

    def journal(self) -> set[str]:
        """Return the names of all events that were written to the journals so far."""
        lines = self.world.trace.lines
        return {fact.event for line in lines for fact in line.facts if isinstance(fact, Record)}

    def members(self, node: NodeId) -> tuple[NodeId, ...]:
        """Return the ring that corosync of a node is in."""
        ring = self.world.bus.stations[node].ring
        return ring.nodes if ring else ()

    def is_quorate(self, node: NodeId) -> bool:
        daemon = self.world.hosts[node].daemon
        return daemon is not None and daemon.state.local.is_quorate

    def phase(self, node: NodeId, resource: ResourceName = DATA) -> Phase:
        return self.world.hosts[node].systemd.unit(WEB, resource).phase

    def violations(self) -> list[str]:
        return self.world.watch.violations
