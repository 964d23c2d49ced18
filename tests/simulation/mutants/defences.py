# SPDX-License-Identifier: Apache-2.0
"""Mutants that lack the second of two defences, which alone would have held."""

from __future__ import annotations

from tests.simulation.mutants.modules import (
    DESK,
    FENCING,
    LADDER,
    LEASE,
    MACHINE,
    MEMBERSHIP,
    OPERATIONS,
    RECOVERY,
    REFIT,
    REQUESTS,
    SEATING,
    SYNC,
)
from tests.simulation.mutants.mutant import mutant as _

DEFENCES = (
    _(
        "ignore-numbers",
        "takes the result of an earlier transition for that of the present one",
        RECOVERY,
        " or service.op != body.op:",
        ":",
    ),
    _(
        "stale-proof",
        "takes the proof of an earlier loss for that of the present one",
        FENCING,
        "    return node.status is NodeStatus.UNCLEAN and node.victim == victim\n",
        "    return node.status is NodeStatus.UNCLEAN\n",
    ),
    _(
        "proof-frees-for-ever",
        "believes that nobody lost with the owner can have been given its services",
        FENCING,
        "release(ledger, node_id, node.lost_epoch - 1)",
        "release(ledger, node_id, ledger.state.epoch)",
    ),
    _(
        "fence-the-living",
        "welcomes a node that a device may switch off at any moment",
        MEMBERSHIP,
        "if node.status is NodeStatus.UNCLEAN and node.attempt > 0 and",
        "if node.status is NodeStatus.UNCLEAN and node.attempt > 99 and",
    ),
    _(
        "trust-a-stale-hello",
        "counts a HELLO that was said for an earlier view",
        SYNC,
        "is_installed=False, hellos={}, has_sent_install=False,",
        "is_installed=False, has_sent_install=False,",
    ),
    _(
        "second-install",
        "lets the second INSTALL of a ring begin the epoch anew",
        SYNC,
        "    if message.epoch <= max(turn.local.view_epoch, turn.cluster.epoch if is_in else 0):",
        "    if message.epoch <= (0 if is_in else turn.local.view_epoch):",
    ),
    _(
        "endless-lease",
        "starts and fences although its ring may have stopped turning",
        LEASE,
        "and turn.now_ms - seen_ms <= LEASE_MS",
        "and turn.now_ms >= seen_ms",
    ),
    _(
        "fence-through-a-closed-gate",
        "begins to fence while its gate is closed",
        MACHINE,
        "    if may_act:\n        fence_share.act(turn)\n",
        "    fence_share.act(turn)\n    if may_act:\n",
    ),
    _(
        "believe-the-record",
        "does not compare the record of a service with what its owner says",
        MEMBERSHIP,
        "            _judge_owner(ledger, service, service.owner, claims.get(service.owner))\n",
        "            pass\n",
    ),
    _(
        "start-beside-left-overs",
        "starts a service while something of it is left on another node",
        SEATING,
        "service.cleanup or blockers(",
        "blockers(",
    ),
    _(
        "start-what-another-holds",
        "starts a service while another one holds what the configuration has given to it",
        SEATING,
        " or rivals.unreleased(cluster, service)\n    )",
        "\n    )",
    ),
    _(
        "refit-with-what-another-holds",
        "gives a running service what another one still holds",
        REFIT,
        "            elif not rivals.unreleased(ledger.state, service):\n",
        "            else:\n",
    ),
    _(
        "give-away-what-may-come-back",
        "moves an address although a state that does not know it may win",
        OPERATIONS,
        "    if (away := disputed_by(cluster)) and rivals.found(cluster, spec.services):\n",
        "    if away := ():\n",
    ),
    _(
        "restarts-never-expire",
        "counts restarts that are long past",
        LADDER,
        "and (not rung.window_ms or now_ms - r.at_ms < rung.window_ms)",
        "and now_ms >= r.at_ms",
    ),
    _(
        "done-before-it-is-safe",
        "tells done before anything is on disk",
        DESK,
        "if verdict.answer is not None and (is_safe or verdict.answer is not Answer.DONE):",
        "if verdict.answer is not None and (is_safe or True):",
    ),
    _(
        "done-beside-left-overs",
        "tells that a service is stopped while something of it is still being stopped",
        REQUESTS,
        "    if service.state in (goal, ServiceState.DISABLED) and service.cleanup:\n",
        "    if service.cleanup and not service.spec.name:\n",
    ),
    _(
        "enable-the-disabled",
        "starts a service again that it was told to disable",
        RECOVERY,
        "ledger.move(freed, ServiceState.DISABLED)",
        "ledger.move(freed, ServiceState.RECOVERING)",
    ),
    _(
        "never-answer",
        "leaves an operator without an answer when quorum is lost",
        MACHINE,
        "    if turn.local.emergency and turn.local.waiting:\n",
        "    if turn.local.is_over:\n",
    ),
)
