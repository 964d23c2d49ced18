# SPDX-License-Identifier: Apache-2.0
"""What becomes of the services of a node that has no right to run any: no quorum, say.

Whatever the policy is, nothing is started, and the others fence the node before they start any of
it elsewhere.
"""

from __future__ import annotations

from rgmgr.core.model import ClusterState, Service
from rgmgr.core.spec import NoQuorumPolicy


def must_stop(cluster: ClusterState, service: Service) -> bool:
    """Tell whether this node has to stop the service at once.

    A frozen one stays: with it, it is the fence alone that keeps it from running twice. Where
    fencing is switched off that is nothing, so there it has to stop.
    """
    if service.frozen and not cluster.spec.fencing.unsafe_disabled:
        return False
    policy = service.spec.no_quorum_policy or cluster.spec.no_quorum_policy
    return policy is NoQuorumPolicy.STOP
