# SPDX-License-Identifier: Apache-2.0
"""The words of placement: nodes, services, failover domains, and what a service asks of its node.

Owns the identities that every other package uses. Holds no policy: see `rank`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NewType

NodeId = NewType("NodeId", int)
"""corosync's nodeid, 1 to 2**32 - 1."""

ServiceName = NewType("ServiceName", str)

PRIORITY_BEST = 1
PRIORITY_WORST = 100


MINUTES_PER_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """A part of every day: minutes since midnight, the end excluded; it may span midnight."""

    begin_min: int
    end_min: int

    def is_open(self, minute: int) -> bool:
        """Tell whether it is open at this minute of the day."""
        return self.wait_min(minute) == 0

    def wait_min(self, minute: int) -> int:
        """Return how many minutes it takes until it opens; 0 while it is open."""
        since_begin = (minute - self.begin_min) % MINUTES_PER_DAY
        length = (self.end_min - self.begin_min) % MINUTES_PER_DAY
        return 0 if since_begin < length else MINUTES_PER_DAY - since_begin

    def __str__(self) -> str:
        """Return it as in the configuration, such as 02:00-04:00."""
        ends = (self.begin_min, self.end_min)
        return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverDomain:
    """Which nodes may own a service, and which of them should. Source: rgmanager failoverdomain.

    `priorities` maps each member to 1 (most preferred) .. 100; it only counts when `ordered`.
    `restricted`: nodes outside never own the service. `nofailback`: a running service stays
    where it is when a better member joins. Otherwise it goes there, but not before that node has
    been there for `failback_delay_ms`, and only while `failback_window` is open; None: always.
    """

    name: str
    priorities: dict[NodeId, int]
    ordered: bool = False
    restricted: bool = False
    nofailback: bool = False
    failback_delay_ms: int = 0
    failback_window: Window | None = None


LOAD_DEFAULT = 1
"""So that services that say nothing of their load are spread by their number."""

IMPORTANCE_DEFAULT = 50


@dataclass(frozen=True, slots=True)
class Tie:
    """A wish of one service about another's node. Hard: rather not run than break it."""

    service: ServiceName
    hard: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a service asks of its node, besides its failover domain.

    `load` is counted against the capacity of a node. `priority` is 1 (most important) .. 100: who
    gets the room when there is not enough for all. `together`: run where these run, which is this
    service's duty alone; `apart`: not where these run, which binds both.
    """

    exclusive: bool = False
    load: int = LOAD_DEFAULT
    priority: int = IMPORTANCE_DEFAULT
    together: tuple[Tie, ...] = ()
    apart: tuple[Tie, ...] = ()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A service that holds a node, or looks for one."""

    name: ServiceName
    domain: FailoverDomain | None = None
    terms: Terms = field(default_factory=Terms)
