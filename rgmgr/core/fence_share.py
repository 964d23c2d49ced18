# SPDX-License-Identifier: Apache-2.0
"""This member's own share of fencing: its attempts, what it switches on again, its tests.

Driven by levels: what the agreed state wants of this member and is not yet under way, is begun.
What comes of it is told to everybody, and only that message changes the agreed state.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import outbox
from rgmgr.core.actions import EndFence, FenceNode, PathTarget, SwitchOn, TestPaths
from rgmgr.core.events import FenceEnded, SwitchOnEnded, TestEnded
from rgmgr.core.fence_paths import trusted_methods
from rgmgr.core.fence_races import lease_of, may_race
from rgmgr.core.local import Turn
from rgmgr.core.messages import FenceFailed, NodeFenced, PathsTested, PowerRestored
from rgmgr.core.model import NodeStatus, Proof
from rgmgr.core.promise import wait_ms
from rgmgr.core.seating import online


def act(turn: Turn) -> None:
    """End what is over and begin what is ours; called only while the gate is open."""
    _end_closed(turn)
    for node_id, node in sorted(turn.cluster.nodes.items()):
        is_victim = node.status is NodeStatus.UNCLEAN and node.fencer == turn.local.me
        attempt = (node.victim, node.attempt)
        if is_victim and turn.local.fencing.get(node_id) != attempt:
            turn.update(
                fencing={**turn.local.fencing, node_id: attempt},
                answered=turn.local.answered - {node_id},
            )
            turn.do(_fence(turn, node_id, *attempt))
        is_to_restore = bool(node.to_restore) and node.restorer == turn.local.me
        if is_to_restore and turn.local.restoring.get(node_id) != node.victim:
            turn.update(
                restoring={**turn.local.restoring, node_id: node.victim},
                answered=turn.local.answered - {node_id},
            )
            turn.do(_switch_on(turn, node_id))
    if turn.cluster.test > turn.local.tested and turn.local.testing is None:
        begin_test(turn)


def _end_closed(turn: Turn) -> None:
    """End attempts whose case is closed: by a human's word, say, who may boot the node at once."""
    nodes = turn.cluster.nodes
    for node_id, (victim, _) in sorted(turn.local.fencing.items()):
        node = nodes.get(node_id)
        if node is None or node.status is not NodeStatus.UNCLEAN or node.victim != victim:
            others = {n: attempt for n, attempt in turn.local.fencing.items() if n != node_id}
            turn.update(fencing=others)
            turn.do(EndFence(node=node_id))


def begin_test(turn: Turn) -> None:
    """Try the fence paths to all other nodes, for the schedule or for an operator."""
    if turn.local.testing is not None or turn.local.me not in online(turn.cluster):
        return
    spec = turn.cluster.spec
    targets = tuple(
        PathTarget(
            node=node_id,
            node_name=node.name,
            is_member=turn.cluster.nodes[node_id].status is NodeStatus.ONLINE,
            methods=node.fence,
            watchdog_wait_ms=wait_ms(turn.cluster, node_id),
        )
        for node_id, node in sorted(spec.nodes.items())
        if node_id != turn.local.me and node_id in turn.cluster.nodes
    )
    turn.update(testing=turn.cluster.test, has_tested=True)
    timeout_ms = spec.fencing.timeout_ms
    turn.do(TestPaths(targets=targets, devices=spec.fencing.devices, timeout_ms=timeout_ms))


def forget_answered(turn: Turn) -> None:
    """Be ready to do again what the state of a new epoch wants, though we did it in a lost branch.

    Called after the outbox has sent again what was never agreed: that answer is still to come.
    """
    bodies = (sent.operation.body for sent in turn.local.sent)
    coming = {b.node for b in bodies if isinstance(b, FenceFailed | NodeFenced | PowerRestored)}
    over = turn.local.answered - coming
    if over:
        turn.update(
            fencing={n: attempt for n, attempt in turn.local.fencing.items() if n not in over},
            restoring={n: victim for n, victim in turn.local.restoring.items() if n not in over},
            answered=turn.local.answered & coming,
        )


def fence_ended(turn: Turn, event: FenceEnded) -> None:
    """Our attempt is over: everybody must know."""
    if turn.local.fencing.get(event.node) == (event.victim, event.attempt):
        turn.update(answered=turn.local.answered | {event.node})
    if not event.is_confirmed:
        failed = FenceFailed(
            node=event.node, victim=event.victim, attempt=event.attempt, reason=event.detail
        )
        outbox.send(turn, failed)
        return
    proof = Proof(kind=event.kind, at_ms=turn.cluster_ms, by=turn.local.me, detail=event.detail)
    confirmed = NodeFenced(
        node=event.node,
        victim=event.victim,
        proof=proof,
        switched_off=event.switched_off,
        wall_s=event.wall_s,
    )
    outbox.send(turn, confirmed)


def switch_on_ended(turn: Turn, event: SwitchOnEnded) -> None:
    """Whether it is on again or not, we are done; our own paths we try to open again."""
    if event.fault and event.node == turn.local.me:
        restoring = {n: victim for n, victim in turn.local.restoring.items() if n != event.node}
        turn.update(restoring=restoring)
    turn.update(answered=turn.local.answered | {event.node})
    outbox.send(turn, PowerRestored(node=event.node, victim=event.victim, fault=event.fault))


def test_ended(turn: Turn, event: TestEnded) -> None:
    """Tell all what we found; in another epoch nobody waits for it any more."""
    number = turn.local.testing or 0
    turn.update(testing=None, tested=number)
    if turn.local.is_installed:
        outbox.send(turn, PathsTested(number=number, paths=event.paths))


def _fence(turn: Turn, node: NodeId, victim: int, attempt: int) -> FenceNode:
    spec = turn.cluster.spec
    return FenceNode(
        node=node,
        node_name=spec.node_name(node),
        victim=victim,
        attempt=attempt,
        methods=trusted_methods(turn.cluster, node),
        devices=spec.fencing.devices,
        timeout_ms=spec.fencing.timeout_ms,
        tie_breaker=_tie_breaker(turn),
        lease=lease_of(turn.cluster),
        watchdog_wait_ms=wait_ms(turn.cluster, node),
    )


def _tie_breaker(turn: Turn) -> tuple[str, ...]:
    """Return the addresses of which one must answer before we fence; empty: no race is possible."""
    if not may_race(turn.cluster):
        return ()
    return tuple(text.removeprefix("ping:") for text in turn.cluster.spec.fencing.tie_breaker)


def _switch_on(turn: Turn, node: NodeId) -> SwitchOn:
    spec = turn.cluster.spec
    record = turn.cluster.nodes[node]
    return SwitchOn(
        node=node,
        node_name=spec.node_name(node),
        victim=record.victim,
        steps=record.to_restore,
        devices=spec.fencing.devices,
        timeout_ms=spec.fencing.timeout_ms,
    )
