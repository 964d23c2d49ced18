# SPDX-License-Identifier: Apache-2.0
"""Running a script to its end: troubles first, then the question whether all comes to rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from domains.model import NodeId, ServiceName
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.seating import may_run
from rgmgr.core.spec import ClusterSpec
from rgmgr.core.subtrees import is_partial, tops_off
from rgmgr.core.tree import start_order
from rgmgr.sim import rules
from rgmgr.sim.bonds import rests
from rgmgr.sim.draw import draw_script, is_calm
from rgmgr.sim.faults import Fault, Script
from rgmgr.sim.host import Host
from rgmgr.sim.operator import check_standby, operate
from rgmgr.sim.phases import Phase
from rgmgr.sim.systemd import active_services
from rgmgr.sim.trace import Trace
from rgmgr.sim.world import World

SETTLE_MAX_MS = 150_000
SETTLE_STEP_MS = 500
REST_MS = 2_000
CALM_WAIT_MAX_MS = 30_000
"""Some clusters have services that no node can take, and never are all at rest."""
OPERATOR_FIRST_MS = 8_000
OPERATOR_EVERY_MS = 6_000
START_ALL_EVERY_MS = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """What a run amounted to."""

    simulated_ms: int
    calls: int
    unit_changes: int
    fences: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended. `settled`: after the last fault all came to rest as it should (I10)."""

    script: Script
    violations: tuple[str, ...]
    trace: Trace = field(repr=False)
    settled: bool
    stats: Stats

    @property
    def is_good(self) -> bool:
        """Whether every promise was kept."""
        return self.settled and not self.violations


def simulate(
    *,
    seed: int,
    nodes: int | None = None,
    spec: ClusterSpec | None = None,
    steps: int | None = None,
) -> Outcome:
    """Draw a cluster and its troubles from a seed and run them; what is given is not drawn.

    `steps` is the number of faults.
    """
    script = draw_script(seed, nodes=nodes, spec=spec, steps=steps)
    return play(script, is_calm_from_first_fault=is_calm(seed))


def play(
    script: Script,
    *,
    is_calm_from_first_fault: bool = False,
    until_ms: int = 0,
    prepare: Callable[[World], None] | None = None,
) -> Outcome:
    """Run a script, then make the world whole and wait until it comes to rest.

    With `is_calm_from_first_fault` no unit may change from the first fault on (I8), which waits
    until the cluster has come to rest. The world is made whole after the last fault, and not before
    `until_ms`; `prepare` is called before all.
    """
    world = World(script)
    if prepare is not None:
        prepare(world)
    settled = False
    try:
        late_ms = _quiet(world, script.faults) if is_calm_from_first_fault else 0
        faults = tuple(replace(fault, at_ms=fault.at_ms + late_ms) for fault in script.faults)
        run_faults(world, faults, max(script.end_ms + late_ms, until_ms))
        settled = settle(world)
    except Exception as error:  # noqa: BLE001 - whatever the core raises is a finding, with its seed
        world.watch.violate("core", _raised(error))
    return Outcome(
        script=script,
        violations=tuple(world.watch.violations),
        trace=world.trace,
        settled=settled,
        stats=Stats(
            simulated_ms=world.engine.now_ms,
            calls=world.engine.calls_made,
            unit_changes=world.watch.unit_changes,
            fences=world.watch.fences,
            requests=len(world.watch.wishes),
        ),
    )


def _quiet(world: World, faults: tuple[Fault, ...]) -> int:
    """Go to the first of these faults and on to rest, if that is near; return by how much."""
    if not faults:
        return 0
    first_ms = min(fault.at_ms for fault in faults)
    world.engine.run_until(first_ms)
    while unrest(world) and world.engine.now_ms < first_ms + CALM_WAIT_MAX_MS:
        world.engine.run_until(world.engine.now_ms + SETTLE_STEP_MS)
    world.watch.quiet_from_ms = world.engine.now_ms
    return world.engine.now_ms - first_ms


def run_faults(world: World, faults: tuple[Fault, ...], until_ms: int) -> None:
    """Let all of it happen."""
    for fault in faults:
        world.plan(fault)
    world.engine.run_until(until_ms)


def settle(world: World) -> bool:
    """Make the world whole and wait for rest; note what is still wrong at the end."""
    world.make_whole()
    began_ms = world.engine.now_ms
    next_operator_ms = began_ms + OPERATOR_FIRST_MS
    next_start_ms = began_ms + START_ALL_EVERY_MS
    rests_since_ms: int | None = None
    while world.engine.now_ms - began_ms < settle_max_ms(world.spec):
        world.engine.run_until(world.engine.now_ms + SETTLE_STEP_MS)
        now_ms = world.engine.now_ms
        if world.watch.violations:
            return False
        if unrest(world):
            rests_since_ms = None
        else:
            rests_since_ms = now_ms if rests_since_ms is None else rests_since_ms
            if now_ms - rests_since_ms >= REST_MS:
                _check_end(world)
                return True
        if now_ms >= next_start_ms:
            world.start_all()
            next_start_ms = now_ms + START_ALL_EVERY_MS
        if now_ms >= next_operator_ms:
            operate(world)
            next_operator_ms = now_ms + OPERATOR_EVERY_MS
    for problem in unrest(world)[:3]:
        world.watch.violate("I10", problem)
    return False


