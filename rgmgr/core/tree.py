# SPDX-License-Identifier: Apache-2.0
"""The service tree: parents start before children, in document order; stopping reverses it."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec


def start_order(service: ServiceSpec) -> tuple[ResourceSpec, ...]:
    """Return every resource of the tree, each after its parent and elder siblings."""
    return tuple(_walk(service.resources))


def stop_order(service: ServiceSpec) -> tuple[ResourceSpec, ...]:
    """Return every resource of the tree in the order in which it is stopped."""
    return start_order(service)[::-1]


def from_fault(service: ServiceSpec, broken: Collection[ResourceName]) -> tuple[ResourceSpec, ...]:
    """Return the first broken resource and all that start after it, in start order.

    What starts later may rely on it, be it below it or beside it.
    """
    order = start_order(service)
    first = next((i for i, resource in enumerate(order) if resource.name in broken), len(order))
    return order[first:]


def _walk(resources: Iterable[ResourceSpec]) -> Iterable[ResourceSpec]:
    for resource in resources:
        yield resource
        yield from _walk(resource.children)
