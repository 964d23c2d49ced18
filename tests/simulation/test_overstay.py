# SPDX-License-Identifier: Apache-2.0
"""Without quorum a service must go, and the simulator must cry when it does not (I4)."""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.clockwork import QUORUM_WAIT_MS
from rgmgr.core.spec import NoQuorumPolicy, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.stop_again import ARRIVAL_PAUSE_MS
from rgmgr.core.tree import start_order
from rgmgr.sim.bus import RESTLESS_MS
from rgmgr.sim.overstay import CHECK_EVERY_MS, HEED_MAX_MS, patience_ms
from rgmgr.sim.phases import Mood, Phase
from rgmgr.sim.rings import BusEvent
from rgmgr.sim.run import unrest
from rgmgr.sim.story import WEB, demo_script
from rgmgr.sim.world import World

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
QUIET = replace(demo_script(), faults=())
SERVICE = QUIET.spec.services[0]
SLOW_MS = 1_000
LATE_MS = HEED_MAX_MS + 500
FOREVER_MS = 1_000_000_000


class Deaf:
    """A connection on which nothing is heard: the worst that a core can make of the news."""

    def hear(self, event: BusEvent) -> None:
        del event


def running_world(
    policy: NoQuorumPolicy = NoQuorumPolicy.STOP, web: ServiceSpec = SERVICE
) -> World:
    """Three nodes at rest with `web` on the first; no device is reached, so nobody is fenced."""
    spec = replace(QUIET.spec, no_quorum_policy=policy, services=(web, *QUIET.spec.services[1:]))
    world = World(replace(QUIET, spec=spec))
    world.engine.run_until(20_000)
    assert unrest(world) == []
    world.power.cut_off.update(dict.fromkeys((N1, N2, N3)))
    return world


def deafen(world: World) -> None:
    world.bus.stations[N1].client = Deaf()


def cut_off(world: World, for_ms: int) -> None:
    world.bus.divide(((N1,), (N2, N3)))
    world.engine.run_until(world.engine.now_ms + for_ms)


def active(world: World) -> tuple[str, ...]:
    return world.hosts[N1].systemd.active(WEB)


def test_a_service_left_running_without_quorum_is_told_once() -> None:
    world = running_world()
    deafen(world)

    cut_off(world, HEED_MAX_MS - 500)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 5_000)

    assert early == []
    assert len(world.watch.violations) == 1
    assert world.watch.violations[0].startswith("I4 ")
    assert "web is left running" in world.watch.violations[0]


def test_a_node_that_lets_go_is_not_told() -> None:
    world = running_world()

    cut_off(world, FOREVER_MS // 10_000)

    assert active(world) == ()
    assert world.watch.violations == []


def test_stopping_without_end_is_told_once_it_takes_longer_than_its_timeouts() -> None:
    world = running_world()
    deafen(world)
    for resource in start_order(SERVICE):
        unit = world.hosts[N1].systemd.unit(WEB, resource.name)
        unit.job = world.engine.after(FOREVER_MS, lambda: None)

    cut_off(world, HEED_MAX_MS + patience_ms(SERVICE) - 500)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 1_500)

    assert early == []
    assert "web is still active" in world.watch.violations[0]


def test_between_two_stops_a_slow_daemon_has_the_time_that_it_takes() -> None:
    world = running_world()
    deafen(world)
    world.hosts[N1].make_slow(SLOW_MS)
    unit = world.hosts[N1].systemd.unit(WEB, start_order(SERVICE)[0].name)
    busy_ms = HEED_MAX_MS + 3 * SLOW_MS + 500
    unit.job = world.engine.after(busy_ms, lambda: setattr(unit, "job", None))

    cut_off(world, busy_ms + SLOW_MS - CHECK_EVERY_MS)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 3 * CHECK_EVERY_MS)

    assert early == []
    assert "web is left running" in world.watch.violations[0]


def test_what_the_policy_freezes_may_stay() -> None:
    world = running_world(NoQuorumPolicy.FREEZE)
    deafen(world)

    cut_off(world, LATE_MS)

    assert active(world) != ()
    assert world.watch.violations == []


def test_a_unit_that_refuses_to_stop_is_not_the_daemons_fault() -> None:
    world = running_world()
    for resource in start_order(SERVICE):
        world.hosts[N1].systemd.unit(WEB, resource.name).mood = Mood.STOP_FAILS

    cut_off(world, FOREVER_MS // 10_000)

    assert active(world) != ()
    assert world.watch.violations == []


def test_a_daemon_that_stands_still_cannot_know() -> None:
    world = running_world()
    world.hosts[N1].pause_daemon()

    cut_off(world, LATE_MS)

    assert active(world) != ()
    assert world.watch.violations == []


def test_what_follows_a_pause_is_counted_from_its_end() -> None:
    world = running_world()
    deafen(world)
    world.hosts[N1].pause_daemon()
    cut_off(world, LATE_MS)

    world.hosts[N1].resume_daemon()
    world.engine.run_until(world.engine.now_ms + LATE_MS)

    assert world.watch.violations[0].startswith("I4 ")


def test_an_arbiters_word_that_is_still_on_its_way_cannot_be_heeded() -> None:
    world = running_world()
    deafen(world)
    on_its_way_ms = 10_000
    world.bus.inquorate_since_ms[N1] = world.engine.now_ms + on_its_way_ms

    world.engine.run_until(world.engine.now_ms + on_its_way_ms + HEED_MAX_MS - 500)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + LATE_MS)

    assert early == []
    assert len(world.watch.violations) == 1
    assert world.watch.violations[0].startswith("I4 ")


def test_rings_that_follow_one_another_before_a_late_verdict_are_waited_out() -> None:
    """The network is restless, and a verdict for a ring that has ended may never come."""
    world = running_world()
    deafen(world)
    world.bus.slow_quorum(1_000)
    world.bus.cut(())
    limit_ms = HEED_MAX_MS + 2 * RESTLESS_MS + QUORUM_WAIT_MS

    cut_off(world, limit_ms - 500)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 1_000)

    assert early == []
    assert "web is left running" in world.watch.violations[0]


def test_a_machine_that_comes_in_later_is_told_when_nobody_looks_for_it() -> None:
    guest = ResourceSpec(name=ResourceName("guest"), type="vm", parameters={"machine": "guest"})
    world = running_world(web=replace(SERVICE, resources=(guest,)))
    cut_off(world, 2 * LATE_MS)
    systemd = world.hosts[N1].systemd
    assert active(world) == ()

    systemd.become(systemd.unit(WEB, guest.name), Phase.ACTIVE, "is sent here")
    world.engine.run_until(world.engine.now_ms + ARRIVAL_PAUSE_MS)
    early = list(world.watch.violations)
    world.engine.run_until(world.engine.now_ms + 3 * CHECK_EVERY_MS)

    assert early == []
    assert "web is left running" in world.watch.violations[0]
