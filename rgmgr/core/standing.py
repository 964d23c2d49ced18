# SPDX-License-Identifier: Apache-2.0
"""What standing orders of operators mean for everybody's decisions; given in `maintenance.py`.

*Standby* of a node: it gives its services away, as at a shutdown, and gets none. *Locked*: no
service starts, the rest goes on. *Disarmed*: services are left alone as if all were frozen, nobody
is fenced but by an operator's order, and a node that loses quorum keeps what it runs.

Source: heartbeat hb_standby; rgmanager, locked resource groups; ADR 17.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.evolve import replace
from rgmgr.core.model import ClusterState, NodeStatus, Service, StandingOrder


def is_left_alone(cluster: ClusterState, service: Service) -> bool:
    """Tell whether nothing is done to a service by itself, whatever becomes of it."""
    return service.frozen or cluster.disarmed is not None


def why_nothing_starts(cluster: ClusterState) -> str:
    """Say why no service of the whole cluster is started; empty: they are."""
    if cluster.disarmed is not None:
        return f"the cluster is disarmed by {cluster.disarmed.by}"
    if cluster.locked is not None:
        return f"services are locked by {cluster.locked.by}"
    return ""


def is_shielded(cluster: ClusterState, me: NodeId, cluster_ms: int) -> bool:
    """Tell whether a node that loses quorum keeps what it runs, because the cluster is disarmed.

    The others start nothing of it without proof that it is down; so not where nothing is ever
    proven, and not on a node that they fence.
    """
    order, node = cluster.disarmed, cluster.nodes.get(me)
    if order is None or node is None or cluster.spec.fencing.unsafe_disabled:
        return False
    is_fenced = node.status in (NodeStatus.UNCLEAN, NodeStatus.FENCED)
    return not is_fenced and cluster_ms < order.until_ms


def after_outage(cluster: ClusterState, gap_ms: int, *, has_booted: bool) -> ClusterState:
    """Return the standing orders of a cluster that begins anew.

    The time in which there was no cluster, which nobody measured, does not count. A lock is meant
    for the shutdown of the whole cluster: it ends when every node was booted since.
    """
    disarmed = cluster.disarmed
    return replace(
        cluster,
        standby={n: _later(order, gap_ms) for n, order in cluster.standby.items()},
        services={name: _waits_on(s, gap_ms) for name, s in cluster.services.items()},
        disarmed=_later(disarmed, gap_ms) if disarmed else None,
        locked=None if has_booted else cluster.locked,
    )


def _waits_on(service: Service, gap_ms: int) -> Service:
    wait = service.awaits
    if wait is None or not wait.until_ms:
        return service
    return replace(service, awaits=replace(wait, until_ms=wait.until_ms + gap_ms))


def _later(order: StandingOrder, by_ms: int) -> StandingOrder:
    until_ms = order.until_ms + by_ms if order.until_ms else 0
    return replace(order, since_ms=order.since_ms + by_ms, until_ms=until_ms)
