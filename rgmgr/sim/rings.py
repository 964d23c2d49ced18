# SPDX-License-Identifier: Apache-2.0
"""What a simulated corosync remembers: rings with their total order, and one station per node.

Holds data only; what happens to it is in `bus.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from domains.model import NodeId
from rgmgr.core.events import CorosyncLost, Delivered, QuorumChanged, ViewChanged
from rgmgr.core.model import RingId

BusEvent = ViewChanged | QuorumChanged | CorosyncLost | Delivered


class Client(Protocol):
    """A daemon connected to its corosync."""

    def hear(self, event: BusEvent) -> None:
        """Take one event; called in the order of the connection."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message in the order of a ring, as every member hears it."""

    connection: int
    event: Delivered


@dataclass(frozen=True, slots=True)
class Came:
    """A process joined the group."""

    node: NodeId
    connection: int


@dataclass(frozen=True, slots=True)
class Went:
    """A process left the group, or died."""

    node: NodeId
    connection: int


Entry = Said | Came | Went


@dataclass(slots=True, eq=False)
class Ring:
    """One totem membership and everything ordered in it."""

    id: RingId
    nodes: tuple[NodeId, ...]
    log: list[Entry] = field(default_factory=list)
    broken_ms: int | None = None  # since when its token is lost


@dataclass(slots=True, eq=False)
class Station:
    """The corosync of one node."""

    node: NodeId
    is_up: bool = False
    is_paused: bool = False
    is_clogged: bool = False  # corosync takes nothing from the daemon (TRY_AGAIN)
    has_met_all: bool = False  # since corosync's start, for `wait_for_all`
    ring: Ring | None = None
    cursor: int = 0  # entries of the ring's log delivered here
    members: dict[NodeId, int] = field(default_factory=dict)  # of the group: its connections
    client: Client | None = None
    connection: int = 0  # of the present client; never used again
    has_joined: bool = False  # the client has seen itself join
    outbox: deque[Entry] = field(default_factory=deque)
    held: list[tuple[int, BusEvent]] = field(default_factory=list)  # while paused
    group_due_ms: int = 0  # the latest delivery planned on the CPG connection
    late_ms: int = 0  # how much later than usual a delivery comes
    quorum_due_ms: int = 0

    @property
    def is_live(self) -> bool:
        """Whether it takes part in the ring protocol now."""
        return self.is_up and not self.is_paused


def comrades(
    stations: Mapping[NodeId, Station], component: tuple[NodeId, ...]
) -> list[tuple[NodeId, ...]]:
    """Return the parts of a ring to be that come from the same ring."""
    parts: dict[RingId | NodeId, list[NodeId]] = {}
    for node in component:
        ring = stations[node].ring
        parts.setdefault(ring.id if ring else node, []).append(node)
    return [tuple(part) for part in parts.values()]


def is_stale(stations: Mapping[NodeId, Station], component: tuple[NodeId, ...]) -> bool:
    """Tell whether these nodes, which hear each other, are not just one ring that turns."""
    ring = stations[component[0]].ring
    is_whole = all(stations[node].ring is ring for node in component)
    return not is_whole or ring is None or ring.nodes != component or ring.broken_ms is not None
