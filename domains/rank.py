# SPDX-License-Identifier: Apache-2.0
"""The theory of failover domains: which nodes may, and which should, own a service.

A domain names members, each with a priority. *Restricted*: nobody else ever owns the service.
*Ordered*: a smaller priority number is preferred; otherwise all members are alike. Without a
domain, or when no member of an unrestricted one is there, every node is alike. What other services
keep it away from a node, or draw it there, is asked of `occupancy`. Among nodes that are alike the
least loaded one wins, then the one with the fewest services, then the lowest id: never chance, so
that every member of the cluster ranks the same. The whole theory: docs/failover-domains.md.

Source: rgmanager `node_should_start`; the tie-break is ours.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, IntEnum

from domains.model import FailoverDomain, NodeId, Tenant
from domains.occupancy import Bar, Obstacle, Occupancy


class Score(IntEnum):
    """How fit a node is to own a service, given who is online."""

    ILLEGAL = 0  # must not
    GOOD = 1  # may: outside an unrestricted domain that has members online
    BETTER = 2  # in the domain, but somebody there is preferred
    BEST = 3


class Drawback(Enum):
    """In what a node is worse than another one, the weightiest first."""

    ILLS = "it reaches less"
    OUTSIDE = "outside the domain"
    TIES = "farther from, or nearer to, other services than it should be"
    PRIORITY = "a worse priority"
    LOAD = "more load"
    COUNT = "more services"
    ID = "a higher id"


def may_own(domain: FailoverDomain | None, node: NodeId) -> bool:
    """Tell whether the domain ever lets this node own the service."""
    return domain is None or not domain.restricted or node in domain.priorities


def score(
    domain: FailoverDomain | None,
    node: NodeId,
    online: Collection[NodeId],
    settled_on: NodeId | None = None,
) -> Score:
    """Return how fit `node` is while exactly `online` are there.

    `settled_on` is the online node that runs the service now, None if there is none; with
    `nofailback` it counts as best among the members.
    """
    if node not in online or not may_own(domain, node):
        return Score.ILLEGAL
    if domain is None or domain.priorities.keys().isdisjoint(online):
        return Score.BEST
    if node not in domain.priorities:
        return Score.GOOD
    if domain.nofailback and settled_on in domain.priorities:
        return Score.BEST if settled_on == node else Score.BETTER
    best = min(priority(domain, n) for n in domain.priorities if n in online)
    return Score.BEST if priority(domain, node) == best else Score.BETTER


def priority(domain: FailoverDomain, node: NodeId) -> int:
    """Return a member's priority, the same for all in an unordered domain."""
    return domain.priorities[node] if domain.ordered else 0


def obstacle(tenant: Tenant, node: NodeId, occupancy: Occupancy) -> Obstacle | None:
    """Return why a service must not start on a node that is there; None when it may."""
    if not may_own(tenant.domain, node):
        return Obstacle(bar=Bar.RESTRICTED)
    return occupancy.obstacle(tenant, node)


def rank_nodes(
    tenant: Tenant, online: Collection[NodeId], occupancy: Occupancy
) -> tuple[NodeId, ...]:
    """Return the nodes that may be given a service now, best first; the order is `Drawback`'s."""
    able = [n for n in online if obstacle(tenant, n, occupancy) is None]
    return tuple([marks[-1] for marks in sorted([_preference(tenant, n, occupancy) for n in able])])


def drawback(tenant: Tenant, node: NodeId, than: NodeId, occupancy: Occupancy) -> Drawback | None:
    """Return in what `node` is worse than another one that may own; None if it is not."""
    mine = _preference(tenant, node, occupancy)
    theirs = _preference(tenant, than, occupancy)
    for mark, here, there in zip(Drawback, mine, theirs, strict=True):
        if here != there:
            return mark if here > there else None
    return None


def _preference(
    tenant: Tenant, node: NodeId, occupancy: Occupancy
) -> tuple[int, bool, int, int, int, int, NodeId]:
    """Return what nodes are ordered by, best first; the places are those of `Drawback`.

    The service itself does not count where it is.
    """
    domain, name = tenant.domain, tenant.name
    is_inside = domain is None or node in domain.priorities
    return (
        occupancy.ills.get(node, 0),
        not is_inside,
        occupancy.broken_ties(tenant, node),
        priority(domain, node) if domain and is_inside else 0,
        occupancy.share(node, name),
        occupancy.count(node, name),
        node,
    )


def should_move(
    domain: FailoverDomain | None, owner: NodeId, joiner: NodeId, online: Collection[NodeId]
) -> bool:
    """Tell whether a service settled on `owner` goes to a node that has just joined."""
    return score(domain, joiner, online, owner) > score(domain, owner, online, owner)


def may_take_over(
    tenant: Tenant, owner: NodeId, joiner: NodeId, online: Collection[NodeId], occupancy: Occupancy
) -> bool:
    """Tell whether a running service goes to a joiner, and the other services let it.

    It does not for a wish about other services alone, nor against one.
    """
    if not should_move(tenant.domain, owner, joiner, online):
        return False
    if occupancy.ills.get(joiner, 0) > occupancy.ills.get(owner, 0):
        return False
    if occupancy.broken_ties(tenant, joiner) > occupancy.broken_ties(tenant, owner):
        return False
    return occupancy.obstacle(tenant, joiner) is None
