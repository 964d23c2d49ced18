# SPDX-License-Identifier: Apache-2.0
"""Proving lost nodes down: whose turn it is to fence, what counts as proof, when to try again.

Each loss of a node is a *case* with a number (`Node.victim`); proof of another case is stale.
An attempt belongs to one online node, of those whose paths work first; the next attempt goes to
the next one, for ever, with a growing pause. Only the proof frees what the lost node owned.
Switching it on again is a duty of its own in the agreed state, so it outlives the fencer.

Source: fenced(8), Fence Agent API, ADR 13.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import incidents
from rgmgr.core.actions import Severity
from rgmgr.core.evolve import replace
from rgmgr.core.fence_paths import fencers, is_switched
from rgmgr.core.fence_races import first_delay_ms, may_race
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import FenceDue, FenceFailed, GraceExpired, NodeFenced, PowerRestored
from rgmgr.core.model import (
    CALLED_OFF,
    ClusterState,
    Node,
    NodeStatus,
    Proof,
    ProofKind,
)
from rgmgr.core.placement import offer_to_joiners
from rgmgr.core.recovery import release
from rgmgr.core.spec import FenceStep, FenceVerb
from rgmgr.core.standing import why_nothing_starts

BACKOFF_FIRST_MS = 1_000
BACKOFF_MAX_MS = 60_000
AWAY = "its daemon did not come back"
SHOUT_FIRST = 3
"""Failed attempts before somebody is called; again at twice as many, and so on."""


def backoff_ms(attempt: int) -> int:
    """Return the pause after so many failed attempts: 1, 2, 4 .. 60 seconds."""
    return min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(max(attempt - 1, 0), 10))


def open_case(
    ledger: Ledger,
    node_id: NodeId,
    lost_epoch: int,
    *,
    cause: str,
    is_silent: bool = False,
    delay_ms: int = 0,
) -> None:
    """Declare a node unclean; `settle` weighs what else is waited for and begins.

    `is_silent`: it is not heard, and nothing else is against it.
    """
    node = ledger.state.nodes[node_id]
    number = ledger.take_op()
    unclean = Node(
        status=NodeStatus.UNCLEAN,
        incarnation=node.incarnation,
        boot_id=node.boot_id,
        sequence=node.sequence,
        joined_epoch=node.joined_epoch,
        watchdog_ms=node.watchdog_ms,
        lost_epoch=lost_epoch,
        victim=number,
        delay_ms=delay_ms,
        may_return=is_silent and not is_switched(ledger.state, node_id),
    )
    ledger.put_node(node_id, unclean)
    incidents.opened(ledger, number, node_id, cause)
    ledger.note(
        "node.unclean",
        Severity.ERROR,
        node=ledger.name(node_id),
        reason=cause,
        delay_ms=delay_ms,
    )


def settle(ledger: Ledger) -> None:
    """Give every due case, and all that is to be switched on, to an online node.

    Called after every agreed event.
    """
    for node_id, node in sorted(ledger.state.nodes.items()):
        if node.to_restore:
            _assign_restorer(ledger, node_id, node)
        if node.status is not NodeStatus.UNCLEAN:
            continue
        if ledger.state.disarmed is not None and not node.is_ordered:
            continue
        if ledger.state.spec.fencing.unsafe_disabled:
            prove(ledger, node_id, _no_proof(ledger, node_id))
            continue
        weighed = node if node.is_weighed else _weigh(ledger, node_id, node)
        if weighed.is_due and not weighed.withheld:
            _assign(ledger, node_id, weighed)


def order(ledger: Ledger, node_id: NodeId, *, stays_off: bool) -> None:
    """An operator wants it fenced: at once, whatever the delays and the budget say."""
    node = ledger.state.nodes[node_id]
    ordered = replace(
        node,
        is_weighed=True,
        is_due=True,
        may_return=False,
        is_ordered=True,
        stays_off=stays_off,
        withheld="",
    )
    ledger.put_node(node_id, ordered)
    incidents.noted(ledger, node.victim, is_ordered=True, members=ledger.state.members())


def withhold(ledger: Ledger, node_id: NodeId, reason: str) -> None:
    """Make no further attempt until an operator orders one; nothing is freed."""
    node = ledger.state.nodes[node_id]
    ledger.put_node(node_id, replace(node, withheld=reason))
    name = ledger.name(node_id)
    ledger.note(
        "fence.withheld",
        Severity.ERROR,
        node=name,
        reason=reason,
        hint=f"'rgmgr fence {name}' fences it; 'rgmgr fence ack {name}' if it is surely off",
    )


def begin_attempts_anew(ledger: Ledger, node_id: NodeId) -> None:
    """Give a case on which somebody has acted a new number: what was begun before is stale."""
    node = ledger.state.nodes[node_id]
    if node.status is not NodeStatus.UNCLEAN or not node.attempt:
        return
    number = ledger.take_op()
    incidents.renumbered(ledger, node.victim, number)
    ledger.put_node(node_id, replace(node, victim=number, fencer=None))


def due(ledger: Ledger, body: FenceDue) -> None:
    """The pause before the next attempt is over."""
    node = ledger.state.nodes.get(body.node)
    if node and _is_case(node, body.victim) and node.attempt == body.attempt:
        ledger.put_node(body.node, replace(node, is_due=True))


def fenced(ledger: Ledger, body: NodeFenced) -> None:
    """A device confirmed that the node is off."""
    node = ledger.state.nodes.get(body.node)
    if node and _is_case(node, body.victim):
        incidents.trial_ended(ledger, body.victim, body.proof.detail)
        prove(ledger, body.node, body.proof, switched_off=body.switched_off, wall_s=body.wall_s)


def attempt_failed(ledger: Ledger, body: FenceFailed) -> None:
    """No device confirmed anything: nothing may start, try again later."""
    node = ledger.state.nodes.get(body.node)
    if node is None or not _is_case(node, body.victim) or node.attempt != body.attempt:
        return
    waiting = replace(node, is_due=False, fencer=None, last_fault=body.reason)
    ledger.put_node(body.node, waiting)
    incidents.trial_ended(ledger, body.victim, body.reason)
    ledger.note(
        "fence.failed",
        Severity.WARNING if body.attempt == 1 else Severity.ERROR,
        node=ledger.name(body.node),
        attempt=body.attempt,
        reason=body.reason,
        retry_ms=backoff_ms(body.attempt),
    )
    if _is_time_to_shout(body.attempt):
        _shout(ledger, body.node, body.attempt)


def prove(
    ledger: Ledger,
    node_id: NodeId,
    proof: Proof,
    *,
    switched_off: tuple[FenceStep, ...] = (),
    wall_s: int = 0,
) -> None:
    """Record the proof and free what the node owned.

    Another node lost with it or later may have been given these services, by this node or because
    of a proof that only lost members heard; so only nodes that were gone before do not matter.
    """
    node = ledger.state.nodes[node_id]
    power, paths = _parted(ledger, switched_off)
    is_reboot = ledger.state.spec.fencing.verb is FenceVerb.REBOOT and not node.stays_off
    down = replace(
        node,
        status=NodeStatus.FENCED,
        fencer=None,
        is_due=False,
        withheld="",
        proof=proof,
        to_restore=power if is_reboot else (),
        restorer=proof.by if is_reboot and power else None,
        to_unfence=paths,
    )
    ledger.put_node(node_id, down)
    incidents.services_lost(ledger, node.victim, ledger.state.owned_by(node_id))
    incidents.noted(
        ledger,
        node.victim,
        by=proof.by,
        outcome=proof.kind.value,
        detail=proof.detail,
        ended_ms=ledger.state.now_ms,
        wall_s=wall_s,
    )
    is_doubtful = proof.kind in (ProofKind.NONE, ProofKind.HUMAN)
    ledger.note(
        "fence.succeeded",
        Severity.WARNING if is_doubtful else Severity.INFO,
        node=ledger.name(node_id),
        by=ledger.name(proof.by),
        proof=proof.kind.value,
        detail=proof.detail,
    )
    release(ledger, node_id, node.lost_epoch - 1)


def call_off(ledger: Ledger, node_id: NodeId) -> None:
    """The node is back before any attempt was made; whoever calls gives it its new record."""
    ledger.note("fence.called_off", node=ledger.name(node_id))
    number = ledger.state.nodes[node_id].victim
    incidents.noted(ledger, number, outcome=CALLED_OFF, ended_ms=ledger.state.now_ms)


def restored(ledger: Ledger, body: PowerRestored) -> None:
    """A fenced node was switched on again, or that was given up."""
    node = ledger.state.nodes.get(body.node)
    if node is None or node.victim != body.victim or not node.to_restore:
        return
    name, by = ledger.name(body.node), ledger.name(node.restorer)
    if node.is_cut_off and body.fault:
        ledger.note("fence.unfence_failed", Severity.ERROR, node=name, reason=body.fault)
        return
    restored_node = replace(node, to_restore=(), restorer=None, is_cut_off=False)
    if node.is_cut_off:  # only now it can be given anything, as if it had joined now
        is_early = why_nothing_starts(ledger.state) != ""  # it joins after what orders that
        joined = ledger.state.epoch + is_early
        ledger.put_node(body.node, replace(restored_node, joined_epoch=joined))
        ledger.note("fence.unfenced", node=name)
        offer_to_joiners(ledger, {}, among=(body.node,))
        return
    ledger.put_node(body.node, restored_node)
    if body.fault:
        ledger.note("fence.power_on_failed", Severity.WARNING, node=name, by=by, reason=body.fault)
    else:
        ledger.note("fence.power_restored", node=name, by=by)


def grace_expired(ledger: Ledger, body: GraceExpired) -> None:
    """A daemon did not come back: its services run unwatched, so its node is fenced."""
    node = ledger.state.nodes.get(body.node)
    if node and node.status is NodeStatus.DETACHED and node.incarnation == body.incarnation:
        open_case(ledger, body.node, node.lost_epoch, cause=AWAY, is_silent=True)


def join_delay_over(ledger: Ledger) -> None:
    """Nodes that nobody has seen since the cluster formed may run anything: fence them."""
    for node_id, node in sorted(ledger.state.nodes.items()):
        if node.status is NodeStatus.UNSEEN:
            cause = "not seen since the cluster formed"
            open_case(ledger, node_id, node.lost_epoch, cause=cause, is_silent=True)


def _is_case(node: Node, victim: int) -> bool:
    return node.status is NodeStatus.UNCLEAN and node.victim == victim


def _weigh(ledger: Ledger, node_id: NodeId, node: Node) -> Node:
    """Find out, once all losses of this event are known, how long the first attempt waits."""
    fencing = ledger.state.spec.fencing
    delay_ms = node.delay_ms + first_delay_ms(ledger.state, node_id)
    is_timed = bool(delay_ms) or (may_race(ledger.state) and fencing.delay_random_ms > 0)
    incidents.noted(ledger, node.victim, members=ledger.state.members())
    weighed = replace(node, is_weighed=True, delay_ms=delay_ms, is_due=not is_timed)
    ledger.put_node(node_id, weighed)
    return weighed


def _assign(ledger: Ledger, node_id: NodeId, node: Node) -> None:
    able = fencers(ledger.state, node_id)
    if not able or node.fencer in able:
        return
    if node.attempt == 0 and not node.is_ordered and (reason := _over_budget(ledger.state)):
        withhold(ledger, node_id, reason)
        return
    fencer = able[node.attempt % len(able)]
    attempt = node.attempt + 1
    ledger.put_node(node_id, replace(node, fencer=fencer, attempt=attempt))
    incidents.trial_begun(ledger, node.victim, fencer, attempt)
    ledger.note(
        "fence.requested",
        Severity.WARNING,
        node=ledger.name(node_id),
        by=ledger.name(fencer),
        attempt=attempt,
    )


def _over_budget(cluster: ClusterState) -> str:
    """Say why one more node must not be fenced without an operator; empty: it may be."""
    fencing = cluster.spec.fencing
    if not fencing.max_fences:
        return ""
    since_ms = cluster.now_ms - fencing.max_fences_ms
    counted = [case for case in cluster.cases if case.attempts and not case.is_ordered]
    begun = sum(1 for case in counted if case.begun_ms > since_ms)
    if begun < fencing.max_fences:
        return ""
    minutes = fencing.max_fences_ms / 60_000
    were = "1 node was" if begun == 1 else f"{begun} nodes were"
    return f"{were} fenced within {minutes:g} min, and max_fences allows no more"


def _parted(
    ledger: Ledger, steps: tuple[FenceStep, ...]
) -> tuple[tuple[FenceStep, ...], tuple[FenceStep, ...]]:
    """Part what switched power, which may be on again at once, from what cut paths."""
    devices = ledger.state.spec.fencing.devices
    paths = tuple(
        step
        for step in steps
        if (device := devices.get(step.device)) is not None and device.unfence_at_join
    )
    return tuple(step for step in steps if step not in paths), paths


def _assign_restorer(ledger: Ledger, node_id: NodeId, node: Node) -> None:
    """A node opens its own paths, for some agents must run on it; power needs another one."""
    able = (node_id,) if node.is_cut_off else fencers(ledger.state, node_id)
    if able and node.restorer not in able:
        ledger.put_node(node_id, replace(node, restorer=able[0]))


def _is_time_to_shout(attempt: int) -> bool:
    times, rest = divmod(attempt, SHOUT_FIRST)
    return rest == 0 and times & (times - 1) == 0


def _shout(ledger: Ledger, node_id: NodeId, attempt: int) -> None:
    name = ledger.name(node_id)
    waiting = ", ".join(ledger.state.owned_by(node_id))
    ledger.note(
        "fence.stuck",
        Severity.ERROR,
        node=name,
        attempts=attempt,
        services=waiting or None,
        hint=f"repair its fence device, or switch it off by hand and say 'rgmgr fence ack {name}'",
    )


def _no_proof(ledger: Ledger, node_id: NodeId) -> Proof:
    able = fencers(ledger.state, node_id)
    return Proof(
        kind=ProofKind.NONE,
        at_ms=ledger.state.now_ms,
        by=able[0] if able else node_id,
        detail="fencing.unsafe_disabled is set: nothing proves that the node is down",
    )
