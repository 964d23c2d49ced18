# SPDX-License-Identifier: Apache-2.0
"""What corosync told us, as plain values. Read this first: it is the adapter's whole vocabulary.

Within one connection `ViewChanged` and `MessageReceived` keep corosync's agreed order.
`QuorumChanged` and `RingNodesChanged` come from another connection and may overtake them either
way: pair them by ring, never by counting.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, order=True)
class RingId:
    """One totem membership."""

    node: int
    seq: int


@dataclass(frozen=True, slots=True, order=True)
class GroupMember:
    """One process in the group. Not an identity: node and pid return after a corosync restart."""

    node: int
    pid: int


class Departure(enum.Enum):
    """Why a member is gone, as this receiver saw it. Members may have seen different reasons."""

    LEAVE = "leave"  # it said so; proves intent, not that its services are stopped
    NODEDOWN = "nodedown"  # its node left my ring, or I left its ring
    PROCDOWN = "procdown"  # it ended or was disconnected; its node is up
    UNKNOWN = "unknown"  # a reason that this version does not know


class ShutdownUrgency(enum.Enum):
    """How an administrator asked corosync to stop."""

    ASKED = "asked"  # corosync stays if we refuse
    FORCED = "forced"  # corosync waits up to cfg.shutdown_timeout (5 s) for our answer, then stops


class ShutdownAnswer(enum.Enum):
    """What we answer to `ShutdownRequested`."""

    YES = "yes"
    NO = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorosyncConnected:
    """Joined the group; a first `ViewChanged` and `QuorumChanged` follow."""

    local: GroupMember
    cluster_name: str
    node_names: dict[int, str]  # by node id; the address of the first link where there is no name
    token_ms: int  # effective value, as are the next two
    consensus_ms: int
    is_two_node: bool
    has_quorum_provider: bool  # without one corosync always says "quorate": refuse to run
    tie_breaker: str = ""  # lowest, arbiter; empty: nothing decides between two halves


@dataclass(frozen=True, slots=True)
class CorosyncUnavailable:
    """An attempt to connect failed, and not for the reason of the attempt before it."""

    reason: str


@dataclass(frozen=True, slots=True)
class CorosyncLost:
    """The connection is gone: forget members, ring and quorum. Queued messages are discarded."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChanged:
    """The ring or the group's members changed.

    `left` and `joined` are relative to this receiver and differ from member to member; only
    delivered messages are agreed. A member in both was away and is back (or I was away).
    """

    ring: RingId
    nodes: tuple[int, ...]  # of the ring, ascending
    members: tuple[GroupMember, ...]  # of the group, ascending, each on a node of the ring
    left: tuple[tuple[GroupMember, Departure], ...]
    joined: tuple[GroupMember, ...]


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """Corosync's verdict for one ring; says nothing about any other ring."""

    ring: RingId
    is_quorate: bool
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RingNodesChanged:
    """The quorum service's node list; comes before `QuorumChanged` of the same ring.

    A node in both `joined` and `left` lost its state in between; all others in both: I was away.
    """

    ring: RingId
    nodes: tuple[int, ...]
    joined: tuple[int, ...]
    left: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message of a member, also of ourselves, in agreed order."""

    sender: GroupMember
    payload: bytes


@dataclass(frozen=True, slots=True)
class DuplicateDaemon:
    """When I joined, another process of this node was in the group: leave and exit."""

    pid: int


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """Corosync was asked to stop; answer with `Corosync.answer_shutdown` when ready."""

    urgency: ShutdownUrgency


@dataclass(frozen=True, slots=True)
class NodeListChanged:
    """A reload of corosync changed its node list: nodes came, went or have other names."""

    node_names: dict[int, str]  # as in `CorosyncConnected`


CorosyncEvent: TypeAlias = (
    CorosyncConnected
    | CorosyncUnavailable
    | CorosyncLost
    | ViewChanged
    | QuorumChanged
    | RingNodesChanged
    | MessageReceived
    | DuplicateDaemon
    | ShutdownRequested
    | NodeListChanged
)
