# SPDX-License-Identifier: Apache-2.0
"""What drawn services ask of their nodes, from dice of their own: older draws stay as they were."""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId, Terms, Tie
from rgmgr.core.spec import ClusterSpec, ServiceSpec
from rgmgr.sim.engine import Dice, chance, dice


def with_terms(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster with terms and capacities, in two seeds of five; nothing contradicts."""
    rolls = dice(seed, "terms")
    if not chance(rolls, 0.4):
        return spec
    services: list[ServiceSpec] = []
    for service in spec.services:
        services.append(replace(service, terms=_draw_terms(rolls, services)))
    capacities = _draw_capacities(rolls, sorted(spec.nodes), services)
    nodes = {n: replace(node, capacity=capacities[n]) for n, node in spec.nodes.items()}
    return replace(spec, services=tuple(services), nodes=nodes)


def _draw_terms(rolls: Dice, earlier: list[ServiceSpec]) -> Terms:
    """At most one tie each, to a service before it: so no two of them contradict."""
    terms = Terms(
        exclusive=chance(rolls, 0.15),
        load=rolls.choice((0, 1, 1, 2, 3)),
        priority=rolls.choice((10, 50, 50, 90)),
    )
    if not earlier or chance(rolls, 0.6):
        return terms
    other = rolls.choice(earlier)
    tie = Tie(other.name, hard=chance(rolls, 0.6))
    is_lonely = terms.exclusive or other.terms.exclusive
    if is_lonely or chance(rolls, 0.5):
        return replace(terms, apart=(tie,))
    return replace(terms, together=(tie,))


def _draw_capacities(
    rolls: Dice, nodes: list[NodeId], services: list[ServiceSpec]
) -> dict[NodeId, int | None]:
    """None, or scarce room: but where every node has a limit, one has room for all."""
    if chance(rolls, 0.5):
        return dict.fromkeys(nodes)
    found: dict[NodeId, int | None] = {n: rolls.choice((2, 4, 6, None)) for n in nodes}
    if None not in found.values():
        found[rolls.choice(nodes)] = max(1, sum(s.terms.load for s in services))
    return found
