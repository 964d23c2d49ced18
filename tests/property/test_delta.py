# SPDX-License-Identifier: Apache-2.0
"""Laws of changed trees: applied to what runs, a delta gives what should run, and no more."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domains.model import ServiceName
from rgmgr.core.delta import Tree, both, delta
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order, stop_order

NAMES = tuple("abcdefgh")


@st.composite
def services(draw: st.DrawFn) -> ServiceSpec:
    """Draw a tree over few names, so that two of them have much in common."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    return ServiceSpec(name=ServiceName("web"), resources=_forest(draw, names))


def _forest(draw: st.DrawFn, names: list[str]) -> Tree:
    if not names:
        return ()
    size = draw(st.integers(0, len(names) - 1))
    inside, beside = names[1 : 1 + size], names[1 + size :]
    top = ResourceSpec(
        name=ResourceName(names[0]),
        type=draw(st.sampled_from(("ip", "systemd"))),
        parameters={"v": draw(st.sampled_from("12"))},
        start_level=draw(st.sampled_from((None, 1, 2))),
        stop_level=draw(st.sampled_from((None, 1, 2))),
        stop_timeout_ms=draw(st.sampled_from((1, 2))),
        children=_forest(draw, inside),
    )
    return (top, *_forest(draw, beside))


def bare(resource: ResourceSpec) -> ResourceSpec:
    """What runs: a resource without its place."""
    return replace(resource, children=(), start_level=None, stop_level=None)


def running(service: ServiceSpec) -> dict[str, ResourceSpec]:
    return {resource.name: bare(resource) for resource in start_order(service)}


def defined(resource: ResourceSpec) -> tuple[str, str, str]:
    """What it is, however it is looked after."""
    return resource.name, resource.type, resource.parameters["v"]


def names(resources: Tree) -> list[str]:
    return [resource.name for resource in resources]


@given(old=services(), new=services())
def test_a_delta_makes_of_the_old_tree_the_new_one(old: ServiceSpec, new: ServiceSpec) -> None:
    change = delta(old, new)
    up = running(old)

    for resource in change.stops:
        assert up.pop(resource.name) == bare(resource)
    for resource in change.starts:
        assert resource.name not in up
        up[resource.name] = bare(resource)
    for resource in change.reconfigures:
        up[resource.name] = bare(resource)

    assert up == running(new)


@given(service=services())
def test_a_tree_does_not_differ_from_itself(service: ServiceSpec) -> None:
    assert delta(service, service).is_empty


@given(service=services())
def test_the_order_of_siblings_and_levels_change_nothing_that_runs(service: ServiceSpec) -> None:
    def turned(resources: Tree) -> Tree:
        return tuple(
            replace(r, start_level=3, stop_level=None, children=turned(r.children))
            for r in resources[::-1]
        )

    assert delta(service, replace(service, resources=turned(service.resources))).is_empty


@given(old=services(), new=services())
def test_stops_and_starts_keep_the_order_of_whole_ones(old: ServiceSpec, new: ServiceSpec) -> None:
    change = delta(old, new)

    assert list(change.stops) == [r for r in stop_order(old) if r.name in names(change.stops)]
    assert list(change.starts) == [r for r in start_order(new) if r.name in names(change.starts)]


@given(old=services(), new=services())
def test_what_is_below_something_that_stops_or_starts_does_so_too(
    old: ServiceSpec, new: ServiceSpec
) -> None:
    change = delta(old, new)

    for resource in start_order(old):
        if resource.name in names(change.stops):
            assert {c.name for c in resource.children} <= set(names(change.stops))
    for resource in start_order(new):
        if resource.name in names(change.starts):
            assert {c.name for c in resource.children} <= set(names(change.starts))


@given(old=services(), new=services())
def test_the_way_back_undoes_it(old: ServiceSpec, new: ServiceSpec) -> None:
    there, back = delta(old, new), delta(new, old)

    assert set(names(there.stops)) == set(names(back.starts))
    assert set(names(there.starts)) == set(names(back.stops))
    assert set(names(there.reconfigures)) == set(names(back.reconfigures))


@given(old=services(), new=services())
def test_half_way_everything_can_be_stopped_children_first(
    old: ServiceSpec, new: ServiceSpec
) -> None:
    order = [defined(resource) for resource in stop_order(both(old, new))]

    assert set(order) == {defined(r) for tree in (old, new) for r in start_order(tree)}
    for tree in (old, new):
        for parent in start_order(tree):
            last = len(order) - 1 - order[::-1].index(defined(parent))
            assert all(order.index(defined(child)) < last for child in parent.children)


@given(service=services(), name=st.sampled_from(NAMES))
def test_a_changed_resource_takes_only_what_is_below_it_along(
    service: ServiceSpec, name: str
) -> None:
    def changed(resources: Tree) -> Tree:
        return tuple(
            replace(
                r,
                parameters={"v": "3"} if r.name == name else r.parameters,
                children=changed(r.children),
            )
            for r in resources
        )

    change = delta(service, replace(service, resources=changed(service.resources)))

    top = next((r for r in start_order(service) if r.name == name), None)
    inside = start_order(replace(service, resources=(top,))) if top else ()
    assert set(names(change.stops)) == set(names(change.starts)) == set(names(inside))
    assert change.reconfigures == ()
