# SPDX-License-Identifier: Apache-2.0
"""What exists once, and what several services use: on one node (I1), up while it is used (I12).

A unit of a shared resource is one service's use of it; the thing itself is there while any of them
is active. Says for itself what may be where. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable

from domains.model import NodeId
from rgmgr.core.actions import StopResource
from rgmgr.core.spec import ResourceName
from rgmgr.sim.excuses import Excuses
from rgmgr.sim.host import Host
from rgmgr.sim.phases import Phase
from rgmgr.sim.systemd import Unit

OF_ONE_NODE = "ip"
"""The drawn type of what exists once; shared units of other types may be on every node."""


class Shares:
    """Every use of a shared resource that is active anywhere."""

    def __init__(self, excuses: Excuses, violate: Callable[[str, str], None]) -> None:
        self._excuses = excuses
        self._violate = violate
        self._active: dict[ResourceName, dict[int, tuple[NodeId, Unit]]] = {}
        self._addresses: dict[int, tuple[NodeId, Unit]] = {}

    def changed(self, node: NodeId, unit: Unit) -> None:
        """A unit changed; called after the change, and after its excuse was noted."""
        if unit.address is not None:
            self._changed_address(node, unit)
        if unit.shared_type is None:
            return
        users = self._active.setdefault(unit.resource, {})
        if not unit.is_active:
            users.pop(id(unit), None)
            return
        users[id(unit)] = (node, unit)
        if unit.shared_type != OF_ONE_NODE or unit.phase is not Phase.STARTING:
            return
        found = [(n, u) for n, u in users.values() if self._excuses.count_out(u.service, [n])]
        if len({n for n, _ in found}) > 1:
            words = " and ".join(sorted(f"{u.service} on node {n}" for n, u in found))
            self._violate("I1", f"shared {unit.resource} is used by {words}")

    def _changed_address(self, node: NodeId, unit: Unit) -> None:
        if not unit.is_active:
            self._addresses.pop(id(unit), None)
            return
        self._addresses[id(unit)] = (node, unit)
        found = [
            (n, u)
            for n, u in self._addresses.values()
            if u.address == unit.address and self._excuses.count_out(u.service, [n])
        ]
        if unit.phase is Phase.STARTING and len(found) > 1:
            words = " and ".join(sorted(f"{u.service}/{u.resource} on node {n}" for n, u in found))
            self._violate("I1", f"{unit.address} is had by {words}")

    def stops(self, host: Host, action: StopResource) -> None:
        """A daemon is about to stop a use, or the thing itself with it."""
        if not action.resource.is_shared or host.daemon is None or host.is_behind:
            return
        what = f"node {host.node} lets go of {action.service}/{action.resource.name}"
        others = [
            unit
            for node, unit in self._active.get(action.resource.name, {}).values()
            if node == host.node and unit.service != action.service and not unit.is_excused
        ]
        local = host.daemon.state.local
        if action.is_kept:
            known = [
                s
                for s, names in local.active.items()
                if s != action.service and action.resource.name in names
            ]
            if not others and not known:
                self._violate("I12", f"{what}, leaves it up, and nobody else uses it")
            return
        for unit in others:
            job = local.jobs.get(unit.service)
            is_next = job is not None and job.step is not None and job.step.name == unit.resource
            if not is_next and unit.phase is not Phase.STOPPING:
                self._violate("I3", f"{what} and takes it down, and {unit.service} uses it")
