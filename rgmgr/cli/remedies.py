# SPDX-License-Identifier: Apache-2.0
"""Which commands would change how a service or a node is, and what each would do.

Asks the functions that decide (`core.placement`, `core.seating`), so that only what helps is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from domains.model import NodeId
from rgmgr.core import awaiting, depend, retrying, rivals
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.placement import targets
from rgmgr.core.seating import may_run, other_seats
from rgmgr.core.subtrees import is_partial, tops_off
from rgmgr.core.unproven import blockers


@dataclass(frozen=True, slots=True)
class Remedy:
    """A command that would change something, and what it does. `node` empty: any member."""

    command: str
    effect: str
    node: str = ""


def of_service(cluster: ClusterState, service: Service) -> tuple[Remedy, ...]:
    """Return what would change a service; an order that forbids all else comes first."""
    return tuple(dict.fromkeys(_of_service(cluster, service)))


def of_node(cluster: ClusterState, node_id: NodeId) -> tuple[Remedy, ...]:
    """Return what would change a node."""
    return tuple(_of_node(cluster, node_id))


def _of_service(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    name = service.spec.name
    if service.frozen:
        yield Remedy(f"rgmgr unfreeze {name}", "has it looked after again")
        return
    if cluster.disarmed is not None:
        yield _ARM
        return
    if cluster.locked is not None:
        yield Remedy("rgmgr unlock", "lets services start again")
    match service.state:
        case ServiceState.STARTED:
            yield from _of_running(cluster, service)
        case ServiceState.DISABLED:
            yield from _enabling(cluster, service)
        case ServiceState.FAILED:
            where = name_of(cluster, service.last_owner)
            clean = f"tries once more to stop it on {where}; make sure first that nothing is left"
            yield Remedy(f"rgmgr disable {name}", clean)
            yield Remedy(f"rgmgr enable {name}", "starts it afterwards")
        case ServiceState.STOPPED | ServiceState.RECOVERING:
            yield from _of_idle(cluster, service)
        case _:
            return


def _of_running(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    name = service.spec.name
    if is_partial(service):
        off = ", ".join(tops_off(service))
        yield Remedy(f"rgmgr convalesce {name}", f"starts {off}, without which it runs")
    ranked = other_seats(cluster, service)
    if ranked and service.owner in cluster.members() and cluster.locked is None:
        target = name_of(cluster, ranked[0])
        yield Remedy(f"rgmgr relocate {name} -m {target}", f"moves it to {target}")
    elif service.owner is not None and service.owner in cluster.nodes:
        yield from _of_node(cluster, service.owner)


def _enabling(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    if able := targets(cluster, replace(service, awaits=None)):
        where = name_of(cluster, able[0])
        yield Remedy(f"rgmgr enable {service.spec.name}", f"starts it on {where}")
    else:
        yield from _absent(cluster, service)


def _of_idle(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    if unproven := blockers(cluster, service):
        for node_id in unproven:
            yield from _of_node(cluster, node_id)
    elif needed := depend.unmet(cluster, service.spec):
        for other in needed:
            if other in cluster.services:
                yield from _of_service(cluster, cluster.services[other])
    elif holders := rivals.unreleased(cluster, service):
        for other in holders:
            yield from _of_service(cluster, cluster.services[other])
    elif not service.cleanup:
        yield from _of_unhindered(cluster, service)


def _of_unhindered(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    if service.awaits is not None:
        yield from _of_waiting(cluster, service)
    elif service.is_held:
        yield from _enabling(cluster, service)
    elif targets(cluster, service):
        return
    elif service.failed_on:
        verb = "retry" if retrying.is_waiting(service) else "enable"
        effect = "tries every node again; mend it first"
        yield Remedy(f"rgmgr {verb} {service.spec.name}", effect)
    else:
        yield from _absent(cluster, service)


def _of_waiting(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    """What ends the wait for a node that is lost, or was shut down."""
    wait, name = service.awaits, service.spec.name
    assert wait is not None  # noqa: S101  # the caller has looked
    able = targets(cluster, replace(service, awaits=None))
    if wait.kind in awaiting.OPEN:
        node = name_of(cluster, wait.node)
        if able:
            where = name_of(cluster, able[0])
            yield Remedy(f"rgmgr takeover confirm {name}", f"starts it on {where}")
        yield Remedy(f"rgmgr takeover refuse {name}", f"keeps it waiting for {node}")
    elif able:
        where = name_of(cluster, able[0])
        yield Remedy(f"rgmgr enable {name}", f"starts it on {where}")
    if wait.node in cluster.nodes:
        yield from _of_node(cluster, wait.node)


def _absent(cluster: ClusterState, service: Service) -> Iterator[Remedy]:
    """What brings back a node that may run it."""
    for node_id, node in sorted(cluster.nodes.items()):
        is_away = node.status is not NodeStatus.ONLINE or node_id in cluster.standby
        if is_away and may_run(cluster, service, node_id):
            yield from _of_node(cluster, node_id)


def _of_node(cluster: ClusterState, node_id: NodeId) -> Iterator[Remedy]:
    node, name = cluster.nodes[node_id], name_of(cluster, node_id)
    if node_id in cluster.standby:
        effect = f"ends the standby of {name}; with --return what it gave away comes back"
        yield Remedy(f"rgmgr node unstandby {name}", effect)
    match node.status:
        case NodeStatus.ONLINE if node_id not in cluster.standby:
            effect = "moves its services away; it stays a member"
            yield Remedy(f"rgmgr node standby {name}", effect)
            effect = "moves its services away and takes the node out"
            yield Remedy("systemctl stop rgmgrd", effect, name)
        case NodeStatus.ONLINE | NodeStatus.LEAVING:
            return
        case NodeStatus.UNCLEAN:
            yield from _of_unclean(cluster, node, name)
        case _:
            yield Remedy("systemctl start rgmgrd", f"brings {name} back, once it is booted", name)


def _of_unclean(cluster: ClusterState, node: Node, name: str) -> Iterator[Remedy]:
    if cluster.disarmed is not None:
        yield _ARM
    elif node.withheld:
        yield Remedy(f"rgmgr fence {name}", "takes its fencing up again")
    else:
        effect = "tells why fencing brings no proof; mend the device, it is tried again"
        fencer = name_of(cluster, node.fencer) if node.fencer else ""
        yield Remedy("journalctl -u rgmgrd", effect, fencer)
    yield Remedy(f"rgmgr fence ack {name}", "gives your word that it is off, once you have seen it")


_ARM = Remedy("rgmgr arm", "has the cluster act by itself again")


def name_of(cluster: ClusterState, node: NodeId | None) -> str:
    """Return the name of a node; 'no node' for None."""
    return "no node" if node is None else cluster.spec.node_name(node)
