# SPDX-License-Identifier: Apache-2.0
"""Services that need others: `depend` and its two modes.

A service starts only while all that it depends on is up; with mode hard it also stops when one of
them goes. Where both are stopped on purpose, the dependent goes first. It never asks where they
run. There are no rings: the configuration refuses them. Source: rgmanager `depend`, `depend_mode`.
"""

from __future__ import annotations

from collections.abc import Iterable

from domains.model import ServiceName
from rgmgr.core.ledger import Ledger
from rgmgr.core.migration import is_under_way
from rgmgr.core.model import After, ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.recovery import begin_stop
from rgmgr.core.sharing import have_in_common
from rgmgr.core.spec import ServiceSpec
from rgmgr.core.standing import is_left_alone
from rgmgr.core.survey import catalogue_of
from rgmgr.core.unproven import may_have_outlived

STOPPING = (ServiceState.STOPPING, ServiceState.RECOVERABLE)
RUNNING = (ServiceState.STARTING, ServiceState.STARTED)
COMING = (*RUNNING, ServiceState.RECOVERABLE, ServiceState.RECOVERING)
MEMBERS = (NodeStatus.ONLINE, NodeStatus.LEAVING)
BROKEN = (After.RECOVER, After.REPAIR)


def unmet(cluster: ClusterState, spec: ServiceSpec) -> tuple[ServiceName, ...]:
    """Return what a service has to wait for before it starts."""
    return tuple(name for name in spec.depend if not _is_up(cluster, name))


def because(cluster: ClusterState, spec: ServiceSpec) -> str | None:
    """Say what a service waits for before it starts; None when for nothing of this kind."""
    waits = [f"{name}, which is {_state(cluster, name)}" for name in unmet(cluster, spec)]
    return f"waiting for {'; '.join(waits)}" if waits else None


def is_hopeless(cluster: ClusterState, spec: ServiceSpec) -> bool:
    """Tell whether it waits for something that does not come by itself."""
    return any(
        (record := cluster.services.get(name)) is None or record.state not in COMING
        for name in unmet(cluster, spec)
    )


def stop_dependents(ledger: Ledger) -> None:
    """Stop what runs and has lost what it needs, and then what needs that."""
    bound = catalogue_of(ledger.state.spec).bound
    while any(_stop_if_lost(ledger, spec) for spec in bound):
        pass


def _stop_if_lost(ledger: Ledger, spec: ServiceSpec) -> bool:
    service = ledger.state.services.get(spec.name)
    if service is None or service.state not in RUNNING or is_left_alone(ledger.state, service):
        return False
    if all(_may_run(ledger.state, name) for name in spec.depend):
        return False
    reason = because(ledger.state, spec)
    ledger.note("service.dependency_lost", service=spec.name, reason=reason)
    begin_stop(ledger, service, After.SETTLE)
    return True


def must_go_first(cluster: ClusterState, service: Service) -> tuple[ServiceName, ...]:
    """Return the dependents that have to be down before this service is stopped.

    Only those whose node takes part: no stop waits for a fence. What has failed waits only for
    those that use what it has to let go of, too.
    """
    if service.state not in STOPPING:
        return ()
    return tuple(
        other.name
        for other in _dependents(cluster, service.spec.name)
        if (record := cluster.services.get(other.name)) is not None
        and record.state in STOPPING
        and (service.after not in BROKEN or have_in_common(service, record))
        and (node := _owner(cluster, record)) is not None
        and node.status in MEMBERS
    )


def _owner(cluster: ClusterState, service: Service) -> Node | None:
    return cluster.nodes.get(service.owner) if service.owner is not None else None


def _dependents(cluster: ClusterState, name: ServiceName) -> Iterable[ServiceSpec]:
    """Yield who depends on it: as is configured, or as it was of who is configured no more."""
    found = [spec for spec in cluster.spec.services if name in spec.depend]
    if len(cluster.services) > len(cluster.spec.services):
        configured = catalogue_of(cluster.spec).by_name
        gone = [record.spec for n, record in cluster.services.items() if n not in configured]
        found += [spec for spec in gone if name in spec.depend]
    return found


def _runs(cluster: ClusterState, name: ServiceName) -> bool:
    record = cluster.services.get(name)
    return record is not None and record.state is ServiceState.STARTED


def _may_run(cluster: ClusterState, name: ServiceName) -> bool:
    """Tell whether it runs, or did when all daemons went and may do so still."""
    record = cluster.services.get(name)
    return _runs(cluster, name) or (
        record is not None and (is_under_way(record) or may_have_outlived(cluster, record))
    )


def _is_up(cluster: ClusterState, name: ServiceName) -> bool:
    """Tell whether it runs, and not only for all that is known of a node that is lost."""
    record = cluster.services.get(name)
    node = _owner(cluster, record) if record else None
    return _runs(cluster, name) and node is not None and node.status is not NodeStatus.UNCLEAN


def _state(cluster: ClusterState, name: ServiceName) -> str:
    record = cluster.services.get(name)
    if record is None:
        return "not configured"
    if _runs(cluster, name) and record.owner is not None:
        return f"on {cluster.spec.node_name(record.owner)}, which is unclean"
    return record.state.value
