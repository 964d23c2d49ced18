# SPDX-License-Identifier: Apache-2.0
"""The words of failover domains: nodes, services, and the domain itself.

Owns the identities that every other package uses. Holds no policy: see `rank`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

NodeId = NewType("NodeId", int)
"""corosync's nodeid, 1 to 2**32 - 1."""

ServiceName = NewType("ServiceName", str)

PRIORITY_BEST = 1
PRIORITY_WORST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverDomain:
    """Which nodes may own a service, and which of them should. Source: rgmanager failoverdomain.

    `priorities` maps each member to 1 (most preferred) .. 100; it only counts when `ordered`.
    `restricted`: nodes outside never own the service. `nofailback`: a running service stays
    where it is when a better member joins.
    """

    name: str
    priorities: dict[NodeId, int]
    ordered: bool = False
    restricted: bool = False
    nofailback: bool = False
