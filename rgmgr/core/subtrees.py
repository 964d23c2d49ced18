# SPDX-License-Identifier: Apache-2.0
"""Parts of a service that fail apart from the rest: independent subtrees and tolerance.

A failure is first offered to the tolerance of the resource itself, then to the independent
subtrees around it, the innermost first. Who bears it is mended: taken down and up again by the
owner while the service stays `started`. A non-critical subtree past its limit is taken down and
stays off; the service is then partial. What nobody bears is a failure of the service.

Counts are agreed, and are kept when the service moves; what is off is tried again by every full
start, and by `convalesce`. Source: rgmanager `__independent_subtree`, `__max_failures`; ADR 18.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rgmgr.core.evolve import replace
from rgmgr.core.model import Part, Service, ServiceState
from rgmgr.core.spec import Independence, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import names_in, start_order, way_to


def tops_off(service: Service) -> tuple[ResourceName, ...]:
    """Return the tops of the parts that were given up."""
    return tuple(name for name, part in service.parts.items() if part.is_off)


def names_off(service: Service) -> frozenset[ResourceName]:
    """Return every resource that need not be up."""
    return names_in(service.spec, tops_off(service))


def is_partial(service: Service) -> bool:
    """Tell whether the service runs without some of its parts."""
    return service.state is ServiceState.STARTED and bool(tops_off(service))


def non_critical_top(service: ServiceSpec, name: ResourceName) -> ResourceName | None:
    """Return the innermost non-critical part that holds a resource; None: it is critical."""
    for resource in reversed(way_to(service.resources, name)):
        if resource.independent is Independence.NON_CRITICAL:
            return resource.name
    return None


def ground_of(service: ServiceSpec, name: ResourceName) -> frozenset[ResourceName]:
    """Return what has to be up before a resource starts in a service that is up.

    All above it, and for what nobody bears alone also all of that kind which starts earlier: it may
    rely on that. A part that fails apart waits for nothing beside it.
    """
    above = frozenset(resource.name for resource in way_to(service.resources, name)[:-1])
    if _is_apart(service, name):
        return above
    order = [resource.name for resource in start_order(service)]
    earlier = order[: order.index(name)] if name in order else ()
    return above.union(other for other in earlier if not _is_apart(service, other))


def _is_apart(service: ServiceSpec, name: ResourceName) -> bool:
    """Tell whether something less than the whole service may bear the failure of a resource."""
    way = way_to(service.resources, name)
    has_tolerance = any(resource.tolerated for resource in way[-1:])
    return has_tolerance or any(resource.independent is not None for resource in way)


def bear(
    service: Service,
    broken: Sequence[ResourceName],
    unstartable: Collection[ResourceName],
    now_ms: int,
) -> Service | None:
    """Return the record with what is to be mended; None when the service has failed.

    What did not even start again is borne only where there is a limit, so that no part is
    restarted for ever without having been up.
    """
    borne: Service | None = replace(service, mending=())
    for name in (*unstartable, *(n for n in broken if n not in unstartable)):
        if borne is not None and name not in names_in(service.spec, borne.mending):
            borne = _bear_one(borne, name, now_ms, is_unstartable=name in unstartable)
    return borne if borne is not None and borne.mending else None


def _bear_one(
    service: Service, name: ResourceName, now_ms: int, *, is_unstartable: bool
) -> Service | None:
    way = way_to(service.spec.resources, name)
    for resource in way[-1:]:
        stamps = _tolerance_stamps(service, resource, now_ms)
        if len(stamps) < resource.tolerated:
            part = _part(service, name)
            return _mend(service, name, replace(part, tolerance_stamps=(*stamps, now_ms)))
    for top in reversed(way):
        part, stamps = _part(service, top.name), recent_restarts(service, top, now_ms)
        is_unlimited = top.independent is Independence.RESTART and not top.max_restarts
        if top.independent is None or (is_unlimited and is_unstartable):
            continue
        if is_unlimited or len(stamps) < top.max_restarts:
            kept = (*stamps, now_ms)[-(top.max_restarts or 1) :]
            return _mend(service, top.name, replace(part, restart_stamps=kept))
        service = _with_part(service, top.name, replace(part, restart_stamps=()))
        if top.independent is Independence.NON_CRITICAL:
            return _mend(service, top.name, Part(is_off=True))
    return None


def without_parts(service: Service, tops: Sequence[ResourceName]) -> Service:
    """Return the record of a service that has just come up without these parts."""
    kept = {name: replace(part, is_off=False) for name, part in service.parts.items()}
    off = {name: replace(kept.get(name, Part()), is_off=True) for name in tops}
    return _tidy(service, {**kept, **off})


def with_all_parts(service: Service) -> Service:
    """Return the record of a service that will be started as a whole; counts are kept."""
    return replace(without_parts(service, ()), mending=())


def convalescing(service: Service) -> Service:
    """Return the record with everything that is off to be brought up, and its counts forgotten."""
    tops = tops_off(service)
    parts = {name: part for name, part in service.parts.items() if name not in tops}
    return replace(service, parts=parts, mending=tops)


def as_found(
    service: Service, missing: Sequence[ResourceName], tops: Collection[ResourceName]
) -> Service | None:
    """Return the record of a service of which this is not up; only these parts may be off.

    None: something else is missing.
    """
    off = tuple(n for n in tops if not names_in(service.spec, (n,)).isdisjoint(missing))
    if not names_in(service.spec, off).issuperset(missing):
        return None
    return without_parts(service, off)


def refitted(service: Service, spec: ServiceSpec, started: Collection[ResourceName]) -> Service:
    """Return the record with another tree, of which these are new or changed.

    A part that is off and has news gets another chance, for they may have mended it.
    """
    names = names_in(spec, [resource.name for resource in spec.resources])
    parts = {name: part for name, part in service.parts.items() if name in names}
    off = [name for name, part in parts.items() if part.is_off]
    again = tuple(n for n in off if not names_in(spec, (n,)).isdisjoint(started))
    kept = {name: part for name, part in parts.items() if name not in again}
    return replace(service, spec=spec, parts=kept, mending=again)


def non_critical_tops(service: ServiceSpec) -> tuple[ResourceName, ...]:
    """Return every part that the service can do without."""
    return tuple(_non_critical(service.resources))


def recent_restarts(service: Service, top: ResourceSpec, now_ms: int) -> tuple[int, ...]:
    """Return the counted restarts of an independent subtree that have not expired."""
    return _recent(_part(service, top.name).restart_stamps, top.restart_expire_ms, now_ms)


def _tolerance_stamps(service: Service, resource: ResourceSpec, now_ms: int) -> tuple[int, ...]:
    stamps = _part(service, resource.name).tolerance_stamps
    return _recent(stamps, resource.tolerance_ms, now_ms)


def _recent(stamps: tuple[int, ...], expire_ms: int, now_ms: int) -> tuple[int, ...]:
    return tuple(s for s in stamps if not expire_ms or now_ms - s < expire_ms)


def _part(service: Service, name: ResourceName) -> Part:
    return service.parts.get(name, Part())


def _mend(service: Service, name: ResourceName, part: Part) -> Service:
    return replace(_with_part(service, name, part), mending=(*service.mending, name))


def _with_part(service: Service, name: ResourceName, part: Part) -> Service:
    return _tidy(service, {**service.parts, name: part})


def _tidy(service: Service, parts: dict[ResourceName, Part]) -> Service:
    """Keep only what says something, in a fixed order: all members must write the same."""
    kept = {name: part for name, part in sorted(parts.items()) if part != Part()}
    return service if kept == service.parts else replace(service, parts=kept)


def _non_critical(resources: Sequence[ResourceSpec]) -> list[ResourceName]:
    found = []
    for resource in resources:
        if resource.independent is Independence.NON_CRITICAL:
            found.append(resource.name)
        found += _non_critical(resource.children)
    return found
