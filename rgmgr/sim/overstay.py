# SPDX-License-Identifier: Apache-2.0
"""Services that stay although their node has had no quorum for too long (I4).

Compares the truth of the bus with the truth of systemd, a few times per second; what the daemon
believes plays no part, for a wrong belief is what this must find. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domains.model import NodeId, ServiceName
from rgmgr.core.migration import why_not
from rgmgr.core.spec import ClusterSpec, NoQuorumPolicy, ServiceSpec
from rgmgr.core.standing import is_shielded
from rgmgr.core.stop_again import ARRIVAL_PAUSE_MS
from rgmgr.core.tree import start_order
from rgmgr.sim.bus import DETECTION_MS, DETECTION_SPREAD_MS, Bus
from rgmgr.sim.daemon import Daemon
from rgmgr.sim.engine import Engine
from rgmgr.sim.host import Host
from rgmgr.sim.network import Component
from rgmgr.sim.systemd import Unit

CHECK_EVERY_MS = 250
NEWS_MAX_MS = 1_000
"""The slowest network there is, the verdict after the view, and the time between two checks."""
HEED_MAX_MS = DETECTION_MS + DETECTION_SPREAD_MS + NEWS_MAX_MS
"""From the loss of quorum to the first stop."""

Report = Callable[[str, str], None]


@dataclass(slots=True, eq=False)
class _Lack:
    """A time without quorum during which nothing else changed for the daemon."""

    daemon: Daemon
    component: Component
    connection: int
    lost_ms: int | None  # when quorum was lost: it may have been there between two looks
    since_ms: int
    is_told: bool = False
    busy_ms: dict[ServiceName, int] = field(default_factory=dict)  # when it was last worked on
    up: set[ServiceName] = field(default_factory=set)  # at the latest look
    came_ms: dict[ServiceName, int] = field(default_factory=dict)  # when it came up, at the latest


class Overstay:
    """Looks at every node of a world from its first moment on."""

    def __init__(
        self,
        *,
        engine: Engine,
        bus: Bus,
        spec: ClusterSpec,
        hosts: Mapping[NodeId, Host],
        violate: Report,
    ) -> None:
        self._engine = engine
        self._bus = bus
        self._hosts = hosts
        self._violate = violate
        self._spec = spec
        self._lacks: dict[NodeId, _Lack] = {}
        self._met: dict[NodeId, Daemon] = {}
        self._look_later()

    def _look_later(self) -> None:
        self._engine.after(CHECK_EVERY_MS, self._look)

    def _look(self) -> None:
        for host in self._hosts.values():
            lack = self._lack_of(host)
            if lack is not None and not lack.is_told:
                self._check(host, lack)
        self._look_later()

    def _lack_of(self, host: Host) -> _Lack | None:
        """Return since when this node has had no quorum and a daemon that can know it.

        Not counted: a daemon that stands still, a corosync that does (it tells nothing, so only
        the others can act), and a daemon that has not met corosync in this life.
        """
        station, daemon = self._bus.stations[host.node], host.daemon
        if daemon is not None and station.client is not None:
            self._met[host.node] = daemon
        can_know = daemon is not None and not daemon.is_paused and not station.is_paused
        lost_ms = self._bus.inquorate_since_ms[host.node]
        has_quorum = lost_ms is None or _is_shielded(host)
        if daemon is None or has_quorum or not can_know or self._met.get(host.node) is not daemon:
            self._lacks.pop(host.node, None)
            return None
        component = self._bus.reach(host.node)
        lack = self._lacks.get(host.node)
        is_same = lack is not None and (
            lack.daemon,
            lack.component,
            lack.connection,
            lack.lost_ms,
        ) == (daemon, component, station.connection, lost_ms)
        if lack is None or not is_same:
            since_ms = max(self._engine.now_ms, lost_ms or 0)  # an arbiter's word may be on its way
            lack = _Lack(daemon, component, station.connection, lost_ms, since_ms)
            lack.up = _services_up(host)
            self._lacks[host.node] = lack
        return lack

    def _check(self, host: Host, lack: _Lack) -> None:
        for (name, _), unit in host.systemd.units.items():
            if unit.job is not None:
                lack.busy_ms[name] = self._engine.now_ms
        up = _services_up(host)
        lack.came_ms |= dict.fromkeys(up - lack.up, self._engine.now_ms)
        lack.up = up
        news_late_ms = self._bus.slack_ms + self._bus.quorum_slack_ms
        heed_max_ms = HEED_MAX_MS + news_late_ms + 3 * host.slack_ms
        lack_ms = self._engine.now_ms - lack.since_ms
        if lack_ms <= heed_max_ms:
            return
        for configured in self._spec.services:
            service = _as_known(host, configured)
            is_bound = _must_stop(self._spec, service) and not _is_frozen(host, service)
            if not is_bound or _is_orphan(host, service):
                continue
            if self._may_have_come(host, lack, service):
                continue
            units = [u for (name, _), u in host.systemd.units.items() if name == service.name]
            patient_ms = heed_max_ms + patience_ms(service) + 2 * len(units) * host.slack_ms
            idle_ms = self._engine.now_ms - lack.busy_ms.get(service.name, lack.since_ms)
            is_idle = idle_ms > host.slack_ms
            words = _reproach(units, is_late=lack_ms > patient_ms, is_idle=is_idle)
            if words is not None:
                where = f"{service.name} {words} on {self._spec.node_name(host.node)}"
                self._violate("I4", f"{where} after {lack_ms / 1000:.1f} s without quorum")
                lack.is_told = True

    def _may_have_come(self, host: Host, lack: _Lack, service: ServiceSpec) -> bool:
        """Tell whether another node has sent a machine here since the daemon could last look."""
        came_ms = lack.came_ms.get(service.name)
        if came_ms is None or why_not(service):
            return False
        return self._engine.now_ms - came_ms <= ARRIVAL_PAUSE_MS + CHECK_EVERY_MS + host.slack_ms


def patience_ms(service: ServiceSpec) -> int:
    """Return how long a service may take to stop, with the start that may have to end first."""
    resources = start_order(service)
    starts = max(r.start_timeout_ms for r in resources)
    return starts + sum(r.stop_timeout_ms for r in resources) + NEWS_MAX_MS


def _services_up(host: Host) -> set[ServiceName]:
    return {name for (name, _), unit in host.systemd.units.items() if unit.is_active}


def _reproach(units: list[Unit], *, is_late: bool, is_idle: bool) -> str | None:
    """Say what is wrong; nothing is with a service that is gone, or that refuses to stop.

    `is_idle`: a daemon that is slow has had the time for its next step.
    """
    active = [unit for unit in units if unit.is_active and not unit.is_excused]
    if not active or any(unit.has_refused for unit in active):
        return None
    names = ", ".join(unit.resource for unit in active)
    if is_late:
        return f"is still active ({names})"
    if not is_idle:
        return None
    return f"is left running ({names})"


def _as_known(host: Host, service: ServiceSpec) -> ServiceSpec:
    """Return the service as its node knows it: its tree may have changed since the beginning."""
    record = host.daemon.state.cluster.services.get(service.name) if host.daemon else None
    return record.spec if record else service


def _is_orphan(host: Host, service: ServiceSpec) -> bool:
    """Tell whether neither file nor state on this node has it any more, as when both were spoilt.

    Then nobody there knows how it is stopped.
    """
    known = host.daemon.state.cluster.services if host.daemon else {}
    in_file = any(spec.name == service.name for spec in host.spec.services)
    return not in_file and service.name not in known


def _is_frozen(host: Host, service: ServiceSpec) -> bool:
    """Tell whether somebody asked that it be left alone, as its node knows."""
    state = host.daemon.state.cluster if host.daemon else None
    record = state.services.get(service.name) if state else None
    is_fenced = state is not None and not state.spec.fencing.unsafe_disabled
    return record is not None and record.frozen and is_fenced


def _is_shielded(host: Host) -> bool:
    """Tell whether the cluster is disarmed for a while yet, by this node's own clock."""
    if host.daemon is None:
        return False
    state = host.daemon.state
    cluster_ms = host.clock_ms + state.local.clock_offset_ms
    return is_shielded(state.cluster, host.node, cluster_ms)


def _must_stop(spec: ClusterSpec, service: ServiceSpec) -> bool:
    policy = service.no_quorum_policy or spec.no_quorum_policy
    return policy in (NoQuorumPolicy.STOP, NoQuorumPolicy.SUICIDE)
