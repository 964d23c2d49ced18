# SPDX-License-Identifier: Apache-2.0
"""The adapter's words for corosync's events, in the core's words."""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.adapters import corosync
from rgmgr.core.events import CorosyncLost, Delivered, Event, QuorumChanged, ViewChanged
from rgmgr.core.model import RingId
from rgmgr.wire.codec import decode

Translatable = corosync.ViewChanged | corosync.QuorumChanged | corosync.CorosyncLost


def delivered(event: corosync.MessageReceived) -> Delivered:
    """Return a message as the core takes it.

    A process is known by its node alone: a second daemon on one node leaves before it matters.
    Raises WireError for a message that is none.
    """
    return Delivered(NodeId(event.sender.node), decode(event.payload))


def to_core(event: Translatable) -> Event:
    """Return the core's event."""
    match event:
        case corosync.ViewChanged():
            return ViewChanged(
                ring=_ring(event.ring),
                ring_nodes=tuple(NodeId(n) for n in event.nodes),
                members=_nodes(event.members),
                left=_nodes(tuple(member for member, _reason in event.left)),
                joined=_nodes(event.joined),
            )
        case corosync.QuorumChanged():
            return QuorumChanged(_ring(event.ring), event.is_quorate)
        case corosync.CorosyncLost(reason=reason):
            return CorosyncLost(reason)


def _ring(ring: corosync.RingId) -> RingId:
    return RingId(NodeId(ring.node), ring.seq)


def _nodes(members: tuple[corosync.GroupMember, ...]) -> tuple[NodeId, ...]:
    return tuple(sorted({NodeId(member.node) for member in members}))
