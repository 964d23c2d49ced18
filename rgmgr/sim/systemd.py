# SPDX-License-Identifier: Apache-2.0
"""The simulated systemd of one node: units that start, stop, fail and outlive the daemon.

What runs where is true here and nowhere else; the core only believes. A unit that is starting
or stopping counts as active: something of it may be there. Must not know the core. The way
between daemon and systemd, which may be slow or lost, is in `line.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import MigrateResource, StartResource, StopResource
from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStayed,
    ResourceStopFailed,
    ResourceStopped,
)
from rgmgr.core.evolve import replace
from rgmgr.core.spec import ResourceName
from rgmgr.sim.engine import Alarm, Dice, Engine, chance
from rgmgr.sim.migration import begin, give_up
from rgmgr.sim.pace import Pace
from rgmgr.sim.phases import Mood, Phase

UnitEvent = (
    ResourceStarted
    | ResourceStartFailed
    | ResourceStopped
    | ResourceStopFailed
    | ResourceStayed
    | ResourceFailed
)
Answer = Callable[[UnitEvent], None]


FOR_EVER_MS = 10**12
STOPPED_BY_HAND = "was stopped by somebody else, not by the cluster"


@dataclass(slots=True, eq=False)
class Unit:
    """One resource of one service on this node."""

    service: ServiceName
    resource: ResourceName
    phase: Phase = Phase.INACTIVE
    mood: Mood = Mood.GOOD
    job: Alarm | None = None  # what ends the present phase
    waiter: Answer | None = None  # who asked for the present job
    op: int = 0  # of the present job
    is_excused: bool = False  # a human, or a device that lies, made it run beside another
    has_refused: bool = False  # its latest stop failed
    shared_type: str | None = None  # several services use it, each by a unit like this
    address: str | None = None  # that it alone has
    is_leaving: bool = False  # its job is a migration
    twin: tuple[Systemd, Unit] | None = None  # what it becomes on another node, while it goes there

    @property
    def is_active(self) -> bool:
        """Whether anything of it may be there."""
        return self.phase is not Phase.INACTIVE

    def behave(self) -> None:
        """Do as asked from now on."""
        self.mood = Mood.GOOD


@dataclass(slots=True, eq=False)
class Systemd:
    """Units of one node. `changed` is called after each change; `orphan` hears of failures."""

    node: NodeId
    engine: Engine
    dice: Dice
    changed: Callable[[NodeId, Unit, str], None]
    orphan: Callable[[UnitEvent], None]
    units: dict[tuple[ServiceName, ResourceName], Unit] = field(default_factory=dict)
    frozen_ms: int | None = None  # since when the whole node stands still
    pace: Pace | None = None  # None: the dice say how long a job takes
    find: Callable[[NodeId], Systemd | None] = lambda _node: None  # that of a node which is on

    def unit(self, service: ServiceName, resource: ResourceName) -> Unit:
        """Return the unit, which exists from the first question on."""
        key = (service, resource)
        if key not in self.units:
            self.units[key] = Unit(service, resource)
        return self.units[key]

    def active(self, service: ServiceName) -> tuple[ResourceName, ...]:
        """Return the resources of a service of which anything may be there."""
        return tuple(
            u.resource for u in self.units.values() if u.service == service and u.is_active
        )

    def doubtful(self, service: ServiceName) -> tuple[ResourceName, ...]:
        """Return those of them that do not run: they come in from another node, or not."""
        units = [u for u in self.units.values() if u.service == service]
        return tuple(u.resource for u in units if u.phase is Phase.INCOMING)

    def is_busy(self, service: ServiceName) -> bool:
        """Tell whether somebody waits for a job of this service."""
        return any(u.waiter is not None for u in self.units.values() if u.service == service)

    def running(self) -> Iterator[Unit]:
        """Yield every unit of which anything may be there."""
        return (unit for unit in self.units.values() if unit.is_active)

    def start(self, action: StartResource, answer: Answer) -> None:
        """Start a unit; what is up already is a success, a stop under way is replaced."""
        unit = self.unit(action.service, action.resource.name)
        was = unit.phase
        if was is Phase.STARTING and unit.job is not None:
            self.join(unit, answer, action.op)
            return
        unit.shared_type = action.resource.type if action.resource.is_shared else None
        address = action.resource.parameters.get("address")
        unit.address = None if action.resource.is_shared else address
        self.take_job(unit, answer, action.op)
        if was is Phase.ACTIVE:
            self.end_in(unit, self.dice.randint(1, 5), lambda: self._is_up(unit))
            return
        unit.has_refused = False
        if unit.mood is Mood.MASKED:
            self.end_in(unit, self.dice.randint(1, 5), lambda: self._start_failed(unit, "masked"))
            return
        self.become(unit, Phase.STARTING, "starts")
        timeout_ms = action.resource.start_timeout_ms
        if unit.mood is Mood.START_HANGS:
            self.end_in(unit, timeout_ms, lambda: self._start_failed(unit, "timed out"))
        elif unit.mood is Mood.START_FAILS:
            delay_ms = min(timeout_ms, self._job_ms(unit, is_start=True))
            self.end_in(unit, delay_ms, lambda: self._start_failed(unit, "exited with status 1"))
        else:
            self.end_in(
                unit, min(timeout_ms, self._job_ms(unit, is_start=True)), lambda: self._is_up(unit)
            )

    def stop(self, action: StopResource, answer: Answer) -> None:
        """Stop a unit; what is not there is a success, a start under way is replaced."""
        unit = self.unit(action.service, action.resource.name)
        was = unit.phase
        if was is Phase.STOPPING and unit.job is not None:
            self.join(unit, answer, action.op)
            return
        self.take_job(unit, answer, action.op)
        if was is Phase.INACTIVE or action.is_kept:
            self.end_in(unit, self.dice.randint(1, 5), lambda: self._is_down(unit))
            return
        self.become(unit, Phase.STOPPING, "stops")
        timeout_ms = action.resource.stop_timeout_ms
        if unit.mood is Mood.STOP_FAILS:
            self.end_in(
                unit,
                min(timeout_ms, self._job_ms(unit, is_start=False)),
                lambda: self._stop_failed(unit),
            )
        elif unit.mood is Mood.STOP_HANGS:  # SIGKILL at the end, and then it is gone
            self.end_in(unit, timeout_ms, lambda: self._is_down(unit))
        else:
            self.end_in(
                unit,
                min(timeout_ms, self._job_ms(unit, is_start=False)),
                lambda: self._is_down(unit),
            )

    def migrate(self, action: MigrateResource, answer: Answer) -> None:
        """Send a virtual machine to another node."""
        begin(self, action, answer)

    def die(self, service: ServiceName, resource: ResourceName) -> None:
        """Let a unit that is up fail by itself."""
        for unit in self._uses(self.units.get((service, resource))):
            if unit.phase is Phase.ACTIVE and self.frozen_ms is None:
                self.become(unit, Phase.INACTIVE, "dies")
                self._tell_failure(unit, "main process exited with status 1")

    def _uses(self, unit: Unit | None) -> list[Unit]:
        """Return what goes down with a unit: every use of it, where several services use it."""
        if unit is None:
            return []
        others = [u for u in self.units.values() if u.resource == unit.resource and u is not unit]
        is_shared = unit.shared_type is not None
        return [unit, *(u for u in others if is_shared and u.shared_type is not None)]

    def stop_by_hand(self, service: ServiceName, resource: ResourceName) -> None:
        """An administrator stops a unit; a start under way is cancelled."""
        for unit in self._uses(self.unit(service, resource)):
            self._stop_by_hand(unit)

    def _stop_by_hand(self, unit: Unit) -> None:
        waiter, is_leaving = unit.waiter, unit.is_leaving
        if unit.phase not in (Phase.ACTIVE, Phase.STARTING):
            return
        self._cancel(unit)
        self.become(unit, Phase.INACTIVE, "is stopped by hand")
        if is_leaving and waiter is not None:
            waiter(ResourceStopped(service=unit.service, resource=unit.resource, op=unit.op))
        elif waiter is not None:
            waiter(_start_failed(unit, STOPPED_BY_HAND))
        else:
            self._tell_failure(unit, STOPPED_BY_HAND)

    def start_by_hand(self, service: ServiceName, resource: ResourceName) -> None:
        """An administrator starts a unit that is down; nobody waits for it."""
        unit = self.unit(service, resource)
        if unit.phase is not Phase.INACTIVE or unit.job is not None:
            return
        unit.is_excused = True
        self.become(unit, Phase.STARTING, "is started by hand")
        self.end_in(unit, self._job_ms(unit, is_start=True), lambda: self._is_up(unit))

    def freeze(self) -> None:
        """Stand still, with all jobs where they are."""
        self.frozen_ms = self.engine.now_ms
        for unit in self.units.values():
            if unit.job is not None:
                unit.job = self.engine.put_off(unit.job, FOR_EVER_MS)

    def thaw(self) -> None:
        """Go on: every job has as much to do as it had."""
        if self.frozen_ms is None:
            return
        slept_ms, self.frozen_ms = self.engine.now_ms - self.frozen_ms, None
        for unit in self.units.values():
            if unit.job is not None:
                unit.job = self.engine.put_off(unit.job, slept_ms - FOR_EVER_MS)

    def calm(self) -> None:
        """Let every unit behave from now on."""
        for unit in self.units.values():
            unit.mood = Mood.GOOD

    def power_off(self) -> None:
        """Lose everything at once; nobody hears of it."""
        self.frozen_ms = None
        for unit in self.units.values():
            self._cancel(unit)
            if unit.is_active:
                self.become(unit, Phase.INACTIVE, "is gone")

    def _cancel(self, unit: Unit) -> None:
        give_up(unit)
        unit.is_leaving = False
        if unit.job is not None:
            unit.job.cancel()
        unit.waiter = unit.job = None

    def _job_ms(self, unit: Unit, *, is_start: bool) -> int:
        """Most jobs are quick; some take seconds."""
        if self.pace is not None:
            return self.pace.unit_ms(unit.service, unit.resource, is_start=is_start)
        slow = chance(self.dice, 0.08)
        return self.dice.randint(500, 3_000) if slow else self.dice.randint(5, 150)

    def take_job(self, unit: Unit, answer: Answer, op: int) -> None:
        """Cancel the job under way, as systemd does with a conflicting one."""
        waiter, phase = unit.waiter, unit.phase
        self._cancel(unit)
        if waiter is not None:
            waiter(_cancelled(unit, phase))
        unit.waiter, unit.op = answer, op

    def join(self, unit: Unit, answer: Answer, op: int) -> None:
        """Wait for the job under way, as systemd does with one of the same kind: it is merged."""
        first, first_op = unit.waiter, unit.op

        def tell(event: UnitEvent) -> None:
            if first is not None and not isinstance(event, ResourceFailed):
                first(replace(event, op=first_op))
            answer(event)

        unit.waiter, unit.op = tell, op

    def end_in(self, unit: Unit, delay_ms: int, call: Callable[[], None]) -> None:
        """Let the job of a unit end in this way after so long."""
        unit.job = self.engine.after(delay_ms, call)

    def become(self, unit: Unit, phase: Phase, words: str) -> None:
        """Change what a unit is, and tell who watches."""
        unit.phase = phase
        if phase is Phase.INACTIVE:
            unit.is_excused = False
        self.changed(self.node, unit, words)

    def finish(self, unit: Unit) -> Answer | None:
        """End the job and return who waits for its result."""
        waiter, unit.waiter, unit.job = unit.waiter, None, None
        return waiter

    def _is_up(self, unit: Unit) -> None:
        waiter = self.finish(unit)
        if unit.phase is not Phase.ACTIVE and unit.phase is not Phase.STARTING:
            if waiter is not None:
                waiter(_start_failed(unit, "went down meanwhile"))
            return
        if unit.phase is Phase.STARTING:
            self.become(unit, Phase.ACTIVE, "is up")
        if unit.mood is Mood.DIES_SOON:
            delay_ms = self.dice.randint(20, 800)
            self.engine.after(delay_ms, lambda: self.die(unit.service, unit.resource))
        if waiter is not None:
            waiter(ResourceStarted(service=unit.service, resource=unit.resource, op=unit.op))

    def _start_failed(self, unit: Unit, reason: str) -> None:
        waiter = self.finish(unit)
        self.become(unit, Phase.INACTIVE, f"does not start: {reason}")
        if waiter is not None:
            waiter(_start_failed(unit, reason))

    def _is_down(self, unit: Unit) -> None:
        waiter = self.finish(unit)
        if unit.is_active:
            self.become(unit, Phase.INACTIVE, "is down")
        if waiter is not None:
            waiter(ResourceStopped(service=unit.service, resource=unit.resource, op=unit.op))

    def _stop_failed(self, unit: Unit) -> None:
        waiter = self.finish(unit)
        unit.has_refused = True
        self.become(unit, Phase.ACTIVE, "does not stop")
        if waiter is not None:
            waiter(
                ResourceStopFailed(
                    service=unit.service,
                    resource=unit.resource,
                    op=unit.op,
                    reason="still has processes",
                )
            )

    def _tell_failure(self, unit: Unit, reason: str) -> None:
        """A failure nobody's job is waiting for: whichever daemon runs now hears it."""
        self.orphan(ResourceFailed(service=unit.service, resource=unit.resource, reason=reason))


def active_services(nodes: Mapping[NodeId, Systemd]) -> dict[ServiceName, tuple[NodeId, ...]]:
    """Return for each service that is active anywhere the nodes where it is."""
    found: dict[ServiceName, dict[NodeId, None]] = {}
    for node, systemd in nodes.items():
        for unit in systemd.running():
            found.setdefault(unit.service, {})[node] = None
    return {service: tuple(where) for service, where in found.items()}


def _start_failed(unit: Unit, reason: str) -> ResourceStartFailed:
    return ResourceStartFailed(
        service=unit.service, resource=unit.resource, op=unit.op, reason=reason
    )


def _cancelled(unit: Unit, phase: Phase) -> UnitEvent:
    """Return what the daemon hears of a job that another one replaced."""
    if phase is Phase.STOPPING:
        return ResourceStopFailed(
            service=unit.service, resource=unit.resource, op=unit.op, reason="job canceled"
        )
    return _start_failed(unit, "job canceled")
