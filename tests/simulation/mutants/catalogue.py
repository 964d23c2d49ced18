# SPDX-License-Identifier: Apache-2.0
"""All mutants: mistakes, each in the text of one core module."""

from __future__ import annotations

from tests.simulation.mutants.mutant import Mutant

PLACEMENT = "rgmgr.core.placement"
FAILBACK = "rgmgr.core.failback"
OCCUPANCY = "domains.occupancy"
FENCING = "rgmgr.core.fencing"
RECOVERY = "rgmgr.core.recovery"
STOP_FAILURES = "rgmgr.core.stop_failures"
MEMBERSHIP = "rgmgr.core.membership"
SYNC = "rgmgr.core.sync"
SEATING = "rgmgr.core.seating"
UNPROVEN = "rgmgr.core.unproven"
LADDER = "rgmgr.core.ladder"
DEPEND = "rgmgr.core.depend"
AWAITING = "rgmgr.core.awaiting"
REBOOTING = "rgmgr.core.rebooting"
LEASE = "rgmgr.core.lease"
OPERATIONS = "rgmgr.core.operations"
OUTBOX = "rgmgr.core.outbox"
DURABLE = "rgmgr.core.durable"
EXECUTOR = "rgmgr.core.executor"
JOBS = "rgmgr.core.jobs"
MACHINE = "rgmgr.core.machine"
SHARE = "rgmgr.core.fence_share"
DESK = "rgmgr.core.desk"
REQUESTS = "rgmgr.core.requests"
CLOCKWORK = "rgmgr.core.clockwork"
STANDING = "rgmgr.core.standing"
DEPARTURE = "rgmgr.core.departure"
WATCHDOG = "rgmgr.core.watchdog"
PROMISE = "rgmgr.core.promise"
RANK = "domains.rank"


