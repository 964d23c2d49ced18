# SPDX-License-Identifier: Apache-2.0
"""One simulated cluster: hosts, bus, power, and what happens to them.

Owns the truth about what runs where. Built from a `Script`; driven by `run.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from domains.model import NodeId, ServiceName
from rgmgr.core.events import Shutdown
from rgmgr.core.messages import AnyRequest, FenceOrder, FenceRequest, MaintenanceRequest, Request
from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.bus import Bus
from rgmgr.sim.edits import Edit, edited
from rgmgr.sim.engine import Dice, Engine, dice
from rgmgr.sim.faults import (
    Ambush,
    Ask,
    AskFence,
    AskMaintenance,
    ConfigChange,
    Fault,
    Script,
)
from rgmgr.sim.happen import happen
from rgmgr.sim.host import Host
from rgmgr.sim.looks import Looks
from rgmgr.sim.moments import Moment
from rgmgr.sim.overstay import Overstay
from rgmgr.sim.pace import Calm, Pace
from rgmgr.sim.power import Power
from rgmgr.sim.systemd import Systemd, UnitEvent
from rgmgr.sim.trace import Trace
from rgmgr.sim.votes import TieBreaker
from rgmgr.sim.watch import Watch
from rgmgr.sim.watchdog import Watchdog
from rgmgr.sim.words import in_words

HUMAN_SWITCHES_ON_MS = (5_000, 15_000)
RESET_MS = (500, 3_000)

TextKey = tuple[int, Edit, ServiceName | None, NodeId | None]


class World:
    """A cluster from its first boot on.

    Without a seed nothing is left to chance. With a `pace` neither is anything, nobody is switched
    on by itself, and what is switched off stays off: the world is what its maker makes of it.
    """

    def __init__(self, script: Script, pace: Pace | None = None) -> None:
        self.spec = script.spec
        self.engine = Engine()
        self.trace = Trace()
        self.pace = pace
        is_left_to_chance = pace is None and script.seed is not None
        self._dice: Dice = dice(script.seed or 0, "world") if is_left_to_chance else Calm()
        nodes = sorted(script.spec.nodes)
        self.bus = Bus(self.engine, self._dice, nodes, is_two_node=script.is_two_node)
        self.bus.break_ties(script.tie_breaker)
        self.watch = Watch(self.engine, self.bus, script.spec, self.trace)
        self.power = Power(self.engine, self._dice, self._cut_power, self.switch_on)
        self.power.is_alive = self._is_alive
        self.power.lied = self._lied
        self.power.is_on = lambda node: self.hosts[node].is_on
        self.hosts = {node: self._make_host(node) for node in nodes}
        for host in self.hosts.values():
            host.systemd.find = self._systemd_of
        Overstay(
            engine=self.engine,
            bus=self.bus,
            spec=script.spec,
            hosts=self.hosts,
            violate=self.watch.violate,
        )
        for host in self.hosts.values():
            host.keeps_step = script.keeps_step
        self.watch.jury.begin(self.hosts)
        if script.tie_breaker is not TieBreaker.NONE:  # all others keep the sequence of their dice
            Looks(self.engine, self.bus, self.hosts)
        self._texts: dict[TextKey, ClusterSpec] = {}
        self._request_number = 0
        self._is_over = False
        self._ambushes: list[Ambush] = []
        self.watch.ambush = self._spring
        if pace is not None:
            self.bus.detection_ms = pace.detection_ms
            self.power.pace = pace
            return
        for host in self.hosts.values():
            self.engine.after(self._dice.randint(0, 1_500), host.switch_on)

    def _make_host(self, node: NodeId) -> Host:
        def orphan(event: UnitEvent) -> None:
            self.hosts[node].unit_failed(event)

        return Host(
            node,
            spec=self.spec,
            engine=self.engine,
            dice=self._dice,
            bus=self.bus,
            power=self.power,
            systemd=Systemd(
                node, self.engine, self._dice, self.watch.unit_changed, orphan, pace=self.pace
            ),
            watchdog=Watchdog(self.engine, self._dice, lambda: self._reset(node)),
            observer=self.watch,
        )

    def _systemd_of(self, node: NodeId) -> Systemd | None:
        host = self.hosts.get(node)
        return host.systemd if host is not None and host.is_on else None

    def tell(self, node: NodeId | None, words: str, *facts: object) -> None:
        """Add a line to the story."""
        self.trace.tell(self.engine.now_ms, node, words, *facts)

    # Power.

    def _is_alive(self, node: NodeId, incarnation: int) -> bool:
        daemon = self.hosts[node].daemon
        return daemon is not None and daemon.incarnation == incarnation

    def _lied(self, node: NodeId) -> None:
        """A device says off, and the node runs: what it runs beside others is the device's."""
        if self.hosts[node].is_on:
            self.tell(node, "is said to be off and is not")
            self.watch.lied(node)

    def _cut_power(self, node: NodeId, why: str) -> None:
        """A device switches a node off; whoever walks by switches it on again, some day."""
        self.tell(node, "is switched off ({})", why)
        self.hosts[node].switch_off()
        self.engine.after(self._dice.randint(*HUMAN_SWITCHES_ON_MS), lambda: self.switch_on(node))

    def _reset(self, node: NodeId) -> None:
        """Its watchdog was not fed in time."""
        self.tell(node, "is reset by its watchdog")
        self.hosts[node].switch_off()
        self.engine.after(self._dice.randint(*RESET_MS), lambda: self.switch_on(node))

    def switch_on(self, node: NodeId) -> None:
        """Boot a node, unless it runs or nothing is left to chance."""
        if self.pace is None and not self.hosts[node].is_on:
            self.tell(node, "boots")
            self.hosts[node].switch_on()

    # Faults.

    def plan(self, fault: Fault) -> None:
        """Let a fault happen at its time."""
        self.engine.after(fault.at_ms - self.engine.now_ms, lambda: self._happen(fault))

    def _happen(self, fault: Fault) -> None:
        self.tell(None, "! {}", in_words(fault, self.spec))
        if isinstance(fault, Ambush):
            self._ambushes.append(fault)
        else:
            happen(self, fault)

    def _spring(self, node: NodeId, moment: Moment) -> None:
        """Let the fault that waited for this happen at once, or as good as at once."""
        for ambush in self._ambushes:
            is_late = self.engine.now_ms > ambush.at_ms + ambush.for_ms
            if (ambush.node, ambush.moment) == (node, moment) and not is_late:
                self._ambushes.remove(ambush)
                self.later(self._dice.choice((0, 0, 1, 3)), partial(self._happen, ambush.strike))
                return

    def later(self, delay_ms: int, call: Callable[[], object], words: str | None = None) -> None:
        """End a fault, or go on with it, unless the world has been made whole before."""

        def end() -> None:
            if not self._is_over:
                if words is not None:
                    self.tell(None, "! {}", words)
                call()

        self.engine.after(delay_ms, end)

    def start_again(self, host: Host) -> None:
        """Start a daemon that an administrator had stopped; one still stopping goes first."""
        host.wants_daemon = True
        if host.daemon is None:
            host.start_daemon()
        elif host.daemon.shutdown is Shutdown.STOP:
            self.engine.after(1_000, lambda: self.start_again(host))

    def pass_on(self, fault: Ask | AskFence | AskMaintenance) -> None:
        """Take an operator's request to the daemon, if there is one to ask."""
        is_ack = isinstance(fault, AskFence) and fault.order is FenceOrder.ACK
        if isinstance(fault, AskFence) and is_ack and self.hosts[fault.victim].is_on:
            return  # who has looked does not lie
        self._request_number += 1
        self.hosts[fault.node].ask(_request(fault, self._request_number))

    # The configuration.

    def change_config(self, fault: ConfigChange) -> None:
        """Put a text on nodes; it is made when its version is first named with its edit."""
        key = (fault.version, fault.edit, fault.service, fault.node)
        if key not in self._texts:
            older = [text for text in self._texts.values() if text.version < fault.version]
            self._texts[key] = edited(
                max(older, key=lambda text: text.version, default=self.spec),
                fault.edit,
                version=fault.version,
                service=fault.service,
                node=fault.node,
                first=self.spec,
            )
        for node in fault.nodes:
            self.hosts[node].put_config(self._texts[key], is_loaded=fault.is_loaded)

    def configured(self) -> list[Host]:
        """Return the nodes that the newest configuration has."""
        nodes = self._newest_text().nodes
        return [host for host in self.hosts.values() if host.node in nodes]

    def _newest_text(self) -> ClusterSpec:
        """Return the text that counts in the end: of one version, the one that was agreed."""
        specs = [h.daemon.state.cluster.spec for h in self.hosts.values() if h.daemon is not None]
        texts = (*specs, *self._texts.values(), self.spec)
        return max(texts, key=lambda text: text.version)

    # The end.

    def make_whole(self) -> None:
        """End every fault: all is powered, connected and obedient from here on."""
        self._is_over = True
        self.tell(None, "! all faults are over")
        for host in self.hosts.values():
            host.mend()
            host.put_config(self._newest_text(), is_loaded=True)
            self.bus.release_sends(host.node)
            self.bus.resume(host.node)
            host.resume_daemon()
            if host.daemon is not None:
                host.daemon.dies_within = None
        self.power.mend_all()
        self.bus.speed_up()
        self.bus.slow_quorum(0)
        self.bus.heal()
        self.start_all()

    def start_all(self) -> None:
        """Start whatever does not run: nodes, corosync, daemons."""
        for host in self.hosts.values():
            if not host.is_on:
                self.switch_on(host.node)
                continue
            if not self.bus.stations[host.node].is_up:
                host.start_corosync(host.boots)
            self.start_again(host)

    def ask(self, request: Ask | AskFence | AskMaintenance) -> None:
        """Let an operator ask now."""
        self._happen(request)


def _request(fault: Ask | AskFence | AskMaintenance, number: int) -> AnyRequest:
    """Return what the core is asked."""
    by = "an operator"
    match fault:
        case Ask(verb=verb, service=service, target=target):
            return Request(number=number, verb=verb, service=service, target=target)
        case AskFence(order=fence_order, victim=victim):
            return FenceRequest(number=number, order=fence_order, node=victim, by=by)
        case AskMaintenance(order=order, victim=subject):
            return MaintenanceRequest(
                number=number,
                order=order,
                node=subject,
                by=by,
                for_ms=fault.for_ms,
                brings_back=fault.brings_back,
            )
