# SPDX-License-Identifier: Apache-2.0
"""What outlives a full outage: configuration, administrators' words, goodbyes, proofs, cases.

What runs where is not kept: systemd knows it, and HELLO asks it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Final

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Multicast, SaveState
from rgmgr.core.evolve import replace
from rgmgr.core.local import Turn
from rgmgr.core.messages import Ack
from rgmgr.core.model import ClusterState, FenceCase, Node, NodeStatus, Service, ServiceState
from rgmgr.core.spec import ServiceSpec, TakeoverMode
from rgmgr.core.survey import changed_services

KEPT_STATES = (ServiceState.DISABLED, ServiceState.FAILED)
PAIR = 2
KEPT_NODES = (NodeStatus.LEFT, NodeStatus.FENCED)
_NODE: Final = Node()
_SERVICE: Final = Service(spec=ServiceSpec(name=ServiceName(""), resources=()))
"""Blank records: a copy of one takes a fourth of the time of a new one."""

_PASSING = (
    "applied",
    "now_ms",
    "next_op",
    "has_formed",
    "failbacks",
    "health",
    "history",
    "strangers",
)
"""Of these a change alone is no reason to save; the history is saved along with what is kept."""
_KEPT_WHOLE = tuple(
    f.name for f in fields(ClusterState) if f.name not in (*_PASSING, "nodes", "services", "cases")
)


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
        failbacks={},
        health=0,
        strangers={},
    )


def save_if_changed(turn: Turn) -> None:
    """Ask for a save when the durable part differs from the one last asked for."""
    if _is_as_saved(turn):
        return
    projection = project(turn.cluster)
    essence = replace(
        projection,
        services={
            name: _essence(service, projection.services[name])
            for name, service in turn.cluster.services.items()
        },
        cases=_ended(turn.cluster),
        applied=0,
        now_ms=0,
        history=(),
    )
    if essence != turn.local.saved:
        turn.update(saved=essence, saved_at=turn.cluster.applied)
        turn.do(SaveState(projection))


def _is_as_saved(turn: Turn) -> bool:
    """Tell at little cost whether no record has changed durably with this event."""
    saved, before, now = turn.local.saved, turn.before.cluster, turn.cluster
    if saved is None or any(getattr(saved, name) != getattr(now, name) for name in _KEPT_WHOLE):
        return False
    return (
        (before.cases is now.cases or saved.cases == _ended(now))
        and saved.nodes.keys() == now.nodes.keys()
        and len(saved.services) == len(now.services)  # of one configuration, so the same ones
        and all(
            record is before.nodes.get(n) or _node(record) == saved.nodes[n]
            for n, record in now.nodes.items()
        )
        and all(
            _essence(now.services[name], _service(now.services[name])) == saved.services[name]
            for name in changed_services(before, now)
        )
    )


def saved(turn: Turn, epoch: int, applied: int) -> None:
    """Our disk has it: tell the others."""
    if turn.local.is_installed and epoch == turn.cluster.epoch:
        turn.do(Multicast(Ack(epoch, applied)))


def is_committed(turn: Turn, applied: int) -> bool:
    """Tell whether a majority of the configured nodes has this much of the epoch on disk.

    With fewer members than a majority all of them must have it; who has said goodbye as the last
    one waits for its own disk.
    """
    members = turn.cluster.members() or (turn.local.me,)
    return _disks_with(turn, applied, members) >= min(len(members), _majority(turn))


def is_kept(turn: Turn, applied: int) -> bool:
    """Tell whether whatever majority comes together next will know it.

    Two nodes are one cluster only after they have met (`wait_for_all`), so there one that is
    alone may answer. Where more daemons are away than that, a majority could begin without us.
    The disk of a node that is here and waits to be fenced is as good as a member's. All disks of
    half of the nodes are enough as well: every majority has one of them.
    """
    nodes = turn.cluster.spec.nodes
    if len(nodes) <= PAIR or _is_half(turn.cluster):
        return is_committed(turn, applied)
    return _disks_with(turn, applied, nodes) >= _majority(turn)


def is_final(turn: Turn, applied: int) -> bool:
    """Tell whether an administrator's word holds from now on, whoever goes on with the cluster.

    Until then a change of configuration does not hold either.
    """
    return not disputed_by(turn.cluster) and is_kept(turn, applied)


def disputed_by(cluster: ClusterState) -> tuple[NodeId, ...]:
    """Return who may go on with another state, which may win, until it is proven down.

    That is the other one of two, or the other half.
    """
    members = cluster.members()
    is_alone = len(cluster.nodes) == PAIR and len(members) < PAIR
    if not (is_alone or _is_half(cluster)):
        return ()
    away = {n: node for n, node in cluster.nodes.items() if n not in members}
    return tuple(n for n, node in away.items() if node.status not in KEPT_NODES)


def is_agreed_safely(turn: Turn) -> bool:
    """Tell whether what cannot be undone may rest on this epoch.

    A majority must have on disk that this node takes part, once since it joined: else one that
    comes together without it could still take it for gone, by an old goodbye or an old proof.
    """
    return is_kept(turn, 0) or (turn.local.is_known and is_committed(turn, 0))


def _is_half(cluster: ClusterState) -> bool:
    """Tell whether just half of more than two nodes take part, by a tie breaker's word."""
    is_half = PAIR < len(cluster.nodes) == 2 * len(cluster.members())
    return is_half and all(n.status is not NodeStatus.DETACHED for n in cluster.nodes.values())