def settle_max_ms(spec: ClusterSpec) -> int:
    """Return how long a cluster may take to come to rest once all works again.

    What hangs when the last fault ends may still use up its time: a service that is on its way, and
    the agent of a fence device; then both have to be done once more.
    """
    ways = [
        sum(r.start_timeout_ms + r.stop_timeout_ms for r in start_order(s)) for s in spec.services
    ]
    return max(SETTLE_MAX_MS, 3 * (max(ways, default=0) + spec.fencing.timeout_ms))


def unrest(world: World) -> list[str]:
    """Return what has not come to rest, most general first."""
    hosts = world.configured()
    problems = [words for host in hosts if (words := _host_unrest(world, host))]
    if problems:
        return problems
    installs = {id(world.watch.installs.get(host.node)) for host in hosts}
    states = [h.daemon.state.cluster for h in hosts if h.daemon is not None]
    if len(installs) != 1 or len({(s.epoch, s.applied) for s in states}) != 1:
        return ["the members are not all in one epoch at one place"]
    cluster = states[0]
    for node, record in cluster.nodes.items():
        if record.status is not NodeStatus.ONLINE:
            problems.append(f"{cluster.spec.node_name(node)} is {record.status.value}")
    for service in cluster.services.values():
        problems += _service_unrest(world, cluster, service)
    problems += [
        *world.watch.jury.moves.misplaced(cluster),
        *rules.strays(cluster),
        *rules.sick(cluster),
    ]
    problems += [f"{name} is frozen" for name, s in cluster.services.items() if s.frozen]
    return problems + world.watch.unanswered()


def _host_unrest(world: World, host: Host) -> str | None:
    name = world.watch.name(host.node)
    if not host.is_on:
        return f"{name} is off"
    if host.daemon is None:
        return f"{name} has no rgmgrd"
    if not host.daemon.state.local.is_installed:
        return f"{name} is in no epoch"
    if any(unit.job is not None for unit in host.systemd.units.values()):
        return f"{name} has jobs under way"
    return None


def _service_unrest(world: World, cluster: ClusterState, service: Service) -> list[str]:
    """Compare the record of a service with the truth."""
    name = service.spec.name
    where = active_services({n: h.systemd for n, h in world.hosts.items()}).get(name, ())
    names = ", ".join(cluster.spec.node_name(n) for n in where) or "no node"
    if service.state is ServiceState.STARTED:
        return _started_unrest(world, cluster, service, where)
    if where:
        return [f"{name} is {service.state.value}, but active on {names}"]
    may_wait = rests(cluster, service.spec) or rules.may_wait(cluster, service)
    if service.state is ServiceState.STOPPED and may_wait:
        return []
    if service.state is not ServiceState.DISABLED:
        return [f"{name} is {service.state.value}: {because(cluster, name)}"]
    return []


def _started_unrest(
    world: World, cluster: ClusterState, service: Service, where: tuple[NodeId, ...]
) -> list[str]:
    name, owner = service.spec.name, service.owner
    if owner is None or where != (owner,):
        owner_name = cluster.spec.node_name(owner) if owner else "nobody"
        names = ", ".join(cluster.spec.node_name(n) for n in where) or "no node"
        return [f"{name} belongs to {owner_name}, but is active on {names}"]
    if not may_run(cluster, service, owner):
        return [f"{name} runs on {cluster.spec.node_name(owner)}, outside its domain"]
    if is_partial(service):
        return [f"{name} runs without {', '.join(tops_off(service))}"]
    units = world.hosts[owner].systemd.units
    known = [resource.name for resource in start_order(service.spec)]
    if gone := [n for n in world.hosts[owner].systemd.active(name) if n not in known]:
        return [f"{name} has still {', '.join(gone)}, which it is not made of any more"]
    return [
        f"{name}/{resource.name} is not up on {cluster.spec.node_name(owner)}"
        for resource in start_order(service.spec)
        if (unit := units.get((name, resource.name))) is None or unit.phase is not Phase.ACTIVE
    ]


def _check_end(world: World) -> None:
    """Ask at rest what can only be asked then."""
    cluster = _any_state(world)
    check_standby(world, cluster)
    for name in world.watch.must_be_disabled():
        if _state_of(cluster, name) is not ServiceState.DISABLED:
            world.watch.violate("I7", f"{name} was disabled, is {_state_of(cluster, name).value}")
    for name, service in cluster.services.items():
        if service.state is not ServiceState.STARTED and not because(cluster, name):
            world.watch.violate("I11", f"{name} is {service.state.value} and does not say why")


def _any_state(world: World) -> ClusterState:
    return next(h.daemon.state.cluster for h in world.configured() if h.daemon is not None)


def _state_of(cluster: ClusterState, name: ServiceName) -> ServiceState:
    service = cluster.services.get(name)
    return service.state if service else ServiceState.DISABLED  # not configured any more


def _raised(error: Exception) -> str:
    """Say where the core broke, without naming a path of this machine."""
    trail = []
    frame = error.__traceback__
    while frame is not None:
        module = frame.tb_frame.f_globals.get("__name__", "?")
        trail.append(f"{module}:{frame.tb_lineno}")
        frame = frame.tb_next
    return f"{type(error).__name__}: {error} ({' '.join(trail[-3:])})"
