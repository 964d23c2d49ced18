# SPDX-License-Identifier: Apache-2.0
"""What the libraries tell, untouched: one value for each callback."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from rgmgr.adapters.corosync.events import (
    GroupMember,
    QuorumChanged,
    RingId,
    RingNodesChanged,
    ShutdownRequested,
)


class Reason(Enum):
    """Why a configuration callback lists a member. Source: cpg_reason_t."""

    JOIN = "join"
    LEAVE = "leave"
    NODEDOWN = "nodedown"
    NODEUP = "nodeup"
    PROCDOWN = "procdown"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of a left or joined list."""

    member: GroupMember
    reason: Reason


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A configuration callback of libcpg."""

    members: tuple[GroupMember, ...]
    left: tuple[Change, ...]
    joined: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class RingChange:
    """A totem callback of libcpg."""

    ring: RingId
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message of libcpg, still a frame."""

    sender: GroupMember
    frame: bytes


@dataclass(frozen=True, slots=True)
class TooLong:
    """A message of libcpg longer than any of ours (1 MiB), dropped where it came in."""

    sender: GroupMember
    size_bytes: int


class VoterState(Enum):
    """What votequorum thinks of a node. Source: votequorum_getinfo(3)."""

    MEMBER = "member"
    DEAD = "dead"
    LEAVING = "leaving"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class VotersChanged:
    """A quorum callback of libvotequorum. Node 0 is the quorum device; the order differs by node.

    It says nothing of the ring, so decide by `QuorumChanged`.
    """

    is_quorate: bool
    states: tuple[tuple[int, VoterState], ...]  # by node id, ascending


@dataclass(frozen=True, slots=True)
class ExpectedVotesChanged:
    """The votes that a whole cluster has, anew; comes once per node when corosync reloads."""

    votes: int


Value: TypeAlias = str | int | float | bytes  # of a key in cmap


@dataclass(frozen=True, slots=True)
class KeyChanged:
    """A tracked key of cmap was set (also to what it was), or deleted: then the value is None."""

    key: str
    value: Value | None


RawEvent: TypeAlias = (
    GroupChange
    | RingChange
    | Delivery
    | TooLong
    | QuorumChanged
    | RingNodesChanged
    | VotersChanged
    | ExpectedVotesChanged
    | ShutdownRequested
    | KeyChanged
)
