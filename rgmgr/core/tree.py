# SPDX-License-Identifier: Apache-2.0
"""The service tree: in which order its resources start and stop.

Parents start before their children and stop after them. Children with a level go by it, those
without one start last and stop first; what is equal starts as written and stops the other way
round. Each child has its whole subtree done before the next. Source: rgmanager, typed levels;
among equal levels its stop went by type, which mirrors nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec


def start_order(service: ServiceSpec) -> tuple[ResourceSpec, ...]:
    """Return every resource of the tree in the order in which it is started."""
    return tuple(_down(service.resources))


def stop_order(service: ServiceSpec) -> tuple[ResourceSpec, ...]:
    """Return every resource of the tree in the order in which it is stopped."""
    return tuple(_up(service.resources))


def stop_from_fault(
    service: ServiceSpec, broken: Collection[ResourceName]
) -> tuple[ResourceSpec, ...]:
    """Return the first broken resource and all that start after it, in stop order.

    What starts later may rely on it, be it below it or beside it.
    """
    order = start_order(service)
    first = next((i for i, resource in enumerate(order) if resource.name in broken), len(order))
    late = {resource.name for resource in order[first:]}
    return tuple(resource for resource in stop_order(service) if resource.name in late)


def way_to(resources: Sequence[ResourceSpec], name: ResourceName) -> tuple[ResourceSpec, ...]:
    """Return the resource of this name and all above it, topmost first; none: it is not there."""
    for resource in resources:
        if resource.name == name:
            return (resource,)
        if below := way_to(resource.children, name):
            return (resource, *below)
    return ()


def names_in(service: ServiceSpec, tops: Collection[ResourceName]) -> frozenset[ResourceName]:
    """Return the names of these resources and of all that are below them."""
    return frozenset(_names_in(service.resources, tops, is_inside=False) if tops else ())


def stopped_later(
    service: ServiceSpec, resource: ResourceSpec, others: Sequence[ResourceSpec]
) -> tuple[ResourceSpec, ...]:
    """Return those of the others that stop after this resource, in their given order."""
    place = {each.name: number for number, each in enumerate(stop_order(service))}
    return tuple(o for o in others if place.get(o.name, len(place)) > place.get(resource.name, -1))


def sorted_to_start(children: Sequence[ResourceSpec]) -> list[ResourceSpec]:
    """Return siblings in the order in which they start."""
    return sorted(children, key=lambda child: (child.start_level is None, child.start_level or 0))


def sorted_to_stop(children: Sequence[ResourceSpec]) -> list[ResourceSpec]:
    """Return siblings in the order in which they stop."""
    last_first = children[::-1]
    return sorted(
        last_first, key=lambda child: (child.stop_level is not None, child.stop_level or 0)
    )


def _down(resources: Sequence[ResourceSpec]) -> Iterable[ResourceSpec]:
    for resource in sorted_to_start(resources):
        yield resource
        yield from _down(resource.children)


def _up(resources: Sequence[ResourceSpec]) -> Iterable[ResourceSpec]:
    for resource in sorted_to_stop(resources):
        yield from _up(resource.children)
        yield resource


def _names_in(
    resources: Sequence[ResourceSpec], tops: Collection[ResourceName], *, is_inside: bool
) -> Iterable[ResourceName]:
    for resource in resources:
        is_one = is_inside or resource.name in tops
        if is_one:
            yield resource.name
        yield from _names_in(resource.children, tops, is_inside=is_one)
