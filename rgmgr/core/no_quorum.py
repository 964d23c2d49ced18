# SPDX-License-Identifier: Apache-2.0
"""What becomes of the services of a node that has no right to run any: no quorum, say.

Whatever the policy is, nothing is started, and the others fence the node before they start any of
it elsewhere.
"""

from __future__ import annotations

from rgmgr.core.events import Shutdown
from rgmgr.core.local import Turn
from rgmgr.core.model import Service
from rgmgr.core.spec import NoQuorumPolicy
from rgmgr.core.standing import is_shielded


def must_stop(turn: Turn, service: Service) -> bool:
    """Tell whether this node has to stop the service at once.

    A frozen one stays, and so does all while the cluster is disarmed: it is the fence alone that
    keeps it from running twice. Where fencing is switched off that is nothing, so there it stops.
    The members will not fence a node that their configuration has not: all stops there.
    """
    cluster = turn.cluster
    if _is_dropped(turn):
        return True
    if service.frozen and not cluster.spec.fencing.unsafe_disabled:
        return False
    is_staying = turn.local.shutdown is not Shutdown.STOP
    if is_staying and is_shielded(cluster, turn.local.me, turn.cluster_ms):
        return False
    return policy_of(turn, service) in (NoQuorumPolicy.STOP, NoQuorumPolicy.SUICIDE)


def policy_of(turn: Turn, service: Service) -> NoQuorumPolicy:
    """Return the policy of a service, which may be the cluster's."""
    return service.spec.no_quorum_policy or turn.cluster.spec.no_quorum_policy


def is_untouched(turn: Turn, service: Service) -> bool:
    """Tell whether nothing is begun with the service before this node may run services again."""
    return bool(turn.local.emergency) and policy_of(turn, service) is NoQuorumPolicy.FREEZE


def _is_dropped(turn: Turn) -> bool:
    """Tell whether the members have agreed on a configuration without this node."""
    return turn.local.is_installed and turn.local.me not in turn.cluster.nodes
