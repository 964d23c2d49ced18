# SPDX-License-Identifier: Apache-2.0
"""Who makes room for a service that no node can take: the less important ones, and no more of them.

Asked only of a service that cannot run otherwise. A service gives way to a strictly more important
one alone, so a chain of displacements ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from domains.model import NodeId, ServiceName, Tenant
from domains.occupancy import Occupancy


@dataclass(frozen=True, slots=True)
class Displacement:
    """Which services must leave a node, beside those that are leaving it anyway."""

    node: NodeId
    victims: tuple[ServiceName, ...]
    leaving: tuple[ServiceName, ...] = ()  # whose room is needed as well


@dataclass(frozen=True, slots=True)
class Movable:
    """What can be asked to go: services that run and are not frozen, and what goes anyway."""

    running: Collection[ServiceName]
    leaving: Collection[tuple[NodeId, ServiceName]] = frozenset()


def displacement(
    tenant: Tenant, ranked: Iterable[NodeId], occupancy: Occupancy, movable: Movable
) -> Displacement | None:
    """Return where to make room, and who goes; None when nothing less important is in the way.

    `ranked`: the nodes of its domain that are there, best first. What is least important goes
    first; of equal sacrifices the one with fewer services, then the better node.
    """
    best: Displacement | None = None
    best_key: tuple[bool, int, int] = (True, 0, 0)
    for node in ranked:
        victims = _victims(tenant, node, occupancy, movable)
        if victims is None:
            continue
        going = tuple(v for v in victims if (node, v.name) not in movable.leaving)
        dearest = min((occupancy.worth(node, v.name) for v in going), default=0)
        key = (bool(going), -dearest, len(going))
        if best is None or key < best_key:
            names = tuple(v.name for v in going)
            rest = tuple(v.name for v in victims if v not in going)
            best, best_key = Displacement(node, names, rest), key
    return best


def _victims(
    tenant: Tenant, node: NodeId, occupancy: Occupancy, movable: Movable
) -> tuple[Tenant, ...] | None:
    """Return who must not be there for the service to start; None if one of them cannot go."""
    if occupancy.parted(tenant, node):
        return None
    able = {
        name
        for name in (each.name for each in occupancy.tenants(node))
        if (node, name) in movable.leaving
        or (name in movable.running and occupancy.worth(node, name) > tenant.terms.priority)
    } - {tie.service for tie in tenant.terms.together if tie.hard}
    others = [each for each in occupancy.tenants(node) if each.name != tenant.name]
    in_the_way = {*occupancy.alone(node), *occupancy.foes(tenant, node, is_hard=True)}
    must = [v for v in others if tenant.terms.exclusive or v.name in in_the_way]
    if not all(v.name in able for v in must):
        return None
    missing = _missing(tenant, node, occupancy) - sum(v.terms.load for v in must)
    rest = [v for v in others if v not in must and v.name in able]
    rest.sort(
        key=lambda v: (
            (node, v.name) not in movable.leaving,
            -occupancy.worth(node, v.name),
            -v.terms.load,
            v.name,
        )
    )
    chosen = _enough(rest, missing)
    return None if chosen is None else (*must, *chosen)


def _missing(tenant: Tenant, node: NodeId, occupancy: Occupancy) -> int:
    """Return how much load has to go before there is room."""
    room = occupancy.room(node)
    return 0 if room is None else tenant.terms.load - room


def _enough(rest: list[Tenant], missing: int) -> tuple[Tenant, ...] | None:
    """Return the first ones that free as much, without any that need not go; None: too little."""
    chosen: list[Tenant] = []
    for each in rest:
        if missing > 0 and each.terms.load:
            chosen.append(each)
            missing -= each.terms.load
    if missing > 0:
        return None
    for each in reversed(tuple(chosen)):
        if missing + each.terms.load <= 0:
            chosen.remove(each)
            missing += each.terms.load
    return tuple(chosen)
