# SPDX-License-Identifier: Apache-2.0
"""What exists once and goes from one service to another by a new configuration.

A service may be renamed, or an address put into another service. The new one may not take it
before the old one has let go of it, on whatever nodes they are; no failed or hanging stop, no
frozen service and no lost node may lead to two of it. Found once, when the configuration comes
(`with_spec`), and kept in the record: who waits, and for whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from domains.model import NodeId, ServiceName
from rgmgr.core.evolve import replace
from rgmgr.core.model import ClusterState, Service, ServiceState
from rgmgr.core.sharing import exists_once, places
from rgmgr.core.spec import ClusterSpec, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.survey import catalogue_of
from rgmgr.core.tree import start_order
from rgmgr.core.unproven import blockers

Identity = tuple[str, str]
"""What a resource is, whatever it is called: `("address", "10.0.0.100")`."""
_NAMED_BY = {
    "ip": ("address", ("address",)),
    "fs": ("device", ("device",)),
    "lvm": ("volume", ("vg_name", "lv_name")),
    "vm": ("virtual machine", ("machine",)),
}


def found(
    cluster: ClusterState, configured: Iterable[ServiceSpec]
) -> dict[ServiceName, tuple[ServiceName, ...]]:
    """Return, for each service to come, who may hold what it is to use from now on."""
    holders: dict[Identity, dict[ServiceName, ResourceName | None]] = {}
    for record in cluster.services.values():
        for identity, shared in _held(cluster, record).items():
            holders.setdefault(identity, {})[record.spec.name] = shared
    rivals: dict[ServiceName, tuple[ServiceName, ...]] = {}
    for spec in configured if holders else ():
        names = {
            name: None
            for identity, shared in _used(start_order(spec)).items()
            for name, theirs in holders.get(identity, {}).items()
            if name != spec.name and not _is_one_resource(shared, theirs)
        }
        if names:
            rivals[spec.name] = tuple(names)
    return rivals


def undecided(
    cluster: ClusterState, configured: Iterable[ServiceSpec]
) -> Iterator[tuple[ServiceName, tuple[NodeId, ...]]]:
    """Yield the services that may run unseen with what a configuration gives to others, and where.

    Of those nobody says that they are up, so nobody would wait for them.
    """
    users = {
        identity: (spec.name, shared)
        for spec in configured
        for identity, shared in _used(start_order(spec)).items()
    }
    for name, record in cluster.services.items():
        nodes = blockers(cluster, record) if record.owner is None else ()
        if nodes and any(
            heir != name and not _is_one_resource(shared, theirs)
            for identity, shared in _used(start_order(record.spec)).items()
            for heir, theirs in (users.get(identity, (name, None)),)
        ):
            yield name, nodes


def unreleased(cluster: ClusterState, service: Service) -> tuple[ServiceName, ...]:
    """Return who may still hold what the configuration has given to this service."""
    if not service.rivals:
        return ()
    spec = _to_be(cluster.spec, service)
    mine = _used(start_order(spec))
    return tuple(
        name
        for name in service.rivals
        if (other := cluster.services.get(name)) is not None
        and any(
            not _is_one_resource(mine[identity], shared)
            for identity, shared in _held(cluster, other).items()
            if identity in mine
        )
    )


def because(cluster: ClusterState, service: Service) -> str | None:
    """Say what it waits for; None when for nothing of this kind."""
    names = unreleased(cluster, service)
    if not names:
        return None
    mine = _used(start_order(_to_be(cluster.spec, service)))
    what = {
        " ".join(identity): None
        for name in names
        for identity in _held(cluster, cluster.services[name])
        if identity in mine
    }
    return f"waiting for {', '.join(names)} to let go of {', '.join(what)}"


def is_in_a_ring(cluster: ClusterState, service: Service) -> bool:
    """Tell whether running services wait for each other, so that none would ever let go."""
    rest, known = [service.spec.name], {service.spec.name}
    while rest:
        waiting = cluster.services[rest.pop()]
        for name in unreleased(cluster, waiting):
            if name == service.spec.name:
                return True
            if name not in known and cluster.services[name].state is ServiceState.STARTED:
                known.add(name)
                rest.append(name)
    return False


def _to_be(spec: ClusterSpec, service: Service) -> ServiceSpec:
    return catalogue_of(spec).by_name.get(service.spec.name, service.spec)


def _held(cluster: ClusterState, record: Service) -> dict[Identity, ResourceName | None]:
    """Return what may be up of a service; None for what is its own, else the shared name."""
    if not (places(cluster, record) or record.cleanup):
        return {}
    before = replace(record.spec, resources=record.former)
    return _used((*start_order(before), *start_order(record.spec)))


def _used(resources: Iterable[ResourceSpec]) -> dict[Identity, ResourceName | None]:
    return {
        identity: resource.name if resource.is_shared else None
        for resource in resources
        if exists_once(resource)
        for identity in _identities(resource)
    }


def _identities(resource: ResourceSpec) -> Iterator[Identity]:
    kind, names = _NAMED_BY.get(resource.type, (resource.type, tuple(sorted(resource.parameters))))
    values = [resource.parameters[name] for name in names if name in resource.parameters]
    if kind == "address":
        values = [value.partition("/")[0] for value in values]
    if values:
        yield kind, ":".join(values)


def _is_one_resource(one: ResourceName | None, other: ResourceName | None) -> bool:
    """Tell whether both use the same shared resource: who may do that is in `sharing.py`."""
    return one is not None and one == other
