# SPDX-License-Identifier: Apache-2.0
"""What an administrator does once all works again: ends each wait that waits for one.

What waits must say so; a word that was lost shows here, too.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import FenceOrder, MaintenanceOrder, Verb
from rgmgr.core.model import AwaitKind, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.subtrees import is_partial
from rgmgr.sim.faults import Ask, AskFence, AskMaintenance
from rgmgr.sim.host import Host
from rgmgr.sim.world import World


def operate(world: World) -> None:
    """Look at all that waits, and ask for what it waits for."""
    host = next((host for host in world.configured() if _is_member(host)), None)
    if host is None or host.daemon is None:
        return
    node, cluster = host.node, host.daemon.state.cluster
    _end_orders(world, node, cluster)
    _free_nodes(world, node, cluster)  # what is asked already may wait for just that
    if world.watch.open_wishes():
        return
    for name in world.watch.must_be_frozen():
        if name in cluster.services and not cluster.services[name].frozen:
            world.watch.violate("I7", f"{name} was frozen, and nobody has unfrozen it")
    for name, service in cluster.services.items():
        verb = _way_out(service)
        if verb is None:
            continue
        if service.state is not ServiceState.STARTED and not because(cluster, name):
            world.watch.violate("I11", f"{name} is {service.state.value} and does not say why")
        _ask(world, node, verb, name)


def _is_member(host: Host) -> bool:
    """Tell whether an operator who asks there is heard: one that is being fenced hears nobody."""
    state = host.daemon.state if host.daemon is not None else None
    return state is not None and state.local.is_installed and host.node in state.cluster.members()


def _free_nodes(world: World, node: NodeId, cluster: ClusterState) -> None:
    at_ms = world.engine.now_ms
    for lost, record in cluster.nodes.items():
        is_out = record.status in (NodeStatus.FENCED, NodeStatus.LEFT)
        if record.to_unfence and is_out and world.hosts[lost].boot_id == record.boot_id:
            world.hosts[lost].switch_off()  # its paths are cut: it has to be booted, once
        if record.withheld:
            world.ask(AskFence(at_ms=at_ms, node=node, order=FenceOrder.FENCE, victim=lost))


def _end_orders(world: World, node: NodeId, cluster: ClusterState) -> None:
    """End every standing order, so that all can come to rest; none may have been forgotten."""
    check_standby(world, cluster)
    ends = [
        *((MaintenanceOrder.UNSTANDBY, away) for away in cluster.standby),
        *([(MaintenanceOrder.UNLOCK, None)] if cluster.locked else []),
        *([(MaintenanceOrder.ARM, None)] if cluster.disarmed else []),
    ]
    at_ms = world.engine.now_ms
    for order, victim in ends:
        world.ask(AskMaintenance(at_ms=at_ms, node=node, order=order, victim=victim))


def check_standby(world: World, cluster: ClusterState) -> None:
    """Note a node whose standby was forgotten (I7)."""
    for node in world.watch.must_be_in_standby():
        if node in cluster.nodes and node not in cluster.standby:
            world.watch.violate("I7", f"{world.watch.name(node)} was in standby, and is not")


def _way_out(service: Service) -> Verb | None:
    """Return what ends the wait of a service; None when it does not wait for a human."""
    if service.frozen:
        return Verb.UNFREEZE
    if service.state is ServiceState.FAILED:
        return Verb.DISABLE
    if service.awaits is not None and service.awaits.kind is AwaitKind.CONFIRM:
        return Verb.CONFIRM
    if is_partial(service):
        return Verb.CONVALESCE
    return Verb.ENABLE if service.state is ServiceState.STOPPED else None


def _ask(world: World, node: NodeId, verb: Verb, service: ServiceName) -> None:
    world.ask(Ask(at_ms=world.engine.now_ms, node=node, verb=verb, service=service))
