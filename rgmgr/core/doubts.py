# SPDX-License-Identifier: Apache-2.0
"""Old proofs that an INSTALL does not believe: who is away may have come back, and gone on."""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.durable import PAIR
from rgmgr.core.evolve import replace
from rgmgr.core.fencing import begin_attempts_anew
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import Install
from rgmgr.core.model import Node, NodeStatus
from rgmgr.core.unproven import UNPROVEN


def doubt_the_absent(ledger: Ledger, message: Install) -> None:
    """Forget how a missing node went, where the disks of those here may not know its return.

    Only two nodes can begin as less than a majority: they met, one with its daemon down, and
    parted. A ring like the one in which the state was agreed says that nobody has come since.
    """
    nodes = ledger.state.nodes
    enrolled = {enrolment.node for enrolment in message.enrolments}
    if 2 * len(enrolled) > len(nodes) or ledger.state.spec.fencing.clean_start:
        return
    for node_id in sorted(set(nodes) - enrolled):
        node = nodes[node_id]
        if node.status in (NodeStatus.LEFT, NodeStatus.FENCED):
            ledger.put_node(node_id, Node(boot_id=node.boot_id))
            ledger.note("member.doubted", node=ledger.name(node_id), was=node.status.value)


def doubt_the_other_half(ledger: Ledger, message: Install) -> bool:
    """Ask for new proof of all that is away, where a tie breaker's word makes half a quorum.

    Return whether any is asked for.

    An arbiter may have given it to the other half meanwhile. Then who was proven down before may
    have booted and been given services. That a service is not where it was proves nothing either,
    so who is away counts as one that has heard all of this epoch. Of two nodes one that was proven
    down has booted and knows nothing, unless its watchdog was the proof.
    """
    nodes = ledger.state.nodes
    if _is_known_off(ledger) or 2 * len(message.ring_nodes) > len(nodes):
        return False
    doubted = {}
    for node_id in sorted(set(nodes) - set(message.ring_nodes)):
        node = nodes[node_id]
        if node.status is NodeStatus.FENCED:
            doubted[node_id] = replace(node, status=NodeStatus.UNSEEN, proof=None)
            ledger.note("member.doubted", node=ledger.name(node_id), was=node.status.value)
        elif node.status in UNPROVEN:
            doubted[node_id] = node
    for node_id, node in doubted.items():
        ledger.put_node(node_id, replace(node, lost_epoch=message.epoch + 1))
    return bool(doubted)


def doubt_attempts(
    ledger: Ledger, message: Install, were_members: tuple[NodeId, ...], *, is_same_ring: bool
) -> None:
    """Let no attempt prove anything that was begun before a tie breaker may have changed its mind.

    The victim may have been let go on meanwhile, or have booted and been given services. Only
    who was a member and is one of more than half knows that none of that has happened. So does a
    ring of more than half that has turned since the epoch before: that epoch asked who was there.
    """
    nodes = ledger.state.nodes
    if _is_known_off(ledger) or len(nodes) % 2:
        return
    are_old = all(enrolment.node in were_members for enrolment in message.enrolments)
    if (are_old or is_same_ring) and 2 * len(message.ring_nodes) > len(nodes):
        return
    for node_id in sorted(nodes):
        begin_attempts_anew(ledger, node_id)


def _is_known_off(ledger: Ledger) -> bool:
    """Tell whether who was proven down has booted since, and knows nothing without the others."""
    return len(ledger.state.nodes) <= PAIR and not ledger.state.spec.fencing.watchdog
