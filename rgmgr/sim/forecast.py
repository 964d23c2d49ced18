# SPDX-License-Identifier: Apache-2.0
"""What would happen: one supposed event in a calm world like the present, run until all rests.

The real core decides, so a forecast is what the cluster does, but for times that are assumed.
`forecast` is the entry point; `plan.py` makes the steps of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from domains.model import NodeId, ServiceName
from rgmgr.core.events import ConfigLoaded, Shutdown
from rgmgr.core.messages import Verb
from rgmgr.core.model import ClusterState, ServiceState
from rgmgr.core.reasons import why_there
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.tree import start_order
from rgmgr.present import Present
from rgmgr.sim.faults import Ask
from rgmgr.sim.phases import Mood
from rgmgr.sim.plan import Recorder, Step
from rgmgr.sim.power import Device
from rgmgr.sim.rest import come_to_rest
from rgmgr.sim.stage import agreed, is_quorate, set_up
from rgmgr.sim.world import World


@dataclass(frozen=True, slots=True)
class NodeDies:
    """A node loses its power and stays dark."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeLeaves:
    """An administrator stops rgmgrd of a node, or shuts the node down."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class NodeReturns:
    """A node that is away boots, or its rgmgrd is started."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class ServiceFails:
    """A resource of a running service dies; None: the one that starts last."""

    service: ServiceName
    resource: ResourceName | None = None


@dataclass(frozen=True, slots=True)
class ServiceCannotStop:
    """Somebody asks for a restart of a service, and nothing of it can be stopped."""

    service: ServiceName


@dataclass(frozen=True, slots=True)
class NetworkSplits:
    """The network falls into these parts; nodes that are in none form one more."""

    parts: tuple[tuple[NodeId, ...], ...]


@dataclass(frozen=True, slots=True)
class NewConfig:
    """Every member is given this cluster.toml, and told to read it (`systemctl reload rgmgrd`)."""

    spec: ClusterSpec


@dataclass(frozen=True, slots=True)
class DeviceDies:
    """A fence device answers no more."""

    device: str


