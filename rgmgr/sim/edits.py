# SPDX-License-Identifier: Apache-2.0
"""What administrators change in cluster.toml: each edit makes the next text from an older one."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.spec import (
    ClusterSpec,
    NodeSpec,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)


class Edit(Enum):
    """One change of a configuration."""

    NOTHING = "nothing but the version"
    ADD_SERVICE = "adds the service"
    REMOVE_SERVICE = "removes the service"
    CHANGE_DOMAIN = "gives another domain to"
    CHANGE_RECOVERY = "gives another recovery policy to"
    ADD_RESOURCE = "adds a resource to"
    REMOVE_RESOURCE = "removes a resource of"
    REORDER = "turns the order of the services round"
    ADD_NODE = "adds the node"
    REMOVE_NODE = "removes the node"


def edited(
    spec: ClusterSpec,
    edit: Edit,
    *,
    version: int,
    service: ServiceName | None = None,
    node: NodeId | None = None,
    nodes: dict[NodeId, NodeSpec] | None = None,
) -> ClusterSpec:
    """Return the next text; an edit that does not fit changes nothing but version and digest.

    `nodes` are those that can be added.
    """
    digest = f"{version} {edit.name} {service or node or ''}"
    next_spec = replace(spec, version=version, digest=digest)
    if edit is Edit.REORDER:
        return replace(next_spec, services=spec.services[::-1])
    if edit in (Edit.ADD_NODE, Edit.REMOVE_NODE):
        return _edit_nodes(next_spec, edit, node, nodes or {})
    return replace(next_spec, services=_edit_services(spec, edit, service))


def _edit_nodes(
    spec: ClusterSpec, edit: Edit, node: NodeId | None, known: dict[NodeId, NodeSpec]
) -> ClusterSpec:
    nodes = {n: facts for n, facts in spec.nodes.items() if n != node}
    if edit is Edit.ADD_NODE and node in known:
        nodes[node] = known[node]
    return replace(spec, nodes=dict(sorted(nodes.items()))) if nodes else spec


def _edit_services(
    spec: ClusterSpec, edit: Edit, name: ServiceName | None
) -> tuple[ServiceSpec, ...]:
    others = tuple(service for service in spec.services if service.name != name)
    if edit is Edit.REMOVE_SERVICE:
        return tuple(needing_none(service, name) for service in others)
    if edit is Edit.ADD_SERVICE and name is not None and len(others) == len(spec.services):
        tree = (_resource(name, "r0"), _resource(name, "r1"))
        return (*others, ServiceSpec(name=name, resources=tree))
    return tuple(_changed(spec, s, edit) if s.name == name else s for s in spec.services)


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
        return service if added.name in known else _with(service, (*service.resources, added))
    if edit is Edit.REMOVE_RESOURCE and len(service.resources) > 1:
        return _with(service, service.resources[:-1])
    return service


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