def _(name: str, breaks: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(name=name, breaks=breaks, module=module, old=old, new=new)


MUTANTS = (
    # Standing orders.
    _(
        "fence-while-disarmed",
        "fences a lost node although the cluster is disarmed",
        FENCING,
        "if ledger.state.disarmed is not None and not node.is_ordered:",
        "if ledger.state.disarmed is not None and node.is_due and not node.is_due:",
    ),
    _(
        "start-while-locked",
        "starts services although they are locked",
        STANDING,
        "    if cluster.locked is not None:\n",
        "    if cluster.locked is not None and not cluster.services:\n",
    ),
    # Proof.
    _(
        "start-without-proof",
        "starts a service although a node that may run it is not proven down",
        PLACEMENT,
        " and not blockers(ledger.state, service)",
        "",
    ),
    _(
        "trust-a-failed-stop",
        "frees a service that could not be stopped before its node is proven down",
        STOP_FAILURES,
        "    ledger.put(service)\n",
        "    from rgmgr.core.recovery import finish_stop\n"
        "    return finish_stop(ledger, service)\n",
    ),
    _(
        "detached-runs-nothing",
        "takes a node whose daemon is gone for one that runs nothing",
        UNPROVEN,
        "UNPROVEN = (NodeStatus.UNSEEN, NodeStatus.DETACHED, NodeStatus.UNCLEAN)",
        "UNPROVEN = (NodeStatus.UNSEEN, NodeStatus.UNCLEAN)",
    ),
    _(
        "unseen-runs-nothing",
        "takes a node that was never seen for one that runs nothing",
        UNPROVEN,
        "UNPROVEN = (NodeStatus.UNSEEN, NodeStatus.DETACHED, NodeStatus.UNCLEAN)",
        "UNPROVEN = (NodeStatus.DETACHED, NodeStatus.UNCLEAN)",
    ),
    _(
        "lost-nodes-heard-nothing",
        "believes that no lost node can have been given a service that was freed at any time",
        UNPROVEN,
        "return 0 < lost_epoch <= service.freed_epoch",
        "return 0 < lost_epoch",
    ),
    _(
        "skip-the-fence-wait",
        "frees what a lost node owned as soon as it is lost",
        FENCING,
        "    ledger.put_node(node_id, unclean)\n",
        "    ledger.put_node(node_id, unclean)\n    release(ledger, node_id, ledger.state.epoch)\n",
    ),
    _(
        "survivors-do-not-wait",
        "takes the silence of a node with a watchdog for its reset",
        PROMISE,
        "    return LEASE_MS + 2 * node.watchdog_ms + MARGIN_MS\n",
        "    return LEASE_MS\n",
    ),
    _(
        "feed-without-proof",
        "feeds the watchdog as long as the daemon turns",
        WATCHDOG,
        "and proven_ms is not None and is_proven(turn):",
        "and proven_ms is not None:",
    ),
    _(
        "disarm-at-once",
        "disarms the watchdog while services run",
        WATCHDOG,
        "    is_needed = holds_anything(turn)\n",
        "    is_needed = bool(local.jobs)\n",
    ),
    _(
        "failed-fencing-is-proof",
        "takes an agent that failed for one that switched the node off",
        SHARE,
        "    if not event.is_confirmed:\n",
        "    if not event.node:\n",
    ),
    _(
        "fence-once",
        "gives up after the first attempt that brought no proof",
        CLOCKWORK,
        "not node.is_due and node.fencer is None:",
        "not node.is_due and node.fencer is None and not node.attempt:",
    ),
    _(
        "never-fence",
        "does not begin the attempts that are its own",
        SHARE,
        "is_victim = node.status is NodeStatus.UNCLEAN and",
        "is_victim = not node.victim and",
    ),
    # Results and their numbers.
    _(
        "stopped-is-stopped",
        "tells that a service is stopped although its stop failed",
        JOBS,
        "return failed if job.faults else ServiceStopped(name, op)",
        "return ServiceStopped(name, op)",
    ),
    _(
        "failed-stop-goes-on",
        "starts a service elsewhere although its stop failed",
        STOP_FAILURES,
        "ledger.move(held, ServiceState.FAILED)",
        "ledger.move(held, ServiceState.RECOVERING)",
    ),
    _(
        "never-resend",
        "does not send again what an epoch lost",
        OUTBOX,
        "        if operation.sequence <= known:\n",
        "        if operation.sequence:\n",
    ),
    # Epochs and quorum.
    _(
        "drop-the-quorum-gate",
        "begins epochs without quorum",
        SYNC,
        "local.has_sent_install or not has_quorum(turn):",
        "local.has_sent_install:",
    ),
    _(
        "quorum-of-any-ring",
        "takes a verdict of quorum for another ring for that of its own",
        SYNC,
        "return view is not None and local.quorum_ring == view.ring and local.is_quorate",
        "return view is not None and local.is_quorate",
    ),
    _(
        "trust-a-stale-install",
        "takes an INSTALL that was made for another view",
        SYNC,
        "if view is None or message.ring != view.ring or message.view != view.members:",
        "if view is None:",
    ),
    _(
        "keep-the-state",
        "never hands its state to members that have another one",
        SYNC,
        "state=None if is_alike else turn.cluster,",
        "state=None,",
    ),
    _(
        "believe-alike",
        "does not compare states when an epoch begins",
        SYNC,
        "is_alike = all(hello.digest == ours for hello in local.hellos.values())",
        "is_alike = bool(ours)",
    ),
    _(
        "oldest-wins",
        "builds an epoch on the oldest state instead of the most recent one",
        SYNC,
        "best = max(candidates,",
        "best = min(candidates,",
    ),
    _(
        "begin-alone",
        "lets one of two begin alone from its disk, whatever the other one may have been told",
        SYNC,
        "is_first = turn.cluster.epoch == 0",
        "is_first = turn.cluster.epoch >= 0",
    ),
    _(
        "run-without-quorum",
        "leaves its services running without quorum",
        SYNC,
        "    if not turn.local.is_quorate:\n",
        "    if not turn.local.is_quorate and view.members == ():\n",
    ),
    # The gate.
    _(
        "start-through-a-closed-gate",
        "goes on starting units while its gate is closed",
        EXECUTOR,
        "    if (not job.stops and not may_start) or must_wait(turn, name, job):\n",
        "    if must_wait(turn, name, job):\n",
    ),
    # What runs where.
    _(
        "leave-left-overs",
        "tells nobody to let go of what is not its own",
        MEMBERSHIP,
        "        if n != service.owner and (claim.is_busy or claim.health is not Health.NONE)\n",
        "        if n == 0\n",
    ),
    _(
        "goodbye-at-once",
        "says goodbye while something of a service is still there",
        EXECUTOR,
        "return bool(turn.local.jobs) or any(turn.local.active.values())",
        "return False",
    ),
    _(
        "see-no-failure",
        "does not tell that a running service has failed",
        EXECUTOR,
        "    if has_said or not (broken := _missing(turn, service, names_off(service))):\n",
        "    if service.op or not (broken := _missing(turn, service, names_off(service))):\n",
    ),
    # The tree.
    _(
        "children-first",
        "starts children before their parents",
        EXECUTOR,
        "starts=start_order(service.spec))",
        "starts=start_order(service.spec)[::-1])",
    ),
    _(
        "parents-first",
        "stops parents before their children",
        JOBS,
        "    order = may_be_up(service)\n",
        "    order = start_order(service.spec)\n",
    ),
    # Domains and restart windows.
    _(
        "anywhere",
        "lets a node outside a restricted domain own a service",
        RANK,
        "return domain is None or not domain.restricted or node in domain.priorities",
        "return True",
    ),
    _(
        "no-failback",
        "never moves a service back to the node that its domain prefers",
        MEMBERSHIP,
        "    offer_to_joiners(ledger, away_since)\n",
        "",
    ),
    _(
        "always-move",
        "moves a service to any node that joins",
        FAILBACK,
        ", n, there) and is_examined(cluster, n)\n    ]\n",
        ", n, there) or n != owner\n    ]\n    return tuple(joined)\n",
    ),
    _(
        "no-limit",
        "starts a service where there is no room for its load",
        OCCUPANCY,
        "            if terms.load > room:",
        "            if terms.load > room + 99:",
    ),
    _(
        "in-company",
        "starts an exclusive service beside others",
        OCCUPANCY,
        "if terms.exclusive and (others :=",
        "if name == node and (others :=",
    ),
    _(
        "side-by-side",
        "starts a service where one runs that it must be apart from",
        OCCUPANCY,
        "if foes := self.foes(tenant, node, is_hard=True):",
        "if foes := ():",
    ),
    _(
        "restart-for-ever",
        "restarts a failing service without end",
        LADDER,
        "return not rung.limit or len(recent(service, rung, now_ms)) < rung.limit",
        "return True",
    ),
    _(
        "ladder-without-windows",
        "counts failures for ever",
        LADDER,
        "(not rung.window_ms or now_ms - r.at_ms < rung.window_ms)",
        "True",
    ),
    # Services and what they wait for.
    _(
        "needs-nothing",
        "starts a service without what it depends on",
        DEPEND,
        "    return tuple(name for name in spec.depend if not _is_up(cluster, name))",
        "    return ()",
    ),
    _(
        "hard-is-soft",
        "lets a service run on without what it depends on",
        DEPEND,
        "    while any(_stop_if_lost(ledger, spec) for spec in bound):\n        pass\n",
        "    del bound\n",
    ),
    _(
        "needed-goes-first",
        "stops a service before those that need it",
        DEPEND,
        "    if service.state not in STOPPING:\n",
        "    if service.state in STOPPING:\n",
    ),
    _(
        "takes-over-unasked",
        "does not wait for the time or the human that a takeover waits for",
        AWAITING,
        "    return service.awaits is None or service.awaits.node == node",
        "    return True",
    ),
    _(
        "frozen-is-recovered",
        "starts a frozen service of a lost owner elsewhere",
        SEATING,
        "    if service.frozen or service.is_held:\n",
        "    if service.is_held:\n",
    ),
    _(
        "forget-frozen",
        "does not keep on disk that a service is frozen",
        DURABLE,
        "        frozen=service.frozen,\n",
        "",
    ),
    _(
        "reboot-without-end",
        "reboots a node that never had quorum",
        REBOOTING,
        "    if not local.emergency or not local.is_live or local.shutdown is not None:\n",
        "    if not local.emergency or local.shutdown is not None:\n",
    ),
    # What administrators said.
    _(
        "forget-disabled",
        "does not keep on disk that a service is disabled",
        DURABLE,
        "KEPT_STATES = (ServiceState.DISABLED, ServiceState.FAILED)",
        "KEPT_STATES = (ServiceState.FAILED,)",
    ),
    _(
        "answer-twice",
        "answers an operator again and again",
        DESK,
        "if n != request.number}",
        "}",
    ),
    # Second defences taken away.
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
        "    if message.epoch <= max(turn.cluster.epoch, turn.local.missed_epoch):\n"
        "        return\n",
        "",
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
        PLACEMENT,
        "may_start = not service.cleanup and not blockers(",
        "may_start = not blockers(",
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
"""Each is caught by a seed of `make test`, or by a scenario."""
