# SPDX-License-Identifier: Apache-2.0
"""Nothing is left behind (I12): what a member says of its units is compared with systemd's truth.

A node that says stopped, or goodbye, holds nothing. And nothing stays active on a member in good
standing that no record explains: it owns the service, was told to let go of it, or works on it.
Nor is anything missing that a record says is there, for longer than a failure takes to be noticed
(I10, while the world runs). It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import (
    Goodbye,
    Operation,
    ServiceFailed,
    ServiceStarted,
    ServiceStopped,
)
from rgmgr.core.model import After, ClusterState, Service, ServiceState
from rgmgr.core.standing import is_left_alone
from rgmgr.core.subtrees import names_off
from rgmgr.core.tree import start_order
from rgmgr.sim.daemon import Daemon
from rgmgr.sim.engine import Engine
from rgmgr.sim.excuses import Excuses
from rgmgr.sim.host import Host
from rgmgr.sim.phases import Phase

CHECK_EVERY_MS = 500
UNEXPLAINED_MAX_MS = 12_000
"""An epoch finds it out, and the stop it orders has to begin."""
Active = Mapping[ServiceName, Mapping[NodeId, int]]


class Leftovers:
    """Looks at every node of a world from its first moment on. `active` counts active units."""

    def __init__(
        self,
        engine: Engine,
        active: Active,
        excuses: Excuses,
        violate: Callable[[str, str], None],
    ) -> None:
        self._engine = engine
        self._hosts: Mapping[NodeId, Host] = {}
        self._active = active
        self._excuses = excuses
        self._violate = violate
        self._since_ms: dict[tuple[ServiceName, NodeId], int] = {}
        self._down_since_ms: dict[NodeId, dict[ServiceName, int]] = {}

    def begin(self, hosts: Mapping[NodeId, Host]) -> None:
        """Look at these nodes, now and then, from now on."""
        self._hosts = hosts
        self._look_later()

    def says(self, host: Host, operation: Operation) -> None:
        """A member is about to tell the others something."""
        body = operation.body
        if isinstance(body, ServiceStopped):
            self._check_stopped(host, body)
        elif isinstance(body, Goodbye):
            held = [name for name in self._active if self._holds(host.node, name)]
            if held:
                where = host.spec.node_name(host.node)
                self._violate("I12", f"{where} says goodbye and holds {', '.join(held)}")

    def _check_stopped(self, host: Host, body: ServiceStopped) -> None:
        """A word of another number than the record's, said again, tells of a lost branch: void."""
        name, service = body.service, _record(host, body.service)
        if service is None or body.op not in (service.op, service.cleanup_op):
            return
        is_repair = service.after is After.REPAIR
        if not is_repair and not host.is_behind and self._holds(host.node, name):
            where = host.spec.node_name(host.node)
            self._violate("I12", f"{where} says that {name} is stopped, and units are active")

    def _holds(self, node: NodeId, name: ServiceName) -> bool:
        is_active = bool(self._active.get(name, {}).get(node))
        return is_active and bool(self._excuses.count_out(name, [node]))

    def _look_later(self) -> None:
        self._engine.after(CHECK_EVERY_MS, self._look)

    def _look(self) -> None:
        for name, where in self._active.items():
            for node, count in where.items():
                if not count or self._is_explained(self._hosts[node], name):
                    self._since_ms.pop((name, node), None)
                    continue
                since_ms = self._since_ms.setdefault((name, node), self._engine.now_ms)
                if self._engine.now_ms - since_ms > UNEXPLAINED_MAX_MS:
                    words = f"{name} is active there, and no record says why"
                    self._violate("I12", f"{self._hosts[node].spec.node_name(node)}: {words}")
        for host in self._hosts.values():
            self._look_for_losses(host)
        self._look_later()

    def _look_for_losses(self, host: Host) -> None:
        """A service that should be up here is up, or its owner does something about it."""
        now_ms = self._engine.now_ms
        before_ms = self._down_since_ms.get(host.node, {})
        since_ms = {name: before_ms.get(name, now_ms) for name in _lost(host)}
        self._down_since_ms[host.node] = since_ms
        for name, since in since_ms.items():
            if now_ms - since > UNEXPLAINED_MAX_MS:
                where = host.spec.node_name(host.node)
                self._violate("I10", f"{name} is down on {where}, and its owner does not notice")

    def _is_explained(self, host: Host, name: ServiceName) -> bool:
        """Tell whether the records say why, or this node cannot be asked now."""
        daemon = host.daemon
        if daemon is None or daemon.is_paused or not self._holds(host.node, name):
            return True
        local, cluster = daemon.state.local, daemon.state.cluster
        service = cluster.services.get(name)
        return (
            service is None
            or host.node in (service.owner, service.landing)
            or name in local.jobs
            or host.node in service.cleanup
            or service.state is ServiceState.FAILED
            or not local.is_installed
            or bool(local.emergency)
            or host.node not in cluster.members()
        )


def _lost(host: Host) -> list[ServiceName]:
    """Return what this node owns and should have up, but has not, and has told nobody about."""
    daemon = host.daemon
    if daemon is None or not _can_know(host, daemon):
        return []
    services = daemon.state.cluster.services.values()
    mine = [s for s in services if s.owner == host.node and s.state is ServiceState.STARTED]
    down = [service for service in mine if not _is_up(host, service)]
    cluster = daemon.state.cluster
    lost = [s.spec.name for s in down if not _is_known(cluster, s)]
    if not lost:
        return []
    told = {
        sent.operation.body.service
        for sent in daemon.state.local.sent
        if isinstance(sent.operation.body, ServiceFailed | ServiceStarted) and not sent.applied_at
    }
    return [name for name in lost if name not in told]


def _is_known(cluster: ClusterState, service: Service) -> bool:
    """Tell whether nothing is done about it on purpose; nobody looks after what is frozen."""
    return bool(service.fault or service.frozen) and is_left_alone(cluster, service)


def _can_know(host: Host, daemon: Daemon) -> bool:
    """Tell whether the daemon of this node is a member, and hears systemd."""
    if daemon.is_paused or host.is_behind:
        return False
    local = daemon.state.local
    return local.is_installed and not local.emergency and not local.jobs


def _is_up(host: Host, service: Service) -> bool:
    units = host.systemd.units
    off = names_off(service)
    wanted = [r.name for r in start_order(service.spec) if r.name not in off]
    keys = [(service.spec.name, name) for name in wanted]
    return all(key in units and units[key].phase is Phase.ACTIVE for key in keys)


def _record(host: Host, name: ServiceName) -> Service | None:
    cluster: ClusterState | None = host.daemon.state.cluster if host.daemon else None
    return cluster.services.get(name) if cluster else None
