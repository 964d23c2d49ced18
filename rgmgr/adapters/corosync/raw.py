# SPDX-License-Identifier: Apache-2.0
"""What a callback copies out of corosync's memory, untouched, and the queue it is put into."""

from collections import deque
from dataclasses import dataclass, field
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


RawEvent: TypeAlias = (
    GroupChange | RingChange | Delivery | QuorumChanged | RingNodesChanged | ShutdownRequested
)


@dataclass(slots=True)
class Inbox:
    """Where the callbacks of one connection put what they copied."""

    events: deque[RawEvent] = field(default_factory=deque)
    failures: list[str] = field(default_factory=list)  # callbacks that raised: an event was missed
