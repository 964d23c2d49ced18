# SPDX-License-Identifier: Apache-2.0
"""The end of a daemon that found its own state impossible: it says what it knew, and acts no more.

Nothing is known of how it came to that, so nothing is repaired or stopped: systemd starts the
daemon anew, it takes the agreed state from the others, and asks systemd what runs. If all of them
came to it alike, they all begin anew.
"""

from __future__ import annotations

import json

import structlog

from rgmgr.core.local import State
from rgmgr.core.model import Node, Service
from rgmgr.errors import InvariantViolation
from rgmgr.runtime.pump import Pump

log = structlog.get_logger("rgmgrd")


async def run_watched(pump: Pump) -> None:
    """Run the pump; a violated invariant is logged with the state of before, and ends it."""
    try:
        await pump.run()
    except InvariantViolation as violation:
        facts = {"reason": str(violation), "state": outline(pump.state)}
        log.error("state.violated", **facts)  # noqa: TRY400 - daemon.crashed has the traceback
        raise


def outline(state: State) -> str:
    """Return what a member knew, as one line of JSON.

    The configuration is left out, for its options may be secrets.
    """
    cluster, local = state.cluster, state.local
    facts = {
        "me": local.me,
        "epoch": cluster.epoch,
        "applied": cluster.applied,
        "is_installed": local.is_installed,
        "is_quorate": local.is_quorate,
        "emergency": local.emergency,
        "nodes": {str(number): _of_node(node) for number, node in cluster.nodes.items()},
        "services": {name: _of_service(service) for name, service in cluster.services.items()},
        "jobs": {name: job.kind.value for name, job in local.jobs.items()},
        "active": {name: list(resources) for name, resources in local.active.items()},
    }
    return json.dumps(facts, separators=(",", ":"))


def _of_node(node: Node) -> dict[str, object]:
    return {
        "status": node.status.value,
        "lost_epoch": node.lost_epoch,
        "victim": node.victim,
        "attempt": node.attempt,
        "fencer": node.fencer,
        "proof": node.proof.kind.value if node.proof else None,
    }


def _of_service(service: Service) -> dict[str, object]:
    return {
        "state": service.state.value,
        "op": service.op,
        "owner": service.owner,
        "last_owner": service.last_owner,
        "after": service.after.value,
        "freed_epoch": service.freed_epoch,
        "cleanup": list(service.cleanup),
        "rivals": list(service.rivals),
    }
