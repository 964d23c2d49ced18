# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for the core's values: configurations, states, messages.

Built from the types themselves, so that a new field is varied from its first day (`of`). Small on
purpose: few nodes and services, so that shrinking is fast and clashes are frequent. Configurations
are consistent in themselves; a state has the nodes and services of its configuration, but its
records are any combination of fields, also one that the core would never reach.
"""

from __future__ import annotations

import enum
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from domains.model import PRIORITY_BEST, PRIORITY_WORST, FailoverDomain, NodeId, ServiceName
from rgmgr.core.messages import Body, Message
from rgmgr.core.model import ClusterState, FenceCase, FencePath, Node, PathTest, Service
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FencingSpec,
    NodeSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)

words = st.sampled_from(("a", "b-1", "web", "db", "mail", "prefer", "node", "x9", "zz", "ipmi1"))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
counts = st.integers(0, 2**63 - 1)
node_ids = st.sampled_from((1, 2, 3, 4, 5, 2**32 - 1)).map(NodeId)
service_names = words.map(ServiceName)
options = st.dictionaries(words, texts, max_size=2)

_LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    int: counts,
    str: texts,
    bool: st.booleans(),
    NoneType: st.none(),
    NodeId: node_ids,
    ServiceName: service_names,
    ResourceName: words.map(ResourceName),
}


@cache
def of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a type as the core's dataclasses name it."""
    if hint in _LEAVES:
        return _LEAVES[hint]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    if is_dataclass(hint):
        return build(hint)
    return _of_generic(get_origin(hint), get_args(hint))


def _of_generic(origin: Any, arguments: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if origin in (Union, UnionType):
        return st.one_of(*map(of, arguments))
    if origin is dict:
        return st.dictionaries(of(arguments[0]), of(arguments[1]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(of(arguments[0]), max_size=3).map(tuple)
    raise NotImplementedError(f"no strategy for {origin} of {arguments}")


def build(kind: Any, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of a dataclass with every field varied; `given` overrules."""
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind) if field.name not in given]
    return st.builds(kind, **given, **{name: of(hints[name]) for name in names})


def _resources(children: st.SearchStrategy[tuple[ResourceSpec, ...]]) -> Any:
    kinds = st.sampled_from(("systemd", "ip", "fs"))
    return build(ResourceSpec, type=kinds, parameters=options, children=children)


_leaves = _resources(st.just(()))
_branches = _resources(st.lists(_leaves, max_size=2).map(tuple))
resources: st.SearchStrategy[ResourceSpec] = _resources(st.lists(_branches, max_size=1).map(tuple))
service_specs: st.SearchStrategy[ServiceSpec] = build(
    ServiceSpec, resources=st.lists(resources, max_size=2).map(tuple)
)
failover_domains: st.SearchStrategy[FailoverDomain] = build(
    FailoverDomain,
    priorities=st.dictionaries(node_ids, st.integers(PRIORITY_BEST, PRIORITY_WORST), max_size=4),
)


def _named(values: list[Any]) -> dict[str, Any]:
    return {value.name: value for value in values}


def _by_name(values: st.SearchStrategy[Any], max_size: int) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=max_size, unique_by=lambda value: value.name).map(_named)


fencing_specs: st.SearchStrategy[FencingSpec] = build(
    FencingSpec, devices=_by_name(build(FenceDevice, name=words, agent=words), 2)
)
_methods = st.lists(
    st.lists(build(FenceStep, device=words, options=options), min_size=1, max_size=2).map(tuple),
    max_size=2,
).map(tuple)
_raw_specs: st.SearchStrategy[ClusterSpec] = build(
    ClusterSpec,
    nodes=st.dictionaries(
        node_ids, build(NodeSpec, name=words, fence=_methods), min_size=1, max_size=4
    ),
    services=_by_name(service_specs, 3).map(lambda found: tuple(found.values())),
    domains=_by_name(failover_domains, 2),
    fencing=fencing_specs,
)


def _with_devices(
    methods: tuple[tuple[FenceStep, ...], ...], devices: dict[str, FenceDevice]
) -> tuple[tuple[FenceStep, ...], ...]:
    """Drop the steps whose device is not there, and methods without a step."""
    kept = (tuple(step for step in method if step.device in devices) for method in methods)
    return tuple(method for method in kept if method)


def _consistent(spec: ClusterSpec) -> ClusterSpec:
    """Give every reference its target: unique node names, known devices, domains and members."""
    domains = {
        name: replace(
            domain, priorities={n: p for n, p in domain.priorities.items() if n in spec.nodes}
        )
        for name, domain in spec.domains.items()
    }
    nodes = {
        node: NodeSpec(name=f"node{node}", fence=_with_devices(entry.fence, spec.fencing.devices))
        for node, entry in spec.nodes.items()
    }
    services = tuple(
        entry if entry.domain in domains else replace(entry, domain=next(iter(domains), None))
        for entry in spec.services
    )
    return replace(spec, nodes=nodes, services=services, domains=domains)


cluster_specs = _raw_specs.map(_consistent)


def _of_its_spec(state: ClusterState, nodes: list[Node], services: list[Service]) -> ClusterState:
    """Give each configured node and service one of these records in turn."""
    return replace(
        state,
        nodes={node: nodes[at % len(nodes)] for at, node in enumerate(state.spec.nodes)},
        services={
            entry.name: replace(services[at % len(services)], spec=entry)
            for at, entry in enumerate(state.spec.services)
        },
    )


_path_tests = build(PathTest, paths=st.lists(build(FencePath), max_size=1).map(tuple))
_leaf_service = ServiceSpec(name=ServiceName("any"), resources=())
_services = build(
    Service, spec=st.just(_leaf_service), former=st.lists(resources, max_size=1).map(tuple)
)
cluster_states: st.SearchStrategy[ClusterState] = st.builds(
    _of_its_spec,
    build(
        ClusterState,
        spec=cluster_specs,
        nodes=st.just({}),
        services=st.just({}),
        cases=st.lists(build(FenceCase), max_size=1).map(tuple),
        tests=st.dictionaries(node_ids, _path_tests, max_size=1),
    ),
    st.lists(build(Node), min_size=1, max_size=3),
    st.lists(_services, min_size=1, max_size=3),
)

_LEAVES |= {
    ResourceSpec: resources,
    ServiceSpec: service_specs,
    FailoverDomain: failover_domains,
    FencingSpec: fencing_specs,
    tuple[FenceStep, ...]: st.lists(build(FenceStep), max_size=1).map(tuple),
    ClusterSpec: cluster_specs,
    ClusterState: cluster_states,
}

MESSAGES: dict[type[Message], st.SearchStrategy[Any]] = {
    kind: of(kind) for kind in get_args(Message)
}
BODIES: dict[type[Body], st.SearchStrategy[Any]] = {kind: of(kind) for kind in get_args(Body)}
messages: st.SearchStrategy[Message] = st.one_of(*MESSAGES.values())
