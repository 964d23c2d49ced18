# SPDX-License-Identifier: Apache-2.0
"""What several parts ask of all services after every event: found once, and remembered.

A configuration, and a state once it is agreed, never change, so what was found of one holds; of
the next state only what differs is looked at. Not for the state of a `Ledger`, which does change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from domains.model import ServiceName
from rgmgr.core.evolve import changed
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import ClusterState, Service, ServiceState
from rgmgr.core.spec import ClusterSpec, DependMode, ServiceSpec

Key = TypeVar("Key")
Found = TypeVar("Found")
Services = dict[ServiceName, Service]
KEPT: Final = 64
_AT_REST: Final = (
    ServiceState.STARTED,
    ServiceState.STARTING,
    ServiceState.DISABLED,
    ServiceState.FAILED,
)
_catalogues: Final[dict[int, tuple[ClusterSpec, Catalogue]]] = {}
_differences: Final[dict[tuple[int, int], tuple[Services, Services, list[ServiceName]]]] = {}
_restless: Final[dict[int, tuple[Services, ClusterSpec, frozenset[ServiceName]]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The configured services, in their order."""

    by_name: dict[ServiceName, ServiceSpec]
    bound: tuple[ServiceSpec, ...]  # they stop when what they depend on does


def catalogue_of(spec: ClusterSpec) -> Catalogue:
    """Return the catalogue of a configuration."""
    known = _catalogues.get(id(spec))
    if known is None or known[0] is not spec:
        services = spec.services
        found = Catalogue(
            by_name={service.name: service for service in services},
            bound=tuple(s for s in services if s.depend and s.depend_mode is DependMode.HARD),
        )
        known = _keep(_catalogues, id(spec), (spec, found))
    return known[1]


def changed_services(before: ClusterState, now: ClusterState) -> list[ServiceName]:
    """Return the services whose records differ between two agreed states."""
    one, other = before.services, now.services
    if one is other:
        return []
    known = _differences.get((id(one), id(other)))
    if known is None or known[0] is not one or known[1] is not other:
        found = (one, other, changed(one, other))
        known = _keep(_differences, (id(one), id(other)), found)
    return known[2]


def note_difference(ledger: Ledger) -> None:
    """Remember what an agreed event has changed, now that nothing changes it any more."""
    one, other = ledger.before.services, ledger.state.services
    if one is not other:
        _keep(_differences, (id(one), id(other)), (one, other, ledger.changed()))


def restless(cluster: ClusterState, before: ClusterState | None = None) -> frozenset[ServiceName]:
    """Return the services of an agreed state about which something may have to be done any time.

    They look for a node or wait for one, are stopped, go with another one, may be held by a node
    that is not their owner, or have another tree than the configured one. `before`: an agreed state
    that this one came from.
    """
    known = _known_restless(cluster)
    if known is None:
        base = _known_restless(before) if before is not None else None
        if before is not None and base is not None and _has_same_services(before, cluster):
            news = changed_services(before, cluster)
            known = base.difference(news).union(_restless_among(cluster, news))
        else:
            known = frozenset(_restless_among(cluster, cluster.services))
        _keep(_restless, id(cluster.services), (cluster.services, cluster.spec, known))
    return known


def in_order(
    names: Collection[ServiceName], ordered: Mapping[ServiceName, object]
) -> Iterable[ServiceName]:
    """Return those of the names that a mapping has, in its order."""
    return filter(names.__contains__, ordered) if names else ()


def _known_restless(cluster: ClusterState) -> frozenset[ServiceName] | None:
    services, spec, names = _restless.get(id(cluster.services), (None, None, None))
    return names if services is cluster.services and spec is cluster.spec else None


def _has_same_services(before: ClusterState, now: ClusterState) -> bool:
    """Tell whether all services are the same ones: they come with a configuration, and go."""
    return before.spec is now.spec and len(before.services) == len(now.services)


def _restless_among(cluster: ClusterState, names: Iterable[ServiceName]) -> Iterable[ServiceName]:
    configured, services = catalogue_of(cluster.spec).by_name, cluster.services
    for name in names:
        service = services[name]
        if (
            service.state not in _AT_REST
            or service.spec is not configured.get(name)
            or service.spec.terms.together
            or service.awaits is not None
            or service.rounds
            or service.cleanup
            or service.landing is not None
        ):
            yield name


def _keep(memory: dict[Key, Found], key: Key, found: Found) -> Found:
    while len(memory) >= KEPT:
        del memory[next(iter(memory))]
    memory[key] = found
    return found
