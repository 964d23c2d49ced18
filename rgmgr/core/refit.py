# SPDX-License-Identifier: Apache-2.0
"""A changed configuration reaches the services that run: each gets its new tree at once.

Asked after every agreed event, for a service may be busy, frozen or out of reach when the
configuration changes. The record then has the new tree and, as `former`, the one that is up; the
owner goes from one to the other (`delta.py`) and says so.
"""

from __future__ import annotations

from collections.abc import Collection

from domains.model import NodeId, ServiceName
from rgmgr.core import rivals, sharing
from rgmgr.core.delta import Delta, delta, is_same_definition
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import After, ClusterState, Service, ServiceState
from rgmgr.core.recovery import begin_stop
from rgmgr.core.spec import ResourceSpec, ServiceSpec
from rgmgr.core.standing import is_left_alone
from rgmgr.core.subtrees import refitted
from rgmgr.core.survey import catalogue_of, in_order, restless
from rgmgr.core.tree import start_order
from rgmgr.core.unproven import is_elsewhere


def settle(ledger: Ledger) -> None:
    """Give running services the trees that are configured."""
    members = ledger.state.members()
    configured = catalogue_of(ledger.state.spec).by_name
    for name in in_order(_concerned(ledger), configured):
        service, spec = ledger.state.services.get(name), configured[name]
        if service is None or service.spec is spec or service.state is not ServiceState.STARTED:
            continue
        if service.spec == spec:
            ledger.put(replace(service, spec=spec))  # the same object is the same at a glance
        elif service.owner in members and not _must_wait(ledger.state, service, spec):
            if _must_stop(ledger.state, service, service.owner, spec):
                begin_stop(ledger, service, After.SETTLE)
            elif not rivals.unreleased(ledger.state, service):
                _refit(ledger, service, spec)


def _concerned(ledger: Ledger) -> Collection[ServiceName]:
    """Return the services that may have another tree than the configured one."""
    before, now = ledger.before, ledger.state
    if before.spec is not now.spec:
        return now.services
    return restless(before).union(ledger.changed())


def _must_wait(cluster: ClusterState, service: Service, spec: ServiceSpec) -> bool:
    is_untouchable = is_left_alone(cluster, service) or service.is_being_mended
    is_doubtful = is_elsewhere(cluster, service)
    return is_untouchable or is_doubtful or _is_ahead(cluster, service, spec)


def _must_stop(cluster: ClusterState, service: Service, owner: NodeId, spec: ServiceSpec) -> bool:
    """Tell whether what it is to use is elsewhere, or nobody lets go before it has done so."""
    return bool(sharing.parted(cluster, service, owner, spec)) or rivals.is_in_a_ring(
        cluster, service
    )


def _is_ahead(cluster: ClusterState, service: Service, spec: ServiceSpec) -> bool:
    """Tell whether another service there still goes to an earlier definition of what they share.

    It waits until all have left the one before that, which the new tree may bring back.
    """
    shared = {r.name: r for r in delta(service.spec, spec).starts if r.is_shared}
    return bool(shared) and any(
        resource.is_shared
        and resource.name in shared
        and not is_same_definition(resource, shared[resource.name])
        for other in cluster.services.values()
        if other.former and other.owner == service.owner
        for resource in start_order(other.spec)
    )


def _refit(ledger: Ledger, service: Service, spec: ServiceSpec) -> None:
    change = delta(service.spec, spec)
    new = refitted(service, spec, [resource.name for resource in change.starts])
    if change.is_empty and not new.mending:
        ledger.put(new)
        return
    ledger.renew(replace(new, former=service.spec.resources))
    _note(ledger, service, change)


def _note(ledger: Ledger, service: Service, change: Delta) -> None:
    ledger.note(
        "service.refitted",
        service=service.spec.name,
        owner=ledger.name(service.owner),
        stops=_names(change.stops),
        starts=_names(change.starts),
        reconfigures=_names(change.reconfigures),
    )


def _names(resources: tuple[ResourceSpec, ...]) -> str | None:
    return ", ".join(resource.name for resource in resources) or None
