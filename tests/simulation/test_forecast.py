# SPDX-License-Identifier: Apache-2.0
"""Forecasts: what is shown before is what then happens (I14)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.model import ServiceState
from rgmgr.core.spec import ClusterSpec, NoQuorumPolicy
from rgmgr.core.sync import has_quorum_of
from rgmgr.core.tree import start_order
from rgmgr.present import Present, Span, Surroundings, fence_of, start_of
from rgmgr.sim.draw import draw_script, draw_spec
from rgmgr.sim.engine import dice
from rgmgr.sim.faults import Script
from rgmgr.sim.forecast import (
    DeviceDies,
    Fate,
    Forecast,
    NetworkSplits,
    NewConfig,
    NodeDies,
    NodeLeaves,
    NodeReturns,
    ServiceCannotStop,
    ServiceFails,
    Supposition,
    forecast,
    suppose,
)
from rgmgr.sim.plan import Recorder, Step
from rgmgr.sim.rest import come_to_rest
from rgmgr.sim.stage import agreed, pace_of, present_of, quiet_start, set_up
from rgmgr.sim.world import World
from tests.simulation.forecast_cluster import DB, ONE, THREE, TWO, WEB, cluster, service


def _asked(*supposed: Supposition, spec: ClusterSpec | None = None) -> Forecast:
    return forecast(present_of(quiet_start(spec or cluster())), *supposed)


def _fate(found: Forecast, name: str) -> Fate:
    return next(fate for fate in found.fates if fate.service == name)


def _kinds(found: Forecast, name: str) -> list[tuple[str, str]]:
    return [(step.kind, step.node) for step in found.steps if step.service == name]


def test_a_dead_node_is_fenced_before_its_service_starts_elsewhere() -> None:
    found = _asked(NodeDies(ONE), spec=cluster(service(WEB)))

    told = [(step.kind, step.node) for step in found.steps]
    assert told == [("lost", "node1"), ("fence", "node1"), ("fenced", "node1"), ("start", "node2")]
    assert found.steps[-1].resources == ("vip", "app")
    web = _fate(found, WEB)
    assert (web.verdict, web.before.owner, web.after.owner) == ("interrupted", "node1", "node2")
    assert "priority 2" in web.after.why


def test_the_outage_is_made_of_detection_fencing_and_starts_as_measured() -> None:
    present = present_of(quiet_start(cluster(service(WEB))))
    measured = {
        start_of(WEB): Span(700, 900, 3),
        start_of(WEB, "vip"): Span(100, 120, 3),
        start_of(WEB, "app"): Span(400, 500, 3),
        fence_of("node1"): Span(2_000, 2_500, 2),
    }
    around = replace(present.around, measured=measured, detection_ms=3_000)

    found = forecast(Present(present.cluster, around), NodeDies(ONE))

    outage_ms = _fate(found, WEB).outage_ms
    assert outage_ms is not None
    assert 3_000 + 2_000 + 500 <= outage_ms < 3_000 + 2_000 + 500 + 100


def test_a_leaving_node_stops_its_services_in_reverse_and_they_start_on_the_next() -> None:
    found = _asked(NodeLeaves(ONE), spec=cluster(service(WEB)))

    assert _kinds(found, WEB) == [("stop", "node1"), ("start", "node2")]
    assert next(s for s in found.steps if s.kind == "stop").resources == ("app", "vip")
    assert ("node1", "online", "offline") in found.nodes


def test_a_returning_node_gets_back_only_what_may_fail_back() -> None:
    world = set_up(present_of(quiet_start(cluster())))
    suppose(world, NodeDies(ONE))
    come_to_rest(world)

    found = forecast(present_of(world), NodeReturns(ONE))

    assert (_fate(found, WEB).verdict, _fate(found, WEB).after.owner) == ("interrupted", "node1")
    assert (_fate(found, DB).verdict, _fate(found, DB).after.owner) == ("unaffected", "node2")
    assert "nofailback" in _fate(found, DB).after.why


def test_a_failing_service_is_repaired_in_place() -> None:
    found = _asked(ServiceFails(WEB), spec=cluster(service(WEB)))

    assert [k for k, _ in _kinds(found, WEB)] == ["dies", "fails", "start"]
    assert _fate(found, WEB).after.owner == "node1"
    assert _fate(found, WEB).outage_ms == pytest.approx(1_000, abs=50)


def test_a_service_that_cannot_stop_waits_for_a_human() -> None:
    found = _asked(ServiceCannotStop(WEB), spec=cluster(service(WEB)))

    web = _fate(found, WEB)
    assert (web.verdict, web.outage_ms, web.after.state) == ("lost", None, "failed")
    assert "clear it there" in web.after.why


def test_the_smaller_part_of_a_network_stops_and_the_greater_takes_over() -> None:
    found = _asked(NetworkSplits(((ONE,),)))

    assert [fate.after.owner for fate in found.fates] == ["node2", "node2"]
    assert ("node1", "online", "fenced") in found.nodes


@pytest.mark.parametrize(
    ("tie_breaker", "owners", "fenced"),
    [
        ("lowest", ["node1", "node1"], ["node3", "node4"]),
        ("arbiter", ["node1", "node1"], ["node3", "node4"]),
        ("", [None, None], []),
    ],
)
def test_one_half_of_a_network_goes_on_where_corosync_breaks_ties(
    tie_breaker: str, owners: list[str | None], fenced: list[str]
) -> None:
    present = present_of(quiet_start(cluster(nodes=4)))
    around = replace(present.around, tie_breaker=tie_breaker)

    found = forecast(Present(present.cluster, around), NetworkSplits(((ONE, TWO),)))

    assert [fate.after.owner for fate in found.fates] == owners
    assert [name for name, _, after in found.nodes if after == "fenced"] == fenced


def test_without_quorum_anywhere_everything_is_lost_unless_its_policy_says_freeze() -> None:
    frozen = replace(service(DB), no_quorum_policy=NoQuorumPolicy.FREEZE)
    spec = cluster(service(WEB), frozen)

    found = _asked(NetworkSplits(((ONE,), (TWO,), (THREE,))), spec=spec)

    web, db = _fate(found, WEB), _fate(found, DB)
    assert (web.verdict, web.after.why) == ("lost", "no part of the cluster has quorum")
    assert (db.verdict, db.after.owner) == ("unaffected", "node1")


def test_a_node_that_dies_with_its_fence_device_keeps_its_services_from_starting() -> None:
    found = _asked(NodeDies(ONE), DeviceDies("pdu"))

    assert _fate(found, WEB).verdict == "lost"
    assert "waiting for proof that node1 is down" in _fate(found, WEB).after.why
    assert not any(step.kind == "start" for step in found.steps)


def test_a_second_method_takes_over_from_a_dead_device() -> None:
    found = _asked(NodeDies(ONE), DeviceDies("pdu"), spec=cluster(devices=("pdu", "ipmi")))

    assert _fate(found, WEB).verdict == "interrupted"


def test_a_new_configuration_starts_what_it_adds_and_leaves_the_rest_alone() -> None:
    old = cluster(service(WEB))

    found = _asked(NewConfig(cluster(service(WEB), service(DB), version=2)), spec=old)

    assert _fate(found, WEB).verdict == "unaffected"
    assert (_fate(found, DB).verdict, _fate(found, DB).before.state) == ("started", "absent")


def test_a_new_configuration_stops_what_it_drops() -> None:
    found = _asked(NewConfig(cluster(service(WEB), version=2)))

    assert _fate(found, DB).verdict == "removed"
    assert _kinds(found, DB) == [("stop", "node1")]


@pytest.mark.parametrize("seed", range(20))
def test_setting_up_the_present_moves_nothing(seed: int) -> None:
    """A forecast that began by moving things would be one of another cluster."""
    present = present_of(quiet_start(draw_spec(dice(seed, "stage"), 2 + seed % 4)))

    world = set_up(present)

    assert world.watch.unit_changes == 0
    for name, record in present.cluster.services.items():
        known = agreed(world).services[name]
        assert (known.state, known.owner) == (record.state, record.owner)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", ["dies", "leaves", "splits", "fails", "cannot stop"])
def test_what_was_forecast_is_what_then_happens(seed: int, kind: str) -> None:
    """I14: same end, and the same starts and stops of each service in the same order."""
    spec = draw_spec(dice(seed, "I14"), 3 + seed % 3)
    world = _ordinary_world(seed, spec)
    present = present_of(world)
    supposed = _supposition(kind, present, seed)

    found = forecast(present, supposed)
    recorder = Recorder(
        world, {s.name: tuple(r.name for r in start_order(s)) for s in spec.services}
    )
    suppose(world, supposed)
    world.engine.run_until(world.engine.now_ms + 1_000)
    come_to_rest(world)

    assert {f.service: (f.after.state, f.after.owner) for f in found.fates} == _places(world)
    assert _turns(found.steps) == _turns(recorder.steps())


@pytest.mark.parametrize("seed", [3, 10, 17, 24, 31, 39])
def test_a_present_full_of_troubles_can_be_asked_about_too(seed: int) -> None:
    """Nodes are detached, unclean or gone, services on their way: it comes to an end first."""
    script = draw_script(seed)
    world = World(script)
    for fault in script.faults:
        world.plan(fault)
    asked = 0
    for at_ms in range(10_000, script.end_ms, 3_700):
        world.engine.run_until(at_ms)
        for present in list(_presents(world))[:1]:
            found = forecast(present, NodeDies(present.around.me))
            assert (found.is_at_rest, found.broken) == (True, ())
            asked += 1
    assert asked


def _presents(world: World) -> Iterator[Present]:
    """What every member that knows the present would tell."""
    for host in world.hosts.values():
        state = host.daemon.state if host.daemon else None
        if state and state.local.is_installed and state.local.view and has_quorum_of(state.local):
            around = Surroundings(
                me=host.node,
                is_installed=True,
                is_quorate=True,
                ring_nodes=state.local.view.ring_nodes,
                now_ms=state.cluster.now_ms,
                is_two_node=world.bus.votes.is_two_node,
            )
            yield Present(state.cluster, around)


def _ordinary_world(seed: int, spec: ClusterSpec) -> World:
    """A world with all its delays and orders, but with times of units and fences as measured."""
    world = World(Script(seed=seed, spec=spec, faults=()))
    world.engine.run_until(15_000)
    world.power.pace = pace_of(spec, {}, 0)
    for host in world.hosts.values():
        host.systemd.pace = world.power.pace
        host.switch_on = lambda: None  # type: ignore[method-assign]  # what is down stays down
    return world


def _supposition(kind: str, present: Present, seed: int) -> Supposition:
    node = NodeId(1 + seed % len(present.cluster.spec.nodes))
    running = [n for n, s in present.cluster.services.items() if s.owner is not None]
    name = running[seed % len(running)] if running else next(iter(present.cluster.services))
    match kind:
        case "dies":
            return NodeDies(node)
        case "leaves":
            return NodeLeaves(node)
        case "splits":
            return NetworkSplits(((node,),))
        case "fails":
            return ServiceFails(name)
        case _:
            return ServiceCannotStop(name)


def _turns(steps: tuple[Step, ...]) -> dict[str, list[tuple[str, str, tuple[str, ...]]]]:
    found: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    for step in steps:
        if step.kind in ("start", "stop"):
            found.setdefault(step.service, []).append((step.kind, step.node, step.resources))
    return found


def _places(world: World) -> dict[str, tuple[str, str | None]]:
    """Return state and node of each service; for a failed one where it could not be stopped."""
    cluster = agreed(world)
    found = {}
    for name, record in cluster.services.items():
        where = record.last_owner if record.state is ServiceState.FAILED else record.owner
        owner = None if where is None else cluster.spec.node_name(where)
        found[str(name)] = (record.state.value, owner)
    return found
