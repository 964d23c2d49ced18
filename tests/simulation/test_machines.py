# SPDX-License-Identifier: Apache-2.0
"""The simulated systemd, fence devices and disk alone: they must fail as the real ones do."""

from __future__ import annotations

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import (
    FenceNode,
    PathTarget,
    StartResource,
    StopResource,
    SwitchOn,
    TestPaths,
)
from rgmgr.core.events import (
    FenceEnded,
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
    StateSaved,
    SwitchOnEnded,
    TestEnded,
)
from rgmgr.core.model import ClusterState, PathState
from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.sim.disk import Disk
from rgmgr.sim.draw import draw_spec
from rgmgr.sim.engine import Engine, dice
from rgmgr.sim.phases import Mood, Phase
from rgmgr.sim.power import Device, Power
from rgmgr.sim.systemd import Systemd, Unit, UnitEvent, active_services

N1, N2 = NodeId(1), NodeId(2)
SEEDS = range(25)


# systemd

WEB = ServiceName("web")
SPEC = ResourceSpec(
    name=ResourceName("r0"), type="systemd", parameters={}, start_timeout_ms=3_000,
    stop_timeout_ms=3_000,
)  # fmt: skip
START = StartResource(service=WEB, resource=SPEC, op=7)
STOP = StopResource(service=WEB, resource=SPEC, op=8)


class Machine:
    """The units of one node, with all that was said of them."""

    def __init__(self, seed: int = 0) -> None:
        self.engine = Engine()
        self.answers: list[UnitEvent] = []
        self.failures: list[UnitEvent] = []
        self.changes: list[str] = []
        self.systemd = Systemd(
            N1, self.engine, dice(seed, "test"), self._changed, self.failures.append
        )
        self.unit = self.systemd.unit(WEB, SPEC.name)

    def _changed(self, _node: NodeId, _unit: Unit, words: str) -> None:
        self.changes.append(words)

    def start(self, mood: Mood = Mood.GOOD) -> None:
        self.unit.mood = mood
        self.systemd.start(START, self.answers.append)

    def run(self, for_ms: int = 10_000) -> None:
        self.engine.run_until(self.engine.now_ms + for_ms)


def test_a_unit_counts_as_active_from_the_first_moment_of_its_start() -> None:
    machine = Machine()

    machine.start()

    assert machine.systemd.active(WEB) == (SPEC.name,)
    assert active_services({N1: machine.systemd}) == {WEB: (N1,)}
    assert machine.answers == []


def test_a_started_unit_is_up_and_stops_again() -> None:
    machine = Machine()
    machine.start()
    machine.run()
    machine.systemd.stop(STOP, machine.answers.append)
    machine.run()

    assert machine.answers == [
        ResourceStarted(service=WEB, resource=SPEC.name, op=7),
        ResourceStopped(service=WEB, resource=SPEC.name, op=8),
    ]
    assert machine.systemd.active(WEB) == ()


def test_starting_what_is_up_changes_nothing() -> None:
    machine = Machine()
    machine.start()
    machine.run()
    changes = list(machine.changes)

    machine.start()
    machine.run()

    assert machine.changes == changes
    assert len(machine.answers) == 2


def test_a_hanging_start_fails_when_its_time_is_up_and_leaves_nothing() -> None:
    machine = Machine()
    machine.start(Mood.START_HANGS)

    machine.run(2_999)
    early = list(machine.answers)
    machine.run(1)

    assert early == []
    assert isinstance(machine.answers[0], ResourceStartFailed)
    assert machine.unit.phase is Phase.INACTIVE


def test_a_failing_stop_leaves_the_unit_active() -> None:
    machine = Machine()
    machine.start(Mood.STOP_FAILS)
    machine.run()
    machine.systemd.stop(STOP, machine.answers.append)
    machine.run()

    assert isinstance(machine.answers[-1], ResourceStopFailed)
    assert machine.systemd.active(WEB) == (SPEC.name,)


def test_a_stop_replaces_a_start_under_way() -> None:
    machine = Machine()
    machine.start(Mood.START_HANGS)
    machine.run(100)

    machine.systemd.stop(STOP, machine.answers.append)
    machine.run()

    assert [type(answer) for answer in machine.answers] == [ResourceStartFailed, ResourceStopped]


def test_a_dying_unit_is_reported_without_being_asked() -> None:
    machine = Machine()
    machine.start(Mood.DIES_SOON)
    machine.run()

    assert isinstance(machine.failures[0], ResourceFailed)
    assert machine.systemd.active(WEB) == ()


def test_power_loss_ends_all_units_and_answers_nobody() -> None:
    machine = Machine()
    machine.start()

    machine.systemd.power_off()
    machine.run()

    assert machine.answers == []
    assert machine.failures == []
    assert machine.systemd.active(WEB) == ()


