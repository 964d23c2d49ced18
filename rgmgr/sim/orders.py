# SPDX-License-Identifier: Apache-2.0
"""What standing orders forbid, judged from the agreed states alone (I7). It never changes anything.

Says for itself what a node in standby, a lock and a disarmed cluster mean.
"""

from __future__ import annotations

from collections.abc import Iterator

from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState

ENDED = (ServiceState.STARTED, ServiceState.DISABLED, ServiceState.FAILED, ServiceState.STOPPED)


def disobeyed(
    before: ClusterState, after: ClusterState, *, is_install: bool = False
) -> Iterator[str]:
    """Yield what one agreed message did against a standing order that was there and still is.

    An INSTALL may find that a service was stopped for want of quorum: then it is there no more.
    """
    for name, service in after.services.items():
        was = before.services.get(name)
        if was is None or was is service:
            continue
        words = f"{name} goes from {was.state.value} to {service.state.value}"
        is_start = service.state is ServiceState.STARTING and was.owner != service.owner
        is_start = is_start and service.landing is None  # what is migrated is up all the time
        if is_start and before.locked and after.locked:
            yield f"{words} while services are locked"
        is_gone = is_install and service.state is ServiceState.RECOVERABLE
        is_touched = before.disarmed and after.disarmed and not is_gone
        if is_touched and _is_touched(before, after, was, service):
            yield f"{words} while the cluster is disarmed"
    for name, service in after.services.items():
        is_start = service.state is ServiceState.STARTING and service.owner in after.standby
        if is_start and not (after.locked or after.disarmed or service.frozen):
            where = after.spec.node_name(service.owner) if service.owner else ""
            yield f"{name} starts on {where}, which is in standby"
    if before.disarmed and after.disarmed:
        yield from _fences(before, after)


def _is_touched(before: ClusterState, after: ClusterState, was: Service, service: Service) -> bool:
    """Tell whether a service at rest begins to move, other than off a node that goes or is gone."""
    if was.state not in ENDED or service.state in (was.state, ServiceState.STOPPED):
        return False
    is_adopted = service.state is ServiceState.STARTED
    owners = [state.nodes.get(was.owner) for state in (before, after) if was.owner is not None]
    is_going = any(owner and owner.status is not NodeStatus.ONLINE for owner in owners)
    return not (is_adopted or is_going)


def _fences(before: ClusterState, after: ClusterState) -> Iterator[str]:
    for node_id, node in after.nodes.items():
        was = before.nodes.get(node_id)
        is_begun = node.fencer is not None and (was is None or was.attempt != node.attempt)
        if is_begun and not node.is_ordered:
            yield f"{after.spec.node_name(node_id)} is fenced while the cluster is disarmed"
