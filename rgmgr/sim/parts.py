# SPDX-License-Identifier: Apache-2.0
"""Drawing what trees can do: parts that fail apart from the rest, and changes while they run.

From dice of their own, so that a seed in which nothing of it is drawn keeps its story.
"""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.messages import Verb
from rgmgr.core.spec import ClusterSpec, Independence, ResourceSpec
from rgmgr.core.tree import start_order
from rgmgr.sim.edits import TREE_EDITS
from rgmgr.sim.engine import Dice, chance
from rgmgr.sim.faults import Ask, ConfigChange, Fault, UnitDeath, UnitTrouble
from rgmgr.sim.phases import Mood

CLUSTERS_WITH_PARTS = 0.4
TROUBLES_MAX = 8
CLUSTERS_WITH_CHANGES = 0.3
CHANGES_MAX = 4
VERSIONS_APART = 10
"""Above whatever version other draws give."""


def with_parts(rolls: Dice, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster, with independent subtrees and tolerance in some of its trees, or not."""
    if not chance(rolls, CLUSTERS_WITH_PARTS):
        return spec
    services = tuple(
        replace(service, resources=tuple(_with_part(rolls, top) for top in service.resources))
        for service in spec.services
    )
    return replace(spec, services=services)


def draw_troubles(rolls: Dice, spec: ClusterSpec, from_ms: int, until_ms: int) -> list[Fault]:
    """Draw what tries parts: units that die or misbehave, and requests to convalesce."""
    makers = (_death, _death, _death, _misbehaviour, _convalescence)
    return [
        rolls.choice(makers)(rolls, spec, rolls.randint(from_ms, max(from_ms, until_ms)))
        for _ in range(rolls.randint(1, TROUBLES_MAX))
    ]


def draw_changes(rolls: Dice, spec: ClusterSpec, from_ms: int, until_ms: int) -> list[Fault]:
    """Draw changes of trees, often close to each other, now and then only on some nodes."""
    if not chance(rolls, CLUSTERS_WITH_CHANGES):
        return []
    nodes = sorted(spec.nodes)
    at_ms = rolls.randint(from_ms, max(from_ms, until_ms))
    found: list[Fault] = []
    for number in range(rolls.randint(1, CHANGES_MAX)):
        at_ms += rolls.choice((0, 50, 1_000, 5_000))
        where = nodes if chance(rolls, 0.8) else rolls.sample(nodes, rolls.randint(1, len(nodes)))
        change = ConfigChange(
            at_ms=at_ms,
            nodes=tuple(sorted(where)),
            version=spec.version + VERSIONS_APART + number,
            edit=rolls.choice(TREE_EDITS),
            service=rolls.choice(spec.services).name,
            is_loaded=chance(rolls, 0.9),
        )
        found.append(change)
        if chance(rolls, 0.3):
            found.append(_death(rolls, spec, at_ms + rolls.randint(0, 200)))
    return found


def _death(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service = rolls.choice(spec.services)
    resource = rolls.choice(start_order(service))
    return UnitDeath(at_ms=at_ms, service=service.name, resource=resource.name)


def _misbehaviour(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    service = rolls.choice(spec.services)
    return UnitTrouble(
        at_ms=at_ms,
        node=rolls.choice(sorted(spec.nodes)),
        service=service.name,
        resource=rolls.choice(start_order(service)).name,
        mood=rolls.choice([mood for mood in Mood if mood is not Mood.GOOD]),
        for_ms=rolls.choice((1_000, 5_000, 20_000)),
    )


def _convalescence(rolls: Dice, spec: ClusterSpec, at_ms: int) -> Fault:
    node, service = rolls.choice(sorted(spec.nodes)), rolls.choice(spec.services)
    return Ask(at_ms=at_ms, node=node, verb=Verb.CONVALESCE, service=service.name)


def has_parts(spec: ClusterSpec) -> bool:
    """Tell whether any tree has a part that fails apart from the rest."""
    tops = [top for service in spec.services for top in service.resources]
    return any(_is_part(each) for top in tops for each in (top, *top.children))


def _is_part(resource: ResourceSpec) -> bool:
    return resource.independent is not None or bool(resource.tolerated)


def _with_part(rolls: Dice, resource: ResourceSpec) -> ResourceSpec:
    independent = rolls.choice((None, *Independence))
    tolerated = rolls.choice((0, 0, 1, 2))
    return replace(
        resource,
        children=tuple(_with_part(rolls, child) for child in resource.children),
        independent=independent,
        max_restarts=rolls.choice((0, 1, 3)) if independent else 0,
        restart_expire_ms=rolls.choice((0, 10_000)) if independent else 0,
        tolerated=tolerated,
        tolerance_ms=10_000 if tolerated else 0,
    )
