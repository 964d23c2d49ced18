# SPDX-License-Identifier: Apache-2.0
"""`no_quorum_policy = "suicide"`: a node that has lost quorum reboots itself.

It proves nothing to the others, who fence it as ever. Source: Pacemaker `no-quorum-policy`.
"""

from __future__ import annotations

from rgmgr.core.actions import RebootNode, Severity
from rgmgr.core.local import Turn
from rgmgr.core.no_quorum import must_stop, policy_of
from rgmgr.core.spec import NoQuorumPolicy
from rgmgr.core.sync import has_quorum


def act(turn: Turn) -> None:
    """Reboot this node if it has lost quorum and runs something whose policy says so.

    Never one that had none in this life of its daemon, or every boot without quorum would end in
    the next; nor one that is being shut down. There such services are stopped, as they are in case
    that the reboot fails.
    """
    local = turn.local
    if not local.emergency or not local.is_live or local.shutdown is not None:
        return
    if has_quorum(turn):
        return  # it is the others who want this node to stop its services
    doomed = [
        name
        for name, service in sorted(turn.cluster.services.items())
        if policy_of(turn, service) is NoQuorumPolicy.SUICIDE
        and (local.active.get(name) or name in local.jobs)
        and must_stop(turn, service)
    ]
    if doomed and turn.is_news("reboot", turn.cluster.epoch):
        reason = f"{local.emergency}, and {', '.join(doomed)} may not run on"
        turn.note("node.rebooting", Severity.ERROR, reason=reason)
        turn.do(RebootNode(reason))
