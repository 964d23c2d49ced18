# SPDX-License-Identifier: Apache-2.0
"""Services that wait for their node, judged from the agreed states alone (I7).

Says for itself what may end such a wait. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from rgmgr.core.messages import AwaitOver, ConfigProposed, Install, Operation, Request, Verb
from rgmgr.core.model import ClusterState, Service, ServiceState

ENDING = (Verb.ENABLE, Verb.RELOCATE, Verb.RESTART, Verb.CONFIRM, Verb.DISABLE, Verb.STOP)


def untimely(
    cause: Install | Operation | None, before: ClusterState, after: ClusterState
) -> Iterator[str]:
    """Yield the services that start elsewhere, or forget their node, before anything allows it."""
    for name, was in before.services.items():
        service = after.services.get(name)
        if was.awaits is None or service is None or service is was or _may_end(cause, was):
            continue
        if _is_barred(after, service, was):
            continue  # it may have been so for long: nothing starts while the cluster is disarmed
        node = after.spec.node_name(was.awaits.node)
        has_moved = service.owner not in (None, was.awaits.node)
        is_lost = service.owner is None and service.awaits is None
        is_there = was.awaits.node in after.nodes
        if has_moved and service.state is ServiceState.STARTING:
            where = after.spec.node_name(service.owner or was.awaits.node)
            yield f"{name} starts on {where} while it waits for {node}"
        elif is_lost and is_there:
            yield f"{name} waited for {node} and does not any more"


def _may_end(cause: Install | Operation | None, was: Service) -> bool:
    body = cause.body if isinstance(cause, Operation) else None
    match body:
        case Request():
            return body.service == was.spec.name and body.verb in ENDING
        case AwaitOver():
            return body.service == was.spec.name
        case ConfigProposed():
            return True
        case _:
            return False


def _is_barred(cluster: ClusterState, service: Service, was: Service) -> bool:
    domain = cluster.spec.domain_of(service.spec)
    node = was.awaits.node if was.awaits else None
    return domain is not None and domain.restricted and node not in domain.priorities
