# SPDX-License-Identifier: Apache-2.0
"""What a changed configuration changes in a running tree: what stops, what starts, what stays.

A resource stays up if it is at the same place, has the same type and parameters, and all above it
stay up. Everything else of the old tree stops and everything else of the new one starts, in the
order of its tree: what is below a changed resource goes with it, what is beside it is not touched.
The order of siblings, levels, time limits, checks and how a part fails change nothing that runs.

Names are unique in a tree. Source: rgmanager 6.2, 6.3, where conditional stops and starts did not
keep the order of whole ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order, stop_order

Tree = tuple[ResourceSpec, ...]


@dataclass(frozen=True, slots=True)
class Delta:
    """The way from one tree to another; nothing in it: what runs is what should run."""

    stops: Tree = ()  # as they were, in the order of the old tree
    starts: Tree = ()  # as they are to be, in the order of the new tree
    reconfigures: Tree = ()  # they stay up, and are looked after in another way from now on

    @property
    def is_empty(self) -> bool:
        """Whether a running old tree is a running new one."""
        return not (self.stops or self.starts or self.reconfigures)


def delta(old: ServiceSpec, new: ServiceSpec) -> Delta:
    """Return what has to be done to a running `old` service to make it a running `new` one."""
    kept = frozenset(_kept(old.resources, new.resources))
    before = {resource.name: resource for resource in start_order(old)}
    return Delta(
        stops=tuple(r for r in stop_order(old) if r.name not in kept),
        starts=tuple(r for r in start_order(new) if r.name not in kept),
        reconfigures=tuple(
            r for r in start_order(new) if r.name in kept and _care(before[r.name]) != _care(r)
        ),
    )


def both(old: ServiceSpec, new: ServiceSpec) -> ServiceSpec:
    """Return a service with all that may be up on the way from one to the other.

    For stopping it: what has changed is in it twice, as it was and as it is to be.
    """
    return replace(new, resources=_both(old.resources, new.resources))


def _kept(old: Sequence[ResourceSpec], new: Sequence[ResourceSpec]) -> Iterable[ResourceName]:
    for was, now in _pairs(old, new):
        yield was.name
        yield from _kept(was.children, now.children)


def _both(old: Tree, new: Tree) -> Tree:
    was_by_name = {was.name: was for was, _ in _pairs(old, new)}
    whole = tuple(
        replace(now, children=_both(was_by_name[now.name].children, now.children))
        if now.name in was_by_name
        else now
        for now in new
    )
    return _with_gone(whole, old, was_by_name.keys())


def _with_gone(whole: Tree, old: Tree, kept: Collection[ResourceName]) -> Tree:
    """Put what goes where it was: before what takes its name, or what came after it."""
    merged = list(whole)
    for place, was in enumerate(old):
        if was.name not in kept:
            later = {was.name, *(r.name for r in old[place + 1 :])}
            ends = (len(merged), *(i for i, r in enumerate(merged) if r.name in later))
            merged.insert(min(ends), was)
    return tuple(merged)


def _pairs(
    old: Sequence[ResourceSpec], new: Sequence[ResourceSpec]
) -> list[tuple[ResourceSpec, ResourceSpec]]:
    """Return the siblings that stay, as they were and as they are to be."""
    now_by_name = {now.name: now for now in new}
    found = [(was, now_by_name[was.name]) for was in old if was.name in now_by_name]
    return [(was, now) for was, now in found if is_same_definition(was, now)]


def is_same_definition(one: ResourceSpec, other: ResourceSpec) -> bool:
    """Tell whether two agree in what cannot change while it is up."""
    return (one.type, one.parameters) == (other.type, other.parameters)


def _care(resource: ResourceSpec) -> tuple[object, ...]:
    """Return how it is looked after while it is up."""
    return resource.start_timeout_ms, resource.stop_timeout_ms, resource.checks