def _majority(turn: Turn) -> int:
    return len(turn.cluster.spec.nodes) // 2 + 1


def _disks_with(turn: Turn, applied: int, nodes: Iterable[NodeId]) -> int:
    acks = turn.local.acks
    return len([n for n in nodes if acks.get(n, -1) >= applied])


def _node(node: Node) -> Node:
    cut = node.to_unfence or (node.to_restore if node.is_cut_off else ())
    if node.status not in KEPT_NODES:
        return replace(_NODE, boot_id=node.boot_id, to_unfence=cut)
    return replace(
        _NODE,
        status=node.status,
        incarnation=node.incarnation,
        boot_id=node.boot_id,
        proof=node.proof,
        to_unfence=cut,
    )


def _service(service: Service) -> Service:
    state = service.state if service.state in KEPT_STATES else ServiceState.STOPPED
    return replace(
        _SERVICE,
        spec=service.spec,
        state=state,
        last_owner=_last_place(service),
        landing=service.landing if state is ServiceState.FAILED else None,
        awaits=service.awaits,
        decision=service.decision,
        is_held=service.is_held,
        is_new=service.is_new,
        frozen=service.frozen,
        fault=service.fault if state is ServiceState.FAILED else "",
        rivals=service.rivals,
    )


def _essence(service: Service, kept: Service) -> Service:
    """Return that of a record which has to be on disk at once. `kept`: its durable part.

    That a service was started, and where, counts only for some: each start of the others would cost
    a write of the whole state. It is saved along with what is kept, as the history is.
    """
    is_placed = service.spec.takeover is not TakeoverMode.AUTO or kept.state in KEPT_STATES
    is_new = service.is_new and not service.spec.autostart
    last_owner = kept.last_owner if is_placed else None
    if kept.is_new is is_new and kept.last_owner is last_owner:
        return kept
    return replace(kept, is_new=is_new, last_owner=last_owner)


def _ended(cluster: ClusterState) -> tuple[FenceCase, ...]:
    """Return the cases that are closed; who is back of the services is told when all are."""
    return tuple(
        case if all(outage.back_ms for outage in case.outages) else replace(case, outages=())
        for case in cluster.cases
        if case.outcome
    )


def _last_place(service: Service) -> NodeId | None:
    """Return where it last ran: an owner of now, only where a takeover asks for it."""
    is_asked = service.spec.takeover is not TakeoverMode.AUTO and service.owner is not None
    return service.owner if is_asked else service.last_owner