Supposition = (
    NodeDies
    | NodeLeaves
    | NodeReturns
    | ServiceFails
    | ServiceCannotStop
    | NetworkSplits
    | NewConfig
    | DeviceDies
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a service is, its state, and why."""

    owner: str | None
    state: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one service. `outage_ms`: how long it is not up; None: it stays down.

    `verdict`: unaffected, interrupted, lost (was up and stays down), waits (was up, and
    starts when its node is back or a human says so), started, down (as before), removed (from the
    configuration).
    """

    service: str
    verdict: str
    outage_ms: int | None
    before: Place
    after: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The whole of it. Times are milliseconds since the event; nodes by id."""

    steps: tuple[Step, ...]
    fates: tuple[Fate, ...]
    nodes: tuple[tuple[str, str, str], ...]  # name, status before, status after
    is_at_rest: bool
    is_quorate: bool  # at the end, somewhere
    broken: tuple[str, ...]  # promises that the simulation saw broken: a bug of rgmgr


def forecast(present: Present, *supposed: Supposition) -> Forecast:
    """Return what happens when all of this is the case at the same moment."""
    world = set_up(present)
    before = agreed(world) if _is_anybody_left(world) else present.cluster  # all were leaving
    recorder = Recorder(world, _specs(before, supposed))
    for supposition in supposed:
        suppose(world, supposition)
    is_at_rest = come_to_rest(world)
    after = agreed(world) if _is_anybody_left(world) else before
    return Forecast(
        steps=recorder.steps(),
        fates=tuple(_fate(name, recorder, before, after, world) for name in recorder.services),
        nodes=tuple(
            (spec.name, _status(before, n), _status_at_end(world, after, n))
            for n, spec in sorted({**before.spec.nodes, **after.spec.nodes}.items())
        ),
        is_at_rest=is_at_rest,
        is_quorate=is_quorate(world),
        broken=tuple(words for words in world.watch.violations if not words.startswith("I4")),
    )


def unfenceable(spec: ClusterSpec, dead: frozenset[str]) -> tuple[NodeId, ...]:
    """Return the nodes of which every method needs one of these devices."""
    if spec.fencing.unsafe_disabled:
        return ()
    return tuple(
        n
        for n, node in sorted(spec.nodes.items())
        if all(any(step.device in dead for step in method) for method in node.fence)
    )


def suppose(world: World, supposition: Supposition) -> None:  # noqa: C901 - one arm per kind
    """Let it happen now."""
    hosts = world.hosts
    match supposition:
        case NodeDies(node):
            hosts[node].switch_off()
        case NodeLeaves(node):
            hosts[node].shut_down(Shutdown.STOP)
        case NodeReturns(node):
            hosts[node].wants_daemon = True
            hosts[node].switch_on()
            hosts[node].start_daemon()
        case ServiceFails(service, resource):
            for host in hosts.values():
                host.systemd.die(service, resource or _last(world, service))
        case ServiceCannotStop(service):
            _refuse_to_stop(world, service)
        case NetworkSplits(parts):
            world.bus.divide(parts)
        case NewConfig(spec):
            for host in hosts.values():
                if host.daemon is not None:
                    host.post(host.daemon, ConfigLoaded(spec))
        case DeviceDies(device):
            for node in unfenceable(world.spec, frozenset({device})):
                world.power.devices[node] = Device.REFUSES


def _last(world: World, service: ServiceName) -> ResourceName:
    return start_order(agreed(world).services[service].spec)[-1].name


def _refuse_to_stop(world: World, service: ServiceName) -> None:
    record = agreed(world).services[service]
    if record.owner is None:
        return
    for resource in start_order(record.spec):
        world.hosts[record.owner].systemd.unit(service, resource.name).mood = Mood.STOP_FAILS
    asked = Ask(at_ms=world.engine.now_ms, node=record.owner, verb=Verb.RESTART, service=service)
    world.ask(asked)


def _specs(
    cluster: ClusterState, supposed: tuple[Supposition, ...]
) -> dict[ServiceName, tuple[ResourceName, ...]]:
    """Return the resources of every service there is or will be."""
    found = {name: service.spec for name, service in cluster.services.items()}
    for supposition in supposed:
        if isinstance(supposition, NewConfig):
            found = {s.name: s for s in supposition.spec.services} | found
    return {name: tuple(r.name for r in start_order(spec)) for name, spec in found.items()}


def _fate(
    name: ServiceName, recorder: Recorder, before: ClusterState, after: ClusterState, world: World
) -> Fate:
    record = after.services.get(name)
    is_up = recorder.is_up(name) and record is not None and record.state is ServiceState.STARTED
    outage_ms = recorder.outage_ms(name)
    if record is None:
        verdict = "removed"
    elif not recorder.was_up(name):
        verdict = "started" if is_up else "down"
    elif not is_up:
        verdict = "waits" if record.awaits is not None and is_quorate(world) else "lost"
    else:
        verdict = "interrupted" if outage_ms else "unaffected"
    return Fate(
        service=name,
        verdict=verdict,
        outage_ms=outage_ms if is_up else None,
        before=_place(before, name),
        after=_place(after, name) if is_quorate(world) else _stranded(after, name, is_up=is_up),
    )


def _place(cluster: ClusterState, name: ServiceName) -> Place:
    service = cluster.services.get(name)
    if service is None:
        return Place(owner=None, state="absent", why="not in the configuration")
    owner = service.last_owner if service.state is ServiceState.FAILED else service.owner
    return Place(
        owner=cluster.spec.node_name(owner) if owner is not None else None,
        state=service.state.value,
        why=why_there(cluster, name),
    )


def _stranded(cluster: ClusterState, name: ServiceName, *, is_up: bool) -> Place:
    """Say where a service is when no part of the cluster has quorum: the record is out of date."""
    place = _place(cluster, name)
    if is_up:
        return replace(place, why="no quorum anywhere; its no_quorum_policy leaves it running")
    return Place(owner=None, state="stopped", why="no part of the cluster has quorum")


def _status(cluster: ClusterState, node: NodeId) -> str:
    record = cluster.nodes.get(node)
    return record.status.value if record else "absent"


def _status_at_end(world: World, cluster: ClusterState, node: NodeId) -> str:
    """Return the status on record; without quorum anywhere that is out of date."""
    if is_quorate(world) or node not in world.hosts:
        return _status(cluster, node)
    return "without quorum" if world.hosts[node].daemon is not None else "down"


def _is_anybody_left(world: World) -> bool:
    return any(host.daemon is not None for host in world.hosts.values())
