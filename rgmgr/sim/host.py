# SPDX-License-Identifier: Apache-2.0
"""One simulated node: power, clock, corosync, systemd, disk, and the daemon with the real core.

The daemon here is what `rgmgr.runtime` is on a real node: it feeds one event at a time to the
core and carries out the actions in order. It decides nothing.
"""

from __future__ import annotations

from functools import partial

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import (
    Action,
    ArmWatchdog,
    CancelTimer,
    DisarmWatchdog,
    EndFence,
    Exit,
    FeedWatchdog,
    FenceNode,
    MigrateResource,
    Multicast,
    RebootNode,
    Record,
    Reply,
    ResumeChecks,
    SaveState,
    SendPing,
    SetTimer,
    StartResource,
    StopResource,
    SuspendChecks,
    SwitchOn,
    TestPaths,
)
from rgmgr.core.events import (
    ConfigLoaded,
    Event,
    ProbeFinished,
    Requested,
    ResourceFailed,
    ResourceStartFailed,
    ResourceStopped,
    ServiceProbed,
    Shutdown,
    ShutdownRequested,
    TimerFired,
    WatchdogArmed,
)
from rgmgr.core.machine import begin, step
from rgmgr.core.messages import PROTOCOL_MAX, PROTOCOL_MIN, AnyRequest
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.sync import EX_CONFIG
from rgmgr.sim.bus import Bus
from rgmgr.sim.daemon import Daemon, keep_step, put_off_timers
from rgmgr.sim.disk import Disk, DiskMood
from rgmgr.sim.engine import Call, Dice, Engine
from rgmgr.sim.line import Line
from rgmgr.sim.observer import Observer
from rgmgr.sim.outside import Outside
from rgmgr.sim.power import Power
from rgmgr.sim.rings import BusEvent
from rgmgr.sim.systemd import FOR_EVER_MS, Systemd, UnitEvent
from rgmgr.sim.watchdog import Watchdog

COROSYNC_START_MS = (200, 1_200)
DAEMON_START_MS = (50, 400)
RECONNECT_MS = (50, 500)
RESTART_MS = 500
REBOOT_MS = (1_000, 3_000)


