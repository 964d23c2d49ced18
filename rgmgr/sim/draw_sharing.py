# SPDX-License-Identifier: Apache-2.0
"""Resources that drawn services use together, from dice of their own."""

from __future__ import annotations

from dataclasses import replace

from domains.model import Tie
from rgmgr.config.depend import check_depend
from rgmgr.config.problems import Problems
from rgmgr.core.spec import ClusterSpec, DependMode, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.sim.edits import ADDRESSES
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.shares import OF_ONE_NODE

SHARED = ResourceName("common")
PARAMETERS_BY_TYPE = {OF_ONE_NODE: {"address": ADDRESSES[0]}, "systemd": {"unit": "common.service"}}


def with_sharing(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster with a resource that two or three services use, in one seed of four.

    What exists once ties them to the first of them, as the configuration asks for.
    """
    rolls = dice(seed, "sharing")
    if len(spec.services) == 1 or not chance(rolls, 0.25):
        return spec
    is_once = chance(rolls, 0.7)
    kind = OF_ONE_NODE if is_once else "systemd"
    users = sorted(rolls.sample(range(len(spec.services)), min(len(spec.services), 2)))
    if len(spec.services) > len(users) and chance(rolls, 0.3):
        users.append(next(i for i in range(len(spec.services)) if i not in users))
    first, *rest = users
    services = list(spec.services)
    for number in users:
        services[number] = _with_shared(rolls, services[number], kind)
    if is_once:
        for number in rest:
            services[number] = _tied(services[number], services[first])
    problems = Problems()
    check_depend(services, problems)
    lonely = [services[n].name for n in users if services[n].terms.exclusive]
    return spec if problems.found or (is_once and lonely) else replace(spec, services=(*services,))


def _with_shared(rolls: Dice, service: ServiceSpec, kind: str) -> ServiceSpec:
    """Put it beside the tree, or below its last resource, or above all of it."""
    shared = ResourceSpec(
        name=SHARED,
        type=kind,
        parameters=PARAMETERS_BY_TYPE[kind],
        start_timeout_ms=3_500,
        stop_timeout_ms=3_500,
        is_shared=True,
    )
    *others, last = service.resources
    trees = (
        (*service.resources, shared),
        (*others, replace(last, children=(*last.children, shared))),
        (replace(shared, children=service.resources),),
        (shared, *service.resources),
    )
    return replace(service, resources=rolls.choice(trees))


def _tied(service: ServiceSpec, leader: ServiceSpec) -> ServiceSpec:
    others = tuple(tie for tie in service.terms.apart if tie.service != leader.name)
    ties = tuple(tie for tie in service.terms.together if tie.service != leader.name)
    terms = replace(service.terms, together=(Tie(leader.name), *ties), apart=others)
    depend = dict.fromkeys((*service.depend, leader.name))
    return replace(service, terms=terms, depend=tuple(depend), depend_mode=DependMode.HARD)
