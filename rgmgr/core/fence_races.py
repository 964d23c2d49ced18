# SPDX-License-Identifier: Apache-2.0
"""Who waits when two halves of a cluster may fence each other at the same time.

A race is possible only where the members are no majority of the configured nodes: in corosync's
two-node mode, or in an even split that something else decided. A majority never waits.

Source: fencing race in two-node clusters; Pacemaker's `priority-fencing-delay`; ADR 13.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.actions import DiskLease
from rgmgr.core.model import ClusterState, Node, NodeStatus

_WORD = (1 << 64) - 1


def may_race(cluster: ClusterState) -> bool:
    """Tell whether others may have quorum as well as we do."""
    return 2 * len(_present(cluster)) <= len(cluster.nodes)


def lease_of(cluster: ClusterState) -> DiskLease | None:
    """Return what our side must hold on a disk before it fences; None: nothing, or no race."""
    device = cluster.spec.fencing.lease
    if not device or not may_race(cluster):
        return None
    return DiskLease(device=device, cluster=cluster.spec.name, side=_present(cluster))


def first_delay_ms(cluster: ClusterState, victim: NodeId) -> int:
    """Return what is agreed on to be waited for in a race, before the first attempt."""
    if not may_race(cluster):
        return 0
    spec = cluster.spec
    head_start_ms = spec.nodes[victim].fence_delay_ms if victim in spec.nodes else 0
    return head_start_ms + (spec.fencing.delay_by_weight_ms if _is_lighter(cluster) else 0)


def chance_delay_ms(cluster: ClusterState, node: Node, incarnation: int) -> int:
    """Return what the time keeper adds by chance; `incarnation` is its own, a random number.

    The two sides of a race have different keepers, so they draw independently.
    """
    most_ms = cluster.spec.fencing.delay_random_ms
    if not most_ms or not may_race(cluster) or node.attempt:
        return 0
    return _mixed(incarnation ^ node.victim) % (most_ms + 1)


def _mixed(number: int) -> int:
    """Spread neighbouring numbers over 64 bits. Source: the finalizer of splitmix64."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) & _WORD
    return number ^ (number >> 31)


def _is_lighter(cluster: ClusterState) -> bool:
    """Tell whether our side runs less than the lost one; of equals the lowest id is heavier."""
    ours = _present(cluster)
    lost = sorted(n for n, x in cluster.nodes.items() if x.status is NodeStatus.UNCLEAN)
    if not ours or not lost:
        return False
    mine, theirs = _weight(cluster, ours), _weight(cluster, tuple(lost))
    return mine < theirs or (mine == theirs and lost[0] < ours[0])


def _present(cluster: ClusterState) -> tuple[NodeId, ...]:
    """Return the nodes on our side; the daemon of a detached one is away, its vote is not."""
    ours = (NodeStatus.ONLINE, NodeStatus.LEAVING, NodeStatus.DETACHED)
    return tuple(sorted(n for n, x in cluster.nodes.items() if x.status in ours))


def _weight(cluster: ClusterState, nodes: tuple[NodeId, ...]) -> int:
    return sum(s.spec.weight for s in cluster.services.values() if s.owner in nodes)
