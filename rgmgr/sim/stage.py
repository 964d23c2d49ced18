# SPDX-License-Identifier: Apache-2.0
"""A calm world as the real cluster is now, or as it would be after a quiet start.

The present is set up as if every daemon had been restarted at once: each disk holds the whole
agreed state, each systemd runs what the records say, and the members agree on it anew, which
moves nothing (I8). Then the world runs until what is already under way has come to an end.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId, ServiceName
from rgmgr.config.durations import parse_duration
from rgmgr.core.actions import FenceNode
from rgmgr.core.events import Shutdown
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.tree import start_order
from rgmgr.present import DELAY, Present, Span, Surroundings, fence_of, start_of, stop_of
from rgmgr.sim.faults import Script
from rgmgr.sim.host import Host
from rgmgr.sim.pace import Pace
from rgmgr.sim.phases import Phase
from rgmgr.sim.rest import come_to_rest
from rgmgr.sim.votes import TIE_BREAKERS, TieBreaker
from rgmgr.sim.world import World

ASSUMED_UNIT_MS = 1_000
ASSUMED_FENCE_MS = 5_000


FULL = (ServiceState.STARTED, ServiceState.STOPPING, ServiceState.RECOVERABLE)
ALIVE = (NodeStatus.ONLINE, NodeStatus.LEAVING, NodeStatus.DETACHED)
TWO_NODES = 2


def assumed_detection_ms(nodes: int) -> int:
    """Return token and consensus by corosync's own defaults. Source: corosync.conf(5)."""
    token_ms = 3_000 + 650 * max(0, nodes - TWO_NODES)
    return token_ms + token_ms * 12 // 10


def pace_of(spec: ClusterSpec, measured: dict[str, Span], detection_ms: int) -> Pace:
    """Return the times of a cluster: measured ones, else a share of the service's, else assumed."""
    sizes = {service.name: len(start_order(service)) for service in spec.services}

    def unit_ms(service: ServiceName, resource: ResourceName, *, is_start: bool) -> int:
        key_of = start_of if is_start else stop_of
        if span := measured.get(key_of(service, resource)):
            return max(1, span.median_ms)
        if span := measured.get(key_of(service)):
            return max(1, span.median_ms // max(1, sizes.get(service, 1)))
        return ASSUMED_UNIT_MS

    def fence_ms(action: FenceNode) -> int:
        if span := measured.get(fence_of(action.node_name)):
            return max(1, span.median_ms)
        return (typical_fence_ms(spec, measured) or ASSUMED_FENCE_MS) + _delay_ms(action)

    return Pace(
        detection_ms=detection_ms or assumed_detection_ms(len(spec.nodes)),
        unit_ms=unit_ms,
        fence_ms=fence_ms,
    )


def typical_fence_ms(spec: ClusterSpec, measured: dict[str, Span]) -> int | None:
    """Return what the fencing of another node took, in the middle; None: nobody was fenced yet."""
    spans = (measured.get(fence_of(node.name)) for node in spec.nodes.values())
    found = sorted(span.median_ms for span in spans if span)
    return max(1, found[len(found) // 2]) if found else None


def quiet_start(spec: ClusterSpec) -> World:
    """Return a world in which every node was switched on and all came to rest."""
    script = Script(seed=0, spec=spec, faults=(), is_two_node=len(spec.nodes) == TWO_NODES)
    world = World(script, pace_of(spec, {}, 0))
    for host in world.hosts.values():
        host.switch_on()
    world.engine.run_until(5_000)
    come_to_rest(world)
    return world


def present_of(world: World) -> Present:
    """Return what a world at rest agrees on, to set up another one like it."""
    cluster = agreed(world)
    ring = next(iter(cluster.members()))
    around = Surroundings(
        me=ring,
        is_installed=True,
        is_quorate=True,
        ring_nodes=world.bus.reach(ring),
        now_ms=cluster.now_ms,
        detection_ms=world.bus.detection_ms,
        is_two_node=world.bus.votes.is_two_node,
        tie_breaker=world.bus.votes.tie_breaker.value,
    )
    return Present(cluster, around)


def set_up(present: Present) -> World:
    """Return a world like the present, at rest."""
    cluster, around = present.cluster, present.around
    pace = pace_of(cluster.spec, around.measured, around.detection_ms)
    script = Script(
        seed=0,
        spec=cluster.spec,
        faults=(),
        is_two_node=around.is_two_node,
        tie_breaker=TIE_BREAKERS.get(around.tie_breaker, TieBreaker.NONE),
    )
    world = World(script, pace)
    ring = [n for n in world.hosts if n in around.ring_nodes]
    for node in ring:
        host = world.hosts[node]
        host.is_on, host.boots = True, 1
        world.bus.start(node)
    world.engine.run_until(3_000)
    known = _as_found(cluster, around.now_ms)
    for node in ring:
        host = world.hosts[node]
        host.disk.saved = known
        world.bus.stations[node].has_met_all = True
        _put_units(world, node, known)
        host.wants_daemon = node in cluster.members()
    for node in cluster.members():
        world.hosts[node].start_daemon()
        _tell_active(world.hosts[node])
    world.engine.run_until(6_000)
    for node, record in cluster.nodes.items():
        if record.status is NodeStatus.LEAVING:
            world.hosts[node].shut_down(Shutdown.STOP)
    come_to_rest(world)
    return world


def agreed(world: World) -> ClusterState:
    """Return the agreed state of those that can act: of several parts the most recent one.

    Raises:
        ValueError: nobody is left who knows anything.
    """
    states = [h.daemon.state for h in world.hosts.values() if h.daemon is not None]
    best = max(states, key=lambda s: (s.local.is_installed, s.cluster.epoch, s.cluster.applied))
    return best.cluster


def is_quorate(world: World) -> bool:
    """Tell whether anybody can act."""
    daemons = [host.daemon for host in world.hosts.values()]
    return any(daemon and daemon.state.local.is_installed for daemon in daemons)


def _as_found(cluster: ClusterState, now_ms: int) -> ClusterState:
    """Return the state as daemons of this world find it: their lives and boots are new ones."""
    nodes = {
        n: replace(node, boot_id=f"boot-{n}-{int(node.status in ALIVE)}", incarnation=0, sequence=0)
        for n, node in cluster.nodes.items()
    }
    return replace(cluster, nodes=nodes, now_ms=max(cluster.now_ms, now_ms))


def _put_units(world: World, node: NodeId, cluster: ClusterState) -> None:
    """Let systemd of a node run what the records say of it."""
    for service in cluster.services.values():
        if _holds(service, node):
            for resource in start_order(service.spec):
                world.hosts[node].systemd.unit(
                    service.spec.name, resource.name
                ).phase = Phase.ACTIVE


def _tell_active(host: Host) -> None:
    """Let a daemon know from its first moment what runs, for it finds itself the owner already."""
    if host.daemon is None:
        return
    state = host.daemon.state
    found = {name: host.systemd.active(name) for name in state.cluster.services}
    active = {name: resources for name, resources in found.items() if resources}
    host.daemon.state = replace(state, local=replace(state.local, active=active))


def _holds(service: Service, node: NodeId) -> bool:
    return (service.owner == node and service.state in FULL) or node in service.cleanup


def _delay_ms(action: FenceNode) -> int:
    """Return the longest configured delay of the first method."""
    delays = [0]
    for step in action.methods[0] if action.methods else ():
        options = action.devices[step.device].options | step.options
        parsed = parse_duration(options.get(DELAY, 0))
        delays.append(parsed if isinstance(parsed, int) else 0)
    return max(delays)
