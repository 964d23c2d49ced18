# SPDX-License-Identifier: Apache-2.0
"""A service that cannot be stopped: something of it may still be held, so it starts nowhere.

Only a human, or proof that the node is down, ends that. With `on_stop_failure = "fence"` the
others bring that proof at once: its node is lost like any other, and what the stop was meant for
happens then. Source: rgmanager, a failed stop; Pacemaker, `on-fail=fence`.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.evolve import replace
from rgmgr.core.fence_paths import fencers
from rgmgr.core.fencing import open_case
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import ServiceStopFailed
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.recovery import STOPPING_STATES, current, note_failure
from rgmgr.core.spec import StopFailurePolicy


def stop_failed(ledger: Ledger, sender: NodeId, body: ServiceStopFailed) -> None:
    """The owner, or a node with left-overs, could not stop all of it."""
    service = ledger.state.services.get(body.service)
    if service is None:
        return
    is_owner = current(ledger, sender, body) is not None and service.state in STOPPING_STATES
    is_cleaner = sender in service.cleanup and body.op == service.cleanup_op
    if not is_owner and not is_cleaner:
        return
    note_failure(ledger, "service.stop_failed", service, sender, body.reason)
    if _is_fenced_for(ledger.state, service, sender):
        _fence(ledger, replace(service, fault=body.reason), sender)
    elif is_owner or service.owner is None:
        _hold(ledger, replace(service, fault=body.reason), sender)


def _is_fenced_for(cluster: ClusterState, service: Service, node: NodeId) -> bool:
    """Tell whether somebody can bring the proof; without it the service would wait for ever."""
    return (
        service.spec.on_stop_failure is StopFailurePolicy.FENCE
        and not cluster.spec.fencing.unsafe_disabled
        and bool(fencers(cluster, node))
    )


def _fence(ledger: Ledger, service: Service, node: NodeId) -> None:
    """The record keeps its owner, or its left-overs, until the node is proven down."""
    ledger.put(service)
    if ledger.state.nodes[node].status is not NodeStatus.UNCLEAN:
        cause = f"it cannot stop {service.spec.name}: {service.fault}"
        open_case(ledger, node, ledger.state.epoch + 1, cause=cause)


def _hold(ledger: Ledger, service: Service, node: NodeId) -> None:
    cleanup = tuple(n for n in service.cleanup if n != node)
    held = replace(service, owner=None, last_owner=node, cleanup=cleanup, target=None)
    ledger.move(held, ServiceState.FAILED)
