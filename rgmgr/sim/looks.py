# SPDX-License-Identifier: Apache-2.0
"""Daemons of a simulated cluster look at corosync's links, and hear how they are now."""

from __future__ import annotations

from collections.abc import Mapping

from domains.model import NodeId
from rgmgr.core.events import LinksLooked, LinkState
from rgmgr.sim.bus import Bus
from rgmgr.sim.engine import Engine
from rgmgr.sim.host import Host

PERIOD_MS = 1_000


class Looks:
    """Lets every daemon look, again and again."""

    def __init__(self, engine: Engine, bus: Bus, hosts: Mapping[NodeId, Host]) -> None:
        self._engine = engine
        self._bus = bus
        self._hosts = hosts
        self._was: dict[tuple[NodeId, NodeId], LinkState] = {}
        self._later()

    def _later(self) -> None:
        self._engine.after(PERIOD_MS, self._look)

    def _look(self) -> None:
        for host in self._hosts.values():
            if host.daemon is not None:
                states = tuple(self._state(host, other) for other in self._hosts.values())
                links = tuple(state for state in states if state.node != host.node)
                host.post(host.daemon, LinksLooked(links))
        self._later()

    def _state(self, host: Host, other: Host) -> LinkState:
        is_up = other.is_on and self._bus.network.hear_each_other(host.node, other.node)
        was = self._was.get((host.node, other.node))
        if was is not None and was.is_up == is_up:
            return was
        now_ms = host.clock_ms
        state = LinkState(
            node=other.node,
            link=0,
            is_up=is_up,
            first_ms=0 if was is None else now_ms,
            before_ms=0 if was is None else max(0, now_ms - PERIOD_MS),
            losses=0 if was is None else was.losses + (not is_up),
        )
        self._was[host.node, other.node] = state
        return state
