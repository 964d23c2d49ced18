# SPDX-License-Identifier: Apache-2.0
"""Who may hold a service although no record says so.

A node that is not proven down ("unproven": unseen, detached or unclean) may have been given it by
messages that died with it; it cannot have been when the owner, or the proof of the owner's end,
freed the service after that node was gone. ADR 8.
"""

from __future__ import annotations

from domains.model import NodeId
from domains.rank import may_own
from rgmgr.core.model import ClusterState, NodeStatus, Service, ServiceState

UNPROVEN = (NodeStatus.UNSEEN, NodeStatus.DETACHED, NodeStatus.UNCLEAN)


def blockers(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the unproven nodes that might run the service, as far as anybody knows."""
    domain = cluster.spec.domain_of(service.spec)
    return tuple(
        sorted(
            n
            for n, node in cluster.nodes.items()
            if node.status in UNPROVEN
            and may_own(domain, n)
            and not _was_freed_after(service, node.lost_epoch)
        )
    )


def is_elsewhere(cluster: ClusterState, service: Service) -> bool:
    """Tell whether somebody else may have a service that has an owner.

    Others have been told to let go of it, or have never heard of the owner that was found with it.
    So no more of it is started, and it is not stopped to be started again.
    """
    return bool(service.cleanup or unasked(cluster, service))


def because(cluster: ClusterState, service: Service, unproven: tuple[NodeId, ...]) -> str | None:
    """Say who may have something of a service, these unproven nodes among them; None: nobody."""
    names = cluster.spec.node_name
    if service.cleanup:
        return f"waiting for left-overs on {', '.join(map(names, service.cleanup))}"
    if unproven:
        return f"waiting for proof that {', '.join(map(names, unproven))} runs none of it"
    return None


def unasked(cluster: ClusterState, service: Service) -> tuple[NodeId, ...]:
    """Return the unproven nodes that were gone when its owner was found with the service."""
    return tuple(
        n
        for n in blockers(cluster, service)
        if cluster.nodes[n].lost_epoch <= service.adopted_epoch
    )


def may_have_outlived(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a service may run unseen since before this state began.

    All daemons were away, nothing has been done about it since, and whoever may have it has not
    come back yet.
    """
    is_untold = service.state is ServiceState.STOPPED and not service.op and not service.is_new
    return is_untold and bool(blockers(cluster, service))


def _was_freed_after(service: Service, lost_epoch: int) -> bool:
    """Tell whether its owner freed it later; one that was only found with it proves nothing then.

    Who was gone when it was found had never heard of that owner.
    """
    return service.adopted_epoch < lost_epoch <= service.freed_epoch
