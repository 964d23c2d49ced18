# SPDX-License-Identifier: Apache-2.0
"""The theory of failover domains: which nodes may, and which should, own a service.

A domain names members, each with a priority. *Restricted*: nobody else ever owns the service.
*Ordered*: a smaller priority number is preferred; otherwise all members are alike. Without a
domain, or when no member of an unrestricted one is there, every node is alike. Among nodes that
are alike the one with the fewest services wins, then the lowest id: never chance, so that every
member of the cluster ranks the same.

Source: rgmanager `node_should_start`; the tie-break is ours.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum, IntEnum

from domains.model import FailoverDomain, NodeId


class Score(IntEnum):
    """How fit a node is to own a service, given who is online."""

    ILLEGAL = 0  # must not
    GOOD = 1  # may: outside an unrestricted domain that has members online
    BETTER = 2  # in the domain, but somebody there is preferred
    BEST = 3


class Drawback(Enum):
    """In what a node is worse than another one, the weightiest first."""

    OUTSIDE = "outside the domain"
    PRIORITY = "a worse priority"
    LOAD = "more services"
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


def rank_nodes(
    domain: FailoverDomain | None,
    online: Collection[NodeId],
    load_by_node: Mapping[NodeId, int],
) -> tuple[NodeId, ...]:
    """Return the nodes that may own a service of this domain, best first.

    Members by priority, then outsiders unless restricted; ties go to the smallest load (number
    of services, missing means 0), then to the lowest id.
    """
    able = [n for n in online if may_own(domain, n)]
    return tuple(sorted(able, key=lambda n: _preference(domain, n, load_by_node)))


def drawback(
    domain: FailoverDomain | None,
    node: NodeId,
    than: NodeId,
    load_by_node: Mapping[NodeId, int],
) -> Drawback | None:
    """Return in what `node` is worse than another one that may own; None if it is not."""
    mine = _preference(domain, node, load_by_node)
    theirs = _preference(domain, than, load_by_node)
    for mark, here, there in zip(Drawback, mine, theirs, strict=True):
        if here != there:
            return mark if here > there else None
    return None


def _preference(
    domain: FailoverDomain | None, node: NodeId, load_by_node: Mapping[NodeId, int]
) -> tuple[bool, int, int, NodeId]:
    """Return what nodes are ordered by, best first; the places are those of `Drawback`."""
    is_inside = domain is None or node in domain.priorities
    order = priority(domain, node) if domain and is_inside else 0
    return (not is_inside, order, load_by_node.get(node, 0), node)


def should_move(
    domain: FailoverDomain | None, owner: NodeId, joiner: NodeId, online: Collection[NodeId]
) -> bool:
    """Tell whether a service settled on `owner` goes to a node that has just joined."""
    return score(domain, joiner, online, owner) > score(domain, owner, online, owner)