# Fence devices


class Rack:
    """Outlets whose effects are written down with their time."""

    def __init__(self, seed: int, device: Device) -> None:
        self.engine = Engine()
        self.off_ms: list[int] = []
        self.on_ms: list[int] = []
        self.answers: list[tuple[int, FenceEnded]] = []
        self.restored: list[SwitchOnEnded] = []
        self.tests: list[TestEnded] = []
        self.power = Power(self.engine, dice(seed, "test"), self._off, self._on)
        self.power.devices[N2] = device

    def _off(self, node: NodeId, _why: str) -> None:
        assert node == N2
        self.off_ms.append(self.engine.now_ms)

    def _on(self, _node: NodeId) -> None:
        self.on_ms.append(self.engine.now_ms)

    def fence(self) -> None:
        action = FenceNode(
            node=N2, node_name="node2", victim=3, attempt=1, methods=(), timeout_ms=2_000
        )
        self.power.fence(N1, 99, action, self._answer)
        self.engine.run_until(30_000)

    def restore(self) -> None:
        action = SwitchOn(node=N2, node_name="node2", victim=3, steps=(), timeout_ms=2_000)
        self.power.restore(N1, 99, action, self.restored.append)
        self.engine.run_until(60_000)

    def _answer(self, event: FenceEnded) -> None:
        self.answers.append((self.engine.now_ms, event))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_confirmed_fence_was_carried_out_before_it_was_confirmed(seed: int) -> None:
    rack = Rack(seed, Device.GOOD)
    rack.fence()

    [(said_ms, event)] = rack.answers
    assert event.is_confirmed
    assert rack.off_ms[0] < said_ms
    assert (event.victim, event.attempt) == (3, 1)


def test_what_is_off_is_switched_on_when_asked() -> None:
    rack = Rack(1, Device.GOOD)
    rack.fence()
    rack.restore()

    assert rack.on_ms[0] > rack.off_ms[0]
    assert [event.fault for event in rack.restored] == [""]


def test_a_device_that_denies_switches_off_and_confirms_nothing() -> None:
    rack = Rack(1, Device.SAYS_FAILED)
    rack.fence()

    [(_, event)] = rack.answers
    assert not event.is_confirmed
    assert rack.off_ms != []


@pytest.mark.parametrize(
    ("device", "is_on", "state"),
    [
        (Device.GOOD, True, PathState.WORKS),
        (Device.GOOD, False, PathState.LIES),
        (Device.HANGS, True, PathState.FAILS),
    ],
)
def test_a_test_tells_how_a_device_is(device: Device, is_on: bool, state: PathState) -> None:  # noqa: FBT001
    rack = Rack(1, device)
    rack.power.is_on = lambda _node: is_on
    target = PathTarget(node=N2, node_name="node2", is_member=True, methods=())
    rack.power.test(N1, TestPaths(targets=(target,), timeout_ms=2_000), rack.tests.append)
    rack.engine.run_until(30_000)

    [ended] = rack.tests
    assert [path.state for path in ended.paths] == [state]


def test_a_late_device_switches_off_after_the_failure_was_reported() -> None:
    rack = Rack(1, Device.LATE)
    rack.fence()

    [(said_ms, event)] = rack.answers
    assert not event.is_confirmed
    assert rack.off_ms[0] > said_ms == 2_000


@pytest.mark.parametrize("device", [Device.REFUSES, Device.HANGS])
def test_a_device_that_does_not_obey_confirms_nothing(device: Device) -> None:
    rack = Rack(1, device)
    rack.fence()

    [(_, event)] = rack.answers
    assert not event.is_confirmed
    assert rack.off_ms == []


def test_the_order_of_a_dead_daemon_is_carried_out_sometimes() -> None:
    happened = set()
    for seed in SEEDS:
        rack = Rack(seed, Device.GOOD)
        rack.power.is_alive = lambda _node, _incarnation: False
        rack.fence()
        happened.add(bool(rack.off_ms))

    assert happened == {True, False}


# Disk


def test_power_loss_keeps_the_last_save_that_had_ended() -> None:
    engine = Engine()
    disk = Disk(engine, dice(1, "test"))
    spec = draw_spec(dice(1, "spec"), 3)
    answers: list[StateSaved] = []
    disk.save(ClusterState(spec=spec, epoch=1), answers.append)
    engine.run_until(100)

    disk.slow_ms = 1_000
    disk.save(ClusterState(spec=spec, epoch=2), answers.append)
    engine.run_until(200)
    disk.lose_power()
    engine.run_until(5_000)

    assert answers == [StateSaved(1, 0)]
    assert disk.saved is not None
    assert disk.saved.epoch == 1
