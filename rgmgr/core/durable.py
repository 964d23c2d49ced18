# SPDX-License-Identifier: Apache-2.0
"""What outlives a full outage: configuration, administrators' words, goodbyes, proofs, cases.

What runs where is not kept: systemd knows it, and HELLO asks it.
"""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.actions import Multicast, SaveState
from rgmgr.core.local import Turn
from rgmgr.core.messages import Ack
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState

KEPT_STATES = (ServiceState.DISABLED, ServiceState.FAILED)
KEPT_NODES = (NodeStatus.LEFT, NodeStatus.FENCED)


def project(cluster: ClusterState) -> ClusterState:
    """Return the durable part, as a state that a daemon can begin with."""
    return replace(
        cluster,
        next_op=1,
        has_formed=False,
        nodes={n: _node(node) for n, node in cluster.nodes.items()},
        services={name: _service(service) for name, service in cluster.services.items()},
        cases=tuple(case for case in cluster.cases if case.outcome),
        tests={},
        test=0,
    )


def save_if_changed(turn: Turn) -> None:
    """Ask for a save when the durable part differs from the one last asked for."""
    projection = project(turn.cluster)
    essence = replace(projection, applied=0, now_ms=0)
    if essence != turn.local.saved:
        turn.update(saved=essence, saved_at=turn.cluster.applied)
        turn.do(SaveState(projection))


def saved(turn: Turn, epoch: int, applied: int) -> None:
    """Our disk has it: tell the others."""
    if turn.local.is_installed and epoch == turn.cluster.epoch:
        turn.do(Multicast(Ack(epoch, applied)))


def is_committed(turn: Turn, applied: int) -> bool:
    """Tell whether a majority of the configured nodes has this much of the epoch on disk.

    With fewer members than a majority (corosync's two-node mode) all of them must have it.
    """
    members = turn.cluster.members()
    needed = min(len(members), len(turn.cluster.spec.nodes) // 2 + 1)
    return sum(turn.local.acks.get(n, -1) >= applied for n in members) >= needed


def _node(node: Node) -> Node:
    cut = node.to_unfence or (node.to_restore if node.is_cut_off else ())
    if node.status not in KEPT_NODES:
        return Node(boot_id=node.boot_id, to_unfence=cut)
    return Node(
        status=node.status,
        incarnation=node.incarnation,
        boot_id=node.boot_id,
        proof=node.proof,
        to_unfence=cut,
    )


def _service(service: Service) -> Service:
    state = service.state if service.state in KEPT_STATES else ServiceState.STOPPED
    return Service(
        spec=service.spec,
        state=state,
        last_owner=service.last_owner,
        is_held=service.is_held,
        is_new=service.is_new,
        frozen=service.frozen,
        fault=service.fault if state is ServiceState.FAILED else "",
    )