class Host:
    """One node."""

    def __init__(
        self,
        node: NodeId,
        *,
        spec: ClusterSpec,
        engine: Engine,
        dice: Dice,
        bus: Bus,
        power: Power,
        systemd: Systemd,
        watchdog: Watchdog,
        observer: Observer,
    ) -> None:
        self.node = node
        self.spec = self._complete = spec
        self.systemd = systemd
        self.watchdog = watchdog
        self.line = Line(engine, dice, systemd)
        self.disk = Disk(engine, dice)
        self.is_on = False
        self.boots = 0
        self.daemon: Daemon | None = None
        self.wants_daemon = True  # False: an administrator stopped it
        self.protocols = (PROTOCOL_MIN, PROTOCOL_MAX)  # of the rgmgrd that is installed here
        self.slow_ms = 0  # how long an event may wait for its turn
        self.keeps_step = False  # its ticks go when another's come
        self._slack_ms = 0
        self.woken_ms = -LEASE_MS  # when its clock last went on as if nothing had been
        self._engine = engine
        self._dice = dice
        self._bus = bus
        self._power = power
        self._observer = observer
        self._clock_zero_ms = 0
        self.outside = Outside(engine)
        self._suspended_ms: int | None = None
        self._cuts = 0  # how often it was switched off, also while it was off

    @property
    def boot_id(self) -> str:
        """Another one after each boot."""
        return f"boot-{self.node}-{self.boots}"

    @property
    def clock_ms(self) -> int:
        """The node's own monotonic clock."""
        return self._engine.now_ms - self._clock_zero_ms

    @property
    def is_behind(self) -> bool:
        """Whether the daemon has not yet heard of all that has happened here."""
        daemon = self.daemon
        is_late = daemon is not None and (daemon.inbox or daemon.due_ms >= self._engine.now_ms)
        return bool(is_late) or self.line.is_behind

    @property
    def slack_ms(self) -> int:
        """How much longer than usual the daemon may take for one thing, at worst."""
        return self._slack_ms + self.line.slack_ms

    @property
    def is_dazed(self) -> bool:
        """Whether nothing on this node can tell that it stood still a moment ago."""
        return self._engine.now_ms - self.woken_ms <= LEASE_MS

    # Power and processes.

    def switch_on(self) -> None:
        """Boot; one that runs already goes on."""
        if self.is_on:
            return
        self.is_on = True
        self.boots += 1
        self._clock_zero_ms = self._engine.now_ms - self._dice.randint(1_000, 60_000)
        boot = self.boots
        self._later(COROSYNC_START_MS, lambda: self.start_corosync(boot))

    def switch_off(self) -> None:
        """Lose power: everything but the disk is gone."""
        self._cuts += 1
        if not self.is_on:
            return
        self.is_on = False
        self._suspended_ms = None
        self._end_daemon("power lost", says_leave=False)
        self._bus.crash(self.node, None)
        self.watchdog.disarm()
        self.disk.lose_power()
        self.systemd.power_off()

    def _reboot(self) -> None:
        """Go down at once and come up again, unless somebody switches the node off meanwhile."""
        self.switch_off()
        boot = self._cuts
        self._engine.after(
            self._dice.randint(*REBOOT_MS), lambda: self.switch_on() if self._cuts == boot else None
        )

    def start_corosync(self, boot: int) -> None:
        """Start corosync, and the daemon after it, if this is still the same boot."""
        if not self.is_on or boot != self.boots or self._bus.stations[self.node].is_up:
            return
        self._bus.start(self.node)
        if self.daemon is not None:
            daemon = self.daemon
            self._later(RECONNECT_MS, lambda: self._connect(daemon))
        elif self.wants_daemon:
            self._later(DAEMON_START_MS, self.start_daemon)

    def start_daemon(self) -> None:
        """Begin a new life from what is on the disk."""
        if not self.is_on or self.daemon is not None:
            return
        self.wants_daemon = True
        if self.disk.mood is DiskMood.FAILS:  # to begin without it would forget what was said
            self._later((RESTART_MS, RESTART_MS), self._restart)
            return
        incarnation = self._dice.getrandbits(62) + 1
        state = begin(
            me=self.node,
            incarnation=incarnation,
            boot_id=self.boot_id,
            spec=self.spec if self.disk.saved else self._complete,
            saved=self.disk.saved,
            protocols=self.protocols,
            watchdog_ms=self.watchdog.begin(self.spec, is_two_node=self._bus.votes.is_two_node),
            is_armed=self.watchdog.is_armed,
        )
        daemon = Daemon(incarnation, state, self._engine.now_ms)
        self.daemon = daemon
        self._observer.began(self)
        self._later((1, 40), lambda: self.line.when_back(lambda: self._probe(daemon)))
        self._later((1, 60), lambda: self._connect(daemon))

    def crash_daemon(self, reason: str = "killed") -> None:
        """SIGKILL; its units go on."""
        self._end_daemon(reason, says_leave=True)

    def shut_down(self, kind: Shutdown) -> None:
        """SIGTERM, with what systemd does with our unit."""
        if kind is Shutdown.STOP:
            self.wants_daemon = False
        if self.daemon is not None:
            self.daemon.shutdown = kind
            self.post(self.daemon, ShutdownRequested(kind))

    def pause_daemon(self) -> None:
        """SIGSTOP: events wait; its units go on."""
        if self.daemon is not None:
            self.daemon.is_paused = True
            self.watchdog.stand_still(self.daemon.state, self.clock_ms)

    def resume_daemon(self) -> None:
        """SIGCONT: all that waited arrives, in order."""
        daemon = self.daemon
        if daemon is None:
            return
        daemon.is_paused = False
        self.watchdog.go_on()
        while daemon.inbox and not daemon.is_over:
            self._step(daemon, daemon.inbox.popleft())

    def suspend(self) -> None:
        """Stand still as a whole."""
        if not self.is_on or self._suspended_ms is not None:
            return
        self._suspended_ms = self._engine.now_ms
        self._bus.pause(self.node)
        self.systemd.freeze()
        self.pause_daemon()
        put_off_timers(self.daemon, FOR_EVER_MS, self._engine)

    def wake(self, *, does_clock_stop: bool) -> None:
        """Go on; the clock shows how long it was, or does not."""
        if self._suspended_ms is None:
            return
        slept_ms, self._suspended_ms = self._engine.now_ms - self._suspended_ms, None
        if does_clock_stop:
            self._clock_zero_ms += slept_ms
            self._slack_ms = 0
        self.woken_ms = self._engine.now_ms
        self.systemd.thaw()
        put_off_timers(self.daemon, slept_ms - FOR_EVER_MS, self._engine)
        self._bus.resume(self.node)
        self.resume_daemon()

    def make_slow(self, delay_ms: int) -> None:
        """Let each event wait for its turn, up to so long."""
        self.slow_ms, self._slack_ms = delay_ms, max(self._slack_ms, delay_ms)

    def make_fast(self) -> None:
        """Let events have their turn at once."""
        self.slow_ms = 0

    def mend(self) -> None:
        """End whatever is wrong with this node's machinery."""
        self.slow_ms = self.line.slow_ms = 0
        self.disk.mend()
        self.systemd.calm()
        self.wake(does_clock_stop=False)
        self.regain_systemd()

    def put_config(self, spec: ClusterSpec, *, is_loaded: bool) -> None:
        """Put another cluster.toml here. Without a state, none that lacks a node is begun with."""
        self.spec = spec
        if self._bus.stations.keys() <= spec.nodes.keys():
            self._complete = spec
        if is_loaded and self.daemon is not None:
            self.post(self.daemon, ConfigLoaded(spec))

    def ask(self, request: AnyRequest) -> None:
        """Pass on an operator's request, if there is a daemon to ask."""
        if self.daemon is not None:
            self._observer.asked(self, request)
            self.post(self.daemon, Requested(request))

    def unit_failed(self, event: UnitEvent) -> None:
        """A unit failed by itself: whichever daemon runs hears it from systemd."""
        self.line.news(event, self._hear_of_unit)

    def _hear_of_unit(self, event: UnitEvent) -> None:
        if self.daemon is not None:
            self.post(self.daemon, event)

    def start_by_hand(self, service: ServiceName, resource: ResourceName) -> None:
        """Start a unit as an administrator does; systemd's news make the daemon look again."""
        if self.is_on:
            self.systemd.start_by_hand(service, resource)
            self.line.when_back(self._look_again)

    def regain_systemd(self) -> None:
        """Connect to systemd anew, and look at everything again."""
        if not self.line.is_lost:
            return
        self.line.recover()
        self._look_again()

    def _look_again(self) -> None:
        """Tell what is active, but for services that are being worked on."""
        if self.daemon is not None and self.daemon.has_probed:
            self._tell_active(self.daemon, but_not_busy=True)

    # The pump.

    def post(self, daemon: Daemon, event: Event) -> None:
        """Feed one event to a daemon, or keep it while that is stopped."""
        if daemon.is_over:
            return
        if self.slow_ms or daemon.due_ms > self._engine.now_ms:
            due_ms = self._engine.now_ms + self._dice.randint(0, self.slow_ms)
            daemon.due_ms = max(daemon.due_ms, due_ms)
            self._engine.after(
                daemon.due_ms - self._engine.now_ms, lambda: self._take(daemon, event)
            )
        else:
            self._take(daemon, event)

    def _take(self, daemon: Daemon, event: Event) -> None:
        if daemon.is_over:
            return
        if daemon.is_paused:
            daemon.inbox.append(event)
        else:
            self._step(daemon, event)
            if self.keeps_step:
                keep_step(daemon, event, self._engine)

    def _step(self, daemon: Daemon, event: Event) -> None:
        before = daemon.state
        result = step(before, event, self.clock_ms)
        daemon.state = result.state
        self._observer.stepped(self, event, before)
        for action in result.actions:
            if daemon.is_over:
                return
            if daemon.dies_within is not None:
                daemon.dies_within -= 1
                if daemon.dies_within < 0:
                    self.crash_daemon("killed amid its work")
                    return
            self._observer.acts(self, action)
            self._act(daemon, action)

    def _act(self, daemon: Daemon, action: Action) -> None:  # noqa: C901, PLR0912 - one arm per kind
        match action:
            case Multicast(message):
                self._bus.multicast(self.node, self.outside.stamped(message))
            case SetTimer(key, _) | CancelTimer(key):
                if alarm := daemon.timers.pop(key, None):
                    alarm.cancel()
                if isinstance(action, SetTimer):
                    self._set_timer(daemon, key, action.after_ms)
            case StartResource() | StopResource() | MigrateResource():
                self.line.ask(action, lambda event: self._unit_answer(daemon, event))
            case FenceNode() | EndFence() | SwitchOn() | TestPaths():
                self._power.heed(self.node, daemon.incarnation, action, partial(self.post, daemon))
            case ArmWatchdog() | FeedWatchdog() | DisarmWatchdog():
                self.watchdog.heed(action, lambda: self.post(daemon, WatchdogArmed()))
            case RebootNode():
                self._reboot()
            case SaveState(state):
                self.disk.save(state, partial(self.post, daemon))
            case SendPing():
                self.outside.ping(action, partial(self.post, daemon))
            case Exit(status, reason):
                self._exit(daemon, status, reason)
            case ResumeChecks(service):
                self.line.when_back(lambda: self._probe_one(daemon, service))
            case SuspendChecks() | Reply() | Record():
                pass  # units here have no checks, and the observer has seen the rest

    def _set_timer(self, daemon: Daemon, key: str, after_ms: int) -> None:
        def fire() -> None:
            daemon.timers.pop(key, None)
            self.post(daemon, TimerFired(key))

        daemon.timers[key] = self._engine.after(max(1, after_ms), fire)

    def _unit_answer(self, daemon: Daemon, event: UnitEvent) -> None:
        """Answer who asked; a later daemon only sees that a unit it found has gone."""
        if not daemon.is_over:
            self.post(daemon, event)
            return
        is_end = isinstance(event, ResourceStartFailed | ResourceStopped)
        if is_end and not self.systemd.unit(event.service, event.resource).is_active:
            reason = "went down with a job of an earlier daemon"
            self.unit_failed(
                ResourceFailed(service=event.service, resource=event.resource, reason=reason)
            )

    def _probe(self, daemon: Daemon) -> None:
        self._tell_active(daemon, but_not_busy=False)
        daemon.has_probed = True
        self.post(daemon, ProbeFinished())

    def _probe_one(self, daemon: Daemon, service: ServiceName) -> None:
        active, doubtful = self.systemd.active(service), self.systemd.doubtful(service)
        self.post(daemon, ServiceProbed(service=service, active=active, doubtful=doubtful))

    def _tell_active(self, daemon: Daemon, *, but_not_busy: bool) -> None:
        """Tell what is active of each service, configured or left over."""
        left_over = (unit.service for unit in self.systemd.running())
        names = dict.fromkeys((*daemon.state.cluster.services, *left_over))
        for name in names:
            if not (but_not_busy and self.systemd.is_busy(name)):
                self._probe_one(daemon, name)

    def _connect(self, daemon: Daemon) -> None:
        station = self._bus.stations[self.node]
        if daemon.is_over or not station.is_up or station.client is not None:
            return
        if station.is_paused:  # the library call blocks until corosync answers
            self._later(RECONNECT_MS, lambda: self._connect(daemon))
            return
        self._bus.connect(self.node, _Line(self, daemon))

    def _exit(self, daemon: Daemon, status: int, reason: str) -> None:
        self._end_daemon(f"exit {status}: {reason}", says_leave=True)
        if daemon.shutdown is not Shutdown.STOP and status != EX_CONFIG:
            self._engine.after(RESTART_MS, self._restart)

    def _restart(self) -> None:
        if self.wants_daemon:
            self.start_daemon()

    def _end_daemon(self, reason: str, *, says_leave: bool) -> None:
        daemon = self.daemon
        if daemon is None:
            return
        self.daemon = None
        daemon.is_over = True
        self.line.forget()
        for alarm in daemon.timers.values():
            alarm.cancel()
        if says_leave:
            self.disk.abandon()
            self._bus.disconnect(self.node)
        self._observer.ended(self, daemon, reason)

    def _later(self, span_ms: tuple[int, int], call: Call) -> None:
        """Do it after a while, unless the node has lost power or booted again meanwhile."""
        boot = self.boots
        self._engine.after(
            self._dice.randint(*span_ms),
            lambda: call() if self.is_on and self.boots == boot else None,
        )


class _Line:
    """The connection of one life of the daemon to corosync."""

    def __init__(self, host: Host, daemon: Daemon) -> None:
        self._host = host
        self._daemon = daemon

    def hear(self, event: BusEvent) -> None:
        """Pass it on to that life only."""
        self._host.post(self._daemon, event)
