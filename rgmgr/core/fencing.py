# SPDX-License-Identifier: Apache-2.0
"""Proving lost nodes down: whose turn it is to fence, what counts as proof, when to try again.

Each loss of a node is a *case* with a number (`Node.victim`); proof of another case is stale.
An attempt belongs to one online node; the next attempt goes to the next one, for ever, with a
growing pause. Only the proof frees what the lost node owned.

Source: fenced(8), Fence Agent API.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.actions import Severity
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import FenceDue, FenceFailed, GraceExpired, NodeFenced
from rgmgr.core.model import Node, NodeStatus, Proof, ProofKind
from rgmgr.core.placement import online
from rgmgr.core.recovery import release

BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 60_000


def backoff_ms(attempt: int) -> int:
    """Return the pause after so many failed attempts: 1, 2, 4 .. 60 seconds."""
    return min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(max(attempt - 1, 0), 10))


def open_case(ledger: Ledger, node_id: NodeId, lost_epoch: int, *, delay_ms: int) -> None:
    """Declare a node unclean; without a delay its fencing begins at once."""
    node = ledger.state.nodes[node_id]
    unclean = replace(
        node,
        status=NodeStatus.UNCLEAN,
        lost_epoch=lost_epoch,
        victim=ledger.take_op(),
        is_due=delay_ms == 0,
        fencer=None,
        attempt=0,
        last_fault="",
        proof=None,
    )
    ledger.put_node(node_id, unclean)
    ledger.note("node.unclean", Severity.ERROR, node=ledger.name(node_id), delay_ms=delay_ms)


def settle(ledger: Ledger) -> None:
    """Give every due case to an online node. Called after every agreed event."""
    for node_id, node in sorted(ledger.state.nodes.items()):
        if node.status is not NodeStatus.UNCLEAN:
            continue
        if ledger.state.spec.fencing.unsafe_disabled:
            prove(ledger, node_id, _no_proof(ledger, node_id))
        elif node.is_due and (able := online(ledger.state)) and node.fencer not in able:
            _assign(ledger, node_id, node, able)


def due(ledger: Ledger, body: FenceDue) -> None:
    """The pause before the next attempt is over."""
    node = ledger.state.nodes.get(body.node)
    if node and _is_case(node, body.victim) and node.attempt == body.attempt:
        ledger.put_node(body.node, replace(node, is_due=True))


def fenced(ledger: Ledger, body: NodeFenced) -> None:
    """A device confirmed that the node is off."""
    node = ledger.state.nodes.get(body.node)
    if node and _is_case(node, body.victim):
        prove(ledger, body.node, body.proof)


def attempt_failed(ledger: Ledger, body: FenceFailed) -> None:
    """No device confirmed anything: nothing may start, try again later."""
    node = ledger.state.nodes.get(body.node)
    if node is None or not _is_case(node, body.victim) or node.attempt != body.attempt:
        return
    waiting = replace(node, is_due=False, fencer=None, last_fault=body.reason)
    ledger.put_node(body.node, waiting)
    ledger.note(
        "fence.failed",
        Severity.ERROR,
        node=ledger.name(body.node),
        attempt=body.attempt,
        reason=body.reason,
        retry_ms=backoff_ms(body.attempt),
    )


def prove(ledger: Ledger, node_id: NodeId, proof: Proof) -> None:
    """Record the proof and free what the node owned.

    Another node lost with it or later may have been given these services, by this node or because
    of a proof that only lost members heard; so only nodes that were gone before do not matter.
    """
    node = ledger.state.nodes[node_id]
    ledger.put_node(
        node_id, replace(node, status=NodeStatus.FENCED, fencer=None, is_due=False, proof=proof)
    )
    ledger.note(
        "fence.succeeded",
        Severity.WARNING if proof.kind is ProofKind.NONE else Severity.INFO,
        node=ledger.name(node_id),
        by=ledger.name(proof.by),
        proof=proof.kind.value,
        detail=proof.detail,
    )
    release(ledger, node_id, node.lost_epoch - 1)


def grace_expired(ledger: Ledger, body: GraceExpired) -> None:
    """A daemon did not come back: its services run unwatched, so its node is fenced."""
    node = ledger.state.nodes.get(body.node)
    if node and node.status is NodeStatus.DETACHED and node.incarnation == body.incarnation:
        open_case(ledger, body.node, node.lost_epoch, delay_ms=0)


def join_delay_over(ledger: Ledger) -> None:
    """Nodes that nobody has seen since the cluster formed may run anything: fence them."""
    for node_id, node in sorted(ledger.state.nodes.items()):
        if node.status is NodeStatus.UNSEEN:
            open_case(ledger, node_id, node.lost_epoch, delay_ms=0)


def _is_case(node: Node, victim: int) -> bool:
    return node.status is NodeStatus.UNCLEAN and node.victim == victim


def _assign(ledger: Ledger, node_id: NodeId, node: Node, able: tuple[NodeId, ...]) -> None:
    fencer = able[node.attempt % len(able)]
    ledger.put_node(node_id, replace(node, fencer=fencer, attempt=node.attempt + 1))
    ledger.note(
        "fence.requested",
        Severity.WARNING,
        node=ledger.name(node_id),
        by=ledger.name(fencer),
        attempt=node.attempt + 1,
    )


def _no_proof(ledger: Ledger, node_id: NodeId) -> Proof:
    able = online(ledger.state)
    return Proof(
        kind=ProofKind.NONE,
        at_ms=ledger.state.now_ms,
        by=able[0] if able else node_id,
        detail="fencing.unsafe_disabled is set: nothing proves that the node is down",
    )
