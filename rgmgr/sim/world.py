# SPDX-License-Identifier: Apache-2.0
"""One simulated cluster: hosts, bus, power, and what happens to them.

Owns the truth about what runs where. Built from a `Script`; driven by `run.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from domains.model import NodeId
from rgmgr.core.events import Shutdown
from rgmgr.core.messages import FenceOrder, FenceRequest, Request
from rgmgr.sim.bus import PATH_MS, Bus
from rgmgr.sim.engine import Dice, Engine, dice
from rgmgr.sim.faults import (
    Ambush,
    Ask,
    AskFence,
    CorosyncCrash,
    CorosyncPause,
    DaemonCrash,
    DaemonPause,
    DaemonRestart,
    DaemonStop,
    DevicesUnreachable,
    DeviceTrouble,
    Fault,
    Moment,
    NodePause,
    Partition,
    PowerLoss,
    Script,
    SlowDisk,
    SlowNetwork,
    UnitDeath,
    UnitTrouble,
    in_words,
)
from rgmgr.sim.host import Host
from rgmgr.sim.overstay import Overstay
from rgmgr.sim.power import Device, Power
from rgmgr.sim.systemd import Mood, Systemd, UnitEvent
from rgmgr.sim.trace import Trace
from rgmgr.sim.watch import Watch

HUMAN_SWITCHES_ON_MS = (5_000, 15_000)


class World:
    """A cluster from its first boot on."""

    def __init__(self, script: Script) -> None:
        self.spec = script.spec
        self.engine = Engine()
        self.trace = Trace()
        self._dice: Dice = dice(script.seed, "world")
        nodes = sorted(script.spec.nodes)
        self.bus = Bus(self.engine, self._dice, nodes)
        self.watch = Watch(self.engine, self.bus, script.spec, self.trace)
        self.power = Power(self.engine, self._dice, self._cut_power, self._switch_on)
        self.power.is_alive = self._is_alive
        self.power.is_on = lambda node: self.hosts[node].is_on
        self.hosts = {node: self._make_host(node) for node in nodes}
        Overstay(
            engine=self.engine,
            bus=self.bus,
            spec=script.spec,
            hosts=self.hosts,
            violate=self.watch.violate,
        )
        self._request_number = 0
        self._is_over = False
        self._ambushes: list[Ambush] = []
        self.watch.ambush = self._spring
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
            systemd=Systemd(node, self.engine, self._dice, self.watch.unit_changed, orphan),
            observer=self.watch,
        )

    def tell(self, node: NodeId | None, words: str, *facts: object) -> None:
        """Add a line to the story."""
        self.trace.tell(self.engine.now_ms, node, words, *facts)

    # Power.

    def _is_alive(self, node: NodeId, incarnation: int) -> bool:
        daemon = self.hosts[node].daemon
        return daemon is not None and daemon.incarnation == incarnation

    def _cut_power(self, node: NodeId, why: str) -> None:
        """A device switches a node off; whoever walks by switches it on again, some day."""
        self.tell(node, "is switched off ({})", why)
        self.hosts[node].switch_off()
        self.engine.after(self._dice.randint(*HUMAN_SWITCHES_ON_MS), lambda: self._switch_on(node))

    def _switch_on(self, node: NodeId) -> None:
        if not self.hosts[node].is_on:
            self.tell(node, "boots")
            self.hosts[node].switch_on()

    # Faults.

    def plan(self, fault: Fault) -> None:
        """Let a fault happen at its time."""
        self.engine.after(fault.at_ms - self.engine.now_ms, lambda: self._happen(fault))

    def _happen(self, fault: Fault) -> None:
        self.tell(None, "! {}", in_words(fault, self.spec))
        match fault:
            case Ask():
                self._ask(fault)
            case AskFence():
                self._ask_fence(fault)
            case Ambush():
                self._ambushes.append(fault)
            case Partition(sides=sides, for_ms=for_ms):
                self.bus.divide(sides)
                self._later(for_ms, "the network is whole again", self.bus.heal)
            case SlowNetwork(delay_ms=delay_ms, for_ms=for_ms):
                self.bus.delay_max_ms = delay_ms
                self._later(for_ms, "the network is fast again", self._speed_up)
            case UnitDeath(service=service, resource=resource):
                for host in self.hosts.values():
                    host.systemd.die(service, resource)
            case DeviceTrouble() | DevicesUnreachable() | UnitTrouble() | SlowDisk():
                self._trouble(fault)
            case _:
                self._happen_to(self.hosts[fault.node], fault)

    def _spring(self, node: NodeId, moment: Moment) -> None:
        """Let the fault that waited for this happen at once, or as good as at once."""
        for ambush in self._ambushes:
            is_late = self.engine.now_ms > ambush.at_ms + ambush.for_ms
            if (ambush.node, ambush.moment) == (node, moment) and not is_late:
                self._ambushes.remove(ambush)
                self._later(
                    self._dice.choice((0, 0, 1, 3)), None, partial(self._happen, ambush.strike)
                )
                return

    def _happen_to(self, host: Host, fault: Fault) -> None:  # noqa: C901 - one arm per kind
        """Let a process or a whole node fail."""
        match fault:
            case PowerLoss():
                host.switch_off()
                self._later(fault.for_ms, None, lambda: self._switch_on(host.node))
            case DaemonCrash(amid=None):
                host.crash_daemon()
                self._later(fault.for_ms, None, host.start_daemon)
            case DaemonCrash(amid=amid):
                if host.daemon is not None:
                    host.daemon.dies_within = amid
                self._later(fault.for_ms + 500, None, host.start_daemon)
            case DaemonPause():
                host.pause_daemon()
                self._later(fault.for_ms, None, host.resume_daemon)
            case DaemonStop():
                host.shut_down(Shutdown.STOP)
                self._later(fault.for_ms + 3_000, None, lambda: self._start_again(host))
            case DaemonRestart():
                host.shut_down(Shutdown.RESTART)
            case CorosyncCrash():
                boot = host.boots
                self.bus.crash(host.node, "corosync is gone")
                self._later(fault.for_ms, None, lambda: host.start_corosync(boot))
            case CorosyncPause():
                self.bus.pause(host.node)
                self._later(fault.for_ms, None, lambda: self.bus.resume(host.node))
            case NodePause():
                self.bus.pause(host.node)
                host.pause_daemon()
                self._later(fault.for_ms, None, lambda: self._wake(host))
            case _:
                pass

    def _wake(self, host: Host) -> None:
        self.bus.resume(host.node)
        host.resume_daemon()

    def _start_again(self, host: Host) -> None:
        """Start a daemon that an administrator had stopped; one still stopping goes first."""
        host.wants_daemon = True
        if host.daemon is None:
            host.start_daemon()
        elif host.daemon.shutdown is Shutdown.STOP:
            self.engine.after(1_000, lambda: self._start_again(host))

    def _trouble(self, fault: DeviceTrouble | DevicesUnreachable | UnitTrouble | SlowDisk) -> None:
        node = fault.node
        match fault:
            case DeviceTrouble(device=device):
                self.power.devices[node] = device
                self._later(fault.for_ms, None, lambda: self._mend(node))
            case DevicesUnreachable():
                self.power.cut_off[node] = None
                self._later(fault.for_ms, None, lambda: self._mend(node))
            case UnitTrouble(service=service, resource=resource, mood=mood):
                unit = self.hosts[node].systemd.unit(service, resource)
                unit.mood = mood

                def behave() -> None:
                    unit.mood = Mood.GOOD

                self._later(fault.for_ms, None, behave)
            case SlowDisk(delay_ms=delay_ms):
                disk = self.hosts[node].disk
                disk.slow_ms = delay_ms

                def unclog() -> None:
                    disk.slow_ms = 0

                self._later(fault.for_ms, None, unclog)

    def _mend(self, node: NodeId) -> None:
        self.power.devices[node] = Device.GOOD
        self.power.cut_off.pop(node, None)

    def _speed_up(self) -> None:
        self.bus.delay_max_ms = PATH_MS

    def _later(self, delay_ms: int, words: str | None, call: Callable[[], None]) -> None:
        """End a fault, unless the world has been made whole before."""

        def end() -> None:
            if not self._is_over:
                if words is not None:
                    self.tell(None, "! {}", words)
                call()

        self.engine.after(delay_ms, end)

    def _ask(self, fault: Ask) -> None:
        self._request_number += 1
        self.hosts[fault.node].ask(
            Request(
                number=self._request_number,
                verb=fault.verb,
                service=fault.service,
                target=fault.target,
            )
        )

    def _ask_fence(self, fault: AskFence) -> None:
        if fault.order is FenceOrder.ACK and self.hosts[fault.victim].is_on:
            return  # who has looked does not say that it is off
        self._request_number += 1
        self.hosts[fault.node].ask(
            FenceRequest(
                number=self._request_number,
                order=fault.order,
                node=fault.victim,
                by="an operator",
            )
        )

    # The end.

    def make_whole(self) -> None:
        """End every fault: all is powered, connected and obedient from here on."""
        self._is_over = True
        self.tell(None, "! all faults are over")
        for host in self.hosts.values():
            self._mend(host.node)
            host.disk.slow_ms = 0
            host.systemd.calm()
            self.bus.resume(host.node)
            host.resume_daemon()
            if host.daemon is not None:
                host.daemon.dies_within = None
        self._speed_up()
        self.bus.heal()
        self.start_all()

    def start_all(self) -> None:
        """Start whatever does not run: nodes, corosync, daemons."""
        for host in self.hosts.values():
            if not host.is_on:
                self._switch_on(host.node)
                continue
            if not self.bus.stations[host.node].is_up:
                host.start_corosync(host.boots)
            self._start_again(host)

    def ask(self, request: Ask | AskFence) -> None:
        """Let an operator ask now."""
        self._happen(request)
