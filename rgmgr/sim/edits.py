# SPDX-License-Identifier: Apache-2.0
"""What administrators change in cluster.toml: each edit makes the next text from an older one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.spec import (
    ClusterSpec,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.core.tree import start_order

Tree = tuple[ResourceSpec, ...]
ADDRESSES = ("10.0.0.100/24", "10.0.0.101/24")
"""Of the drawn resource that exists once."""
ALONE = ("10.0.0.110/24", "10.0.0.111/24")
"""Of the drawn resource that exists once and that only one service uses."""


class Edit(Enum):
    """One change of a configuration."""

    NOTHING = "nothing but the version"
    ADD_SERVICE = "adds the service"
    REMOVE_SERVICE = "removes the service"
    CHANGE_DOMAIN = "gives another domain to"
    CHANGE_RECOVERY = "gives another recovery policy to"
    ADD_RESOURCE = "adds a resource to"
    REMOVE_RESOURCE = "removes a resource of"
    CHANGE_RESOURCE = "changes a resource of"
    CHANGE_TIMEOUT = "changes a time limit in"
    NEST_RESOURCE = "puts the last resource below the first of"
    ADD_CHILD = "adds a resource below the first of"
    REMOVE_FIRST = "removes the first resource of"
    REORDER = "turns the order of the services round"
    ADD_NODE = "adds the node"
    REMOVE_NODE = "removes the node"
    MOVE_ADDRESS = "moves the address to the next service, whatever is asked of"
    RENAME_SERVICE = "gives another name to"


def edited(
    spec: ClusterSpec,
    edit: Edit,
    *,
    version: int,
    service: ServiceName | None = None,
    node: NodeId | None = None,
    first: ClusterSpec | None = None,
) -> ClusterSpec:
    """Return the next text; an edit that does not fit changes nothing but version and digest.

    `first` is the text that has every node; None: this one.
    """
    digest = f"{version} {edit.name} {service or node or ''}"
    next_spec = replace(spec, version=version, digest=digest)
    if edit is Edit.REORDER:
        return replace(next_spec, services=spec.services[::-1])
    if edit in (Edit.ADD_NODE, Edit.REMOVE_NODE):
        return _edit_nodes(next_spec, edit, node, first or spec)
    return replace(next_spec, services=_edit_services(spec, edit, service))


def _edit_nodes(
    spec: ClusterSpec, edit: Edit, node: NodeId | None, first: ClusterSpec
) -> ClusterSpec:
    """Add or remove a node, in the domains as well; no domain may be left without any."""
    nodes = {n: facts for n, facts in spec.nodes.items() if n != node}
    if edit is Edit.ADD_NODE and node in first.nodes:
        nodes[node] = first.nodes[node]
    domains = {
        name: replace(domain, priorities={n: p for n, p in domain.priorities.items() if n in nodes})
        for name, domain in first.domains.items()
    }
    fits = nodes and all(domain.priorities for domain in domains.values())
    return replace(spec, nodes=dict(sorted(nodes.items())), domains=domains) if fits else spec


def _edit_services(
    spec: ClusterSpec, edit: Edit, name: ServiceName | None
) -> tuple[ServiceSpec, ...]:
    others = tuple(service for service in spec.services if service.name != name)
    if edit is Edit.MOVE_ADDRESS:
        return _with_address_moved(spec.services)
    if edit is Edit.RENAME_SERVICE and name is not None:
        return tuple(_renamed(service, name) for service in spec.services)
    if edit is Edit.REMOVE_SERVICE:
        return tuple(needing_none(service, name) for service in others)
    if edit is Edit.ADD_SERVICE and name is not None and len(others) == len(spec.services):
        tree = (_resource(name, "r0"), _resource(name, "r1"))
        return (*others, ServiceSpec(name=name, resources=tree))
    changed = tuple(_changed(spec, s, edit) if s.name == name else s for s in spec.services)
    redefined = next((s.resources[0] for s in changed if s.name == name), None)
    if edit is Edit.CHANGE_RESOURCE and redefined is not None and redefined.is_shared:
        return tuple(_with(s, _redefined(s.resources, redefined)) for s in changed)
    return changed


def _with_address_moved(services: tuple[ServiceSpec, ...]) -> tuple[ServiceSpec, ...]:
    """Give it to the next service, unless it is all that the one that has it is made of."""
    holders = [i for i, s in enumerate(services) if any(_is_alone(r) for r in s.resources)]
    if not holders or len(services[holders[0]].resources) == 1:
        return services
    moved = next(r for r in services[holders[0]].resources if _is_alone(r))
    found = list(services)
    rest = tuple(r for r in services[holders[0]].resources if r is not moved)
    found[holders[0]] = _with(services[holders[0]], rest)
    heir = (holders[0] + 1) % len(services)
    found[heir] = _with(found[heir], (*found[heir].resources, moved))
    return tuple(found)


def _is_alone(resource: ResourceSpec) -> bool:
    return resource.parameters.get("address") in ALONE and not resource.children


def _renamed(service: ServiceSpec, name: ServiceName) -> ServiceSpec:
    """Give the service of this name another one, and whoever goes by it, too."""

    def named(other: ServiceName) -> ServiceName:
        return ServiceName(f"{name}-anew") if other == name else other

    terms = replace(
        service.terms,
        together=tuple(replace(tie, service=named(tie.service)) for tie in service.terms.together),
        apart=tuple(replace(tie, service=named(tie.service)) for tie in service.terms.apart),
    )
    depend = tuple(named(other) for other in service.depend)
    return replace(service, name=named(service.name), depend=depend, terms=terms)


def _redefined(tree: Tree, shared: ResourceSpec) -> Tree:
    """Give a shared resource one definition wherever it is used."""
    return tuple(
        replace(
            each,
            parameters=shared.parameters if _is_same(each, shared) else each.parameters,
            children=_redefined(each.children, shared),
        )
        for each in tree
    )


def _is_same(each: ResourceSpec, shared: ResourceSpec) -> bool:
    return each.is_shared and each.name == shared.name


def needing_none(service: ServiceSpec, name: ServiceName | None) -> ServiceSpec:
    """Return the service without its need for one that goes."""
    depend = tuple(other for other in service.depend if other != name)
    return service if depend == service.depend else replace(service, depend=depend)


def _changed(spec: ClusterSpec, service: ServiceSpec, edit: Edit) -> ServiceSpec:
    """Take the next of what there is to choose from."""
    if edit is Edit.CHANGE_DOMAIN:
        choices = (None, *sorted(spec.domains))
        return replace(service, domain=choices[(choices.index(service.domain) + 1) % len(choices)])
    if edit is Edit.CHANGE_RECOVERY:
        policies = tuple(RecoveryPolicy)
        number = policies.index(service.recovery) + 1
        return replace(service, recovery=policies[number % len(policies)])
    if edit is Edit.ADD_RESOURCE:
        known = [resource.name for resource in service.resources]
        added = _resource(service.name, f"x{len(known)}")
        everywhere = [resource.name for resource in start_order(service)]
        return service if added.name in everywhere else _with(service, (*service.resources, added))
    if edit in _TREE_EDITS:
        return _with(service, _TREE_EDITS[edit](service))
    if edit is Edit.REMOVE_RESOURCE and len(service.resources) > 1:
        return _with(service, service.resources[:-1])
    return service


def _change_resource(service: ServiceSpec) -> Tree:
    first, *rest = service.resources
    return (replace(first, parameters=_other_parameters(service.name, first)), *rest)


def _other_parameters(service: ServiceName, resource: ResourceSpec) -> dict[str, str]:
    if "address" in resource.parameters:
        choices = ADDRESSES if resource.parameters["address"] in ADDRESSES else ALONE
        number = choices.index(resource.parameters["address"]) + 1
        return {"address": choices[number % len(choices)]}
    key = "machine" if resource.type == "vm" else "unit"
    other = f"{service}-{resource.name}-other.service"
    return {key: other if resource.parameters[key] != other else other[:-1]}


def _change_timeout(service: ServiceSpec) -> Tree:
    first, *rest = service.resources
    return (replace(first, stop_timeout_ms=first.stop_timeout_ms + 500), *rest)


def _nest(service: ServiceSpec) -> Tree:
    first, *rest = service.resources
    if not rest:
        return service.resources
    return (replace(first, children=(*first.children, rest[-1])), *rest[:-1])


def _add_child(service: ServiceSpec) -> Tree:
    first, *rest = service.resources
    added = _resource(service.name, "below")
    known = any(resource.name == added.name for resource in start_order(service))
    return (
        service.resources if known else (replace(first, children=(*first.children, added)), *rest)
    )


def _remove_first(service: ServiceSpec) -> Tree:
    first, *rest = service.resources
    return tuple(rest) or first.children or service.resources


_TREE_EDITS: dict[Edit, Callable[[ServiceSpec], Tree]] = {
    Edit.CHANGE_RESOURCE: _change_resource,
    Edit.CHANGE_TIMEOUT: _change_timeout,
    Edit.NEST_RESOURCE: _nest,
    Edit.ADD_CHILD: _add_child,
    Edit.REMOVE_FIRST: _remove_first,
}
TRANSFERS = (Edit.MOVE_ADDRESS, Edit.RENAME_SERVICE)
DRAWN_APART = (*_TREE_EDITS, *TRANSFERS)
TREE_EDITS = (*_TREE_EDITS, Edit.ADD_RESOURCE, Edit.REMOVE_RESOURCE)
"""Edits that change the tree of a service."""


def _with(service: ServiceSpec, resources: tuple[ResourceSpec, ...]) -> ServiceSpec:
    return replace(service, resources=resources)


def _resource(service: ServiceName, name: str) -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName(name),
        type="systemd",
        parameters={"unit": f"{service}-{name}.service"},
        start_timeout_ms=3_500,
        stop_timeout_ms=3_500,
    )
