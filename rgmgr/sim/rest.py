# SPDX-License-Identifier: Apache-2.0
"""When nothing goes on any more in a calm world: the end of a forecast.

Ticks and tests of fence paths go on for ever, and so does fencing that has failed from every
member and will fail again.
"""

from __future__ import annotations

from rgmgr.core import retrying
from rgmgr.core.local import State
from rgmgr.core.model import ClusterState, Node, NodeStatus
from rgmgr.sim.host import Host
from rgmgr.sim.world import World

REST_EVERY_MS = 250
REST_LOOKS = 4
"""So many looks in a row must find nothing going on: messages on their way show at the next."""
REST_MAX_MS = 900_000


def come_to_rest(world: World) -> bool:
    """Run until nothing goes on. False: something still does after `REST_MAX_MS`."""
    until_ms = world.engine.now_ms + REST_MAX_MS
    looks = 0
    while looks < REST_LOOKS and world.engine.now_ms < until_ms:
        world.engine.run_until(world.engine.now_ms + REST_EVERY_MS)
        is_busy = any(_is_busy(world, host) for host in world.hosts.values())
        looks = 0 if is_busy else looks + 1
    return looks == REST_LOOKS


def _is_busy(world: World, host: Host) -> bool:
    if any(unit.job is not None for unit in host.systemd.units.values()):
        return True
    ring = world.bus.stations[host.node].ring
    if ring and (ring.broken_ms is not None or ring.nodes != world.bus.reach(host.node)):
        return True
    if host.daemon is None:
        return False
    cluster = host.daemon.state.cluster
    pings = (f"ping:{ping.name}" for ping in cluster.spec.pings)
    idle = {"tick", "test", *pings, *_vain_timers(cluster)}
    return not host.daemon.timers.keys() <= idle or _is_fencing(host.daemon.state)


def _is_fencing(state: State) -> bool:
    """Tell whether an attempt of this member's own is going on; without quorum its end is lost."""
    return state.local.is_installed and any(
        node.status is NodeStatus.UNCLEAN
        and node.fencer == state.local.me
        and state.local.fencing.get(node_id) == (node.victim, node.attempt)
        and not _is_vain(state.cluster, node)
        for node_id, node in state.cluster.nodes.items()
    )


def _vain_timers(cluster: ClusterState) -> set[str]:
    """Return the timers of attempts and starts that will fail like those before."""
    return {
        f"fence:{n}:{node.victim}:{node.attempt}"
        for n, node in cluster.nodes.items()
        if _is_vain(cluster, node)
    } | {key for s in cluster.services.values() if (key := retrying.key_of(s))}


def _is_vain(cluster: ClusterState, node: Node) -> bool:
    """Tell whether every member has tried to fence it."""
    return node.attempt > len(cluster.members())
