# SPDX-License-Identifier: Apache-2.0
"""Which timers should run, as a function of the state: set and cancelled after every event.

A key names all that its timer is about, so one that fires late is about something past and is
recognised as such. For agreed matters the first online member keeps the time.
"""

from __future__ import annotations

from dataclasses import fields

from domains.model import NodeId
from rgmgr.core import awaiting, failback, health, retrying, stop_again
from rgmgr.core.actions import CancelTimer, SetTimer
from rgmgr.core.evolve import comparer
from rgmgr.core.fence_races import chance_delay_ms
from rgmgr.core.fencing import backoff_ms
from rgmgr.core.lease import TICK_MS
from rgmgr.core.local import LocalState, Turn
from rgmgr.core.messages import (
    AwaitOver,
    Body,
    FenceDue,
    GraceExpired,
    HealthSettled,
    JoinDelayOver,
    MaintenanceOrder,
    RetryDue,
    TermOver,
)
from rgmgr.core.model import ClusterState, Node, NodeStatus
from rgmgr.core.seating import online
from rgmgr.core.standing import why_nothing_starts
from rgmgr.core.survey import in_order, restless
from rgmgr.core.sync import has_quorum_of

_is_alike = comparer(f.name for f in fields(LocalState) if f.name != "acks")
"""Whose disk has what, only the gate asks, and what waits for disks."""
TICK = "tick"
QUORUM_WAIT_MS = 5_000
FIRST_TEST_MS = 5_000
"""The cluster settles first, and what starts is not slowed down."""
GOODBYE_WAIT_MS = 3_000
REJOIN_MS = 5_000
"""A node that counts as down and lives: long enough for a true switch-off to take effect."""


def wind(turn: Turn) -> bool:
    """Set the timers that are wanted and not running; cancel the others.

    False: they were not looked at, for nothing has changed since the event before.
    """
    if turn.fired_key is None and is_as_before(turn):
        return False
    able = online(turn.cluster)
    wanted = {} if turn.local.is_over else {**_own(turn, able), **_agreed(turn, able)}
    timers, fired_key = turn.local.timers, turn.fired_key
    if timers.keys() != wanted.keys():
        turn.update(timers=wanted)
    for key in timers:
        if key not in wanted and key != fired_key:
            turn.do(CancelTimer(key))
    for key, after_ms in wanted.items():
        if key not in timers or key == fired_key:
            turn.do(SetTimer(key, after_ms))
    return True


def tick_on(turn: Turn) -> None:
    """Set the timer of the ticks again if it is what fired, in a state that stays as it was."""
    if turn.fired_key is not None:
        turn.do(SetTimer(turn.fired_key, TICK_MS))


def is_as_before(turn: Turn) -> bool:
    """Tell at little cost that this event has changed nothing, but what ticks and disks tell."""
    now, before = turn.local, turn.before.local
    return turn.cluster is turn.before.cluster and (now is before or _is_alike(now, before))


def fired(turn: Turn, key: str) -> bool:
    """Note that a timer fired, for `wind`; False when it was not wanted any more."""
    if key not in turn.local.timers:
        return False
    turn.fired_key = key
    return True


def fence_due(turn: Turn, key: str) -> FenceDue | None:
    """Return what a `fence:` timer stands for; None when its case is closed."""
    for node_id, node in turn.cluster.nodes.items():
        if key == f"fence:{node_id}:{node.victim}:{node.attempt}":
            return FenceDue(node=node_id, victim=node.victim, attempt=node.attempt)
    return None


def grace_expired(turn: Turn, key: str) -> GraceExpired | None:
    """Return what a `grace:` timer stands for; None when the daemon is back."""
    for node_id, node in turn.cluster.nodes.items():
        if key == f"grace:{node_id}:{node.incarnation}":
            return GraceExpired(node_id, node.incarnation)
    return None


def term_over(turn: Turn, key: str) -> TermOver | None:
    """Return what a `term:` timer stands for; None when its order has ended otherwise."""
    return next((term for term in _terms(turn.cluster) if _term_key(term) == key), None)


def _own(turn: Turn, able: tuple[NodeId, ...]) -> dict[str, int]:
    local = turn.local
    wanted: dict[str, int] = {}
    if local.view is not None:
        wanted[TICK] = TICK_MS
        ring = f"{local.view.ring.node}.{local.view.ring.seq}"
        if has_quorum_of(local) and not (local.is_installed or local.is_sync_overdue):
            wanted[f"sync:{ring}"] = turn.cluster.spec.sync_timeout_ms
        if local.quorum_ring != local.view.ring and not local.is_overdue:
            wanted["quorum"] = QUORUM_WAIT_MS  # goes on while one ring follows another
    me = turn.cluster.nodes.get(local.me)
    if local.is_installed and me is not None and _is_miscounted(local, me):
        wanted[f"rejoin:{turn.cluster.epoch}"] = REJOIN_MS
    if turn.cluster.spec.pings:
        wanted |= health.timers(turn)
    wanted |= stop_again.timers(turn)
    if test_ms := _next_test_ms(turn, able):
        wanted["test"] = test_ms
    if local.emergency:
        wanted |= _of_shield(turn)
    if any(word.startswith("goodbye ") for word in local.said):
        wanted["goodbye"] = GOODBYE_WAIT_MS
    return wanted


def _of_shield(turn: Turn) -> dict[str, int]:
    """Return the end of what shields services in an emergency; once it is set it has to fire."""
    order = turn.cluster.disarmed
    if order is None:
        return {}
    key, left_ms = f"shield:{order.until_ms}", order.until_ms - turn.cluster_ms
    is_set = key in turn.local.timers and key != turn.fired_key
    return {key: max(0, left_ms)} if is_set or left_ms > 0 else {}


def _is_miscounted(local: LocalState, me: Node) -> bool:
    """Tell whether this node counts as down and lives, or as gone without having gone."""
    has_gone = me.status is NodeStatus.LEFT and me.incarnation == local.incarnation
    is_out = me.status in (NodeStatus.FENCED, NodeStatus.LEFT)
    is_cut_off = bool(me.to_unfence) and me.boot_id == local.boot_id  # only a boot helps
    return is_out and not has_gone and not is_cut_off


def _next_test_ms(turn: Turn, members: tuple[NodeId, ...]) -> int:
    """Return when to test the fence paths next; the members take turns. 0: not at all."""
    every_ms = turn.cluster.spec.fencing.test_interval_ms
    is_idle = turn.local.is_installed and turn.local.testing is None
    if not every_ms or not is_idle or turn.local.me not in members:
        return 0
    if turn.local.has_tested:
        return every_ms
    return FIRST_TEST_MS + every_ms * members.index(turn.local.me) // len(members)


def _agreed(turn: Turn, able: tuple[NodeId, ...]) -> dict[str, int]:
    if not turn.local.is_installed or not able or able[0] != turn.local.me:
        return {}
    wanted = {
        _term_key(term): max(0, term.until_ms - turn.cluster_ms)
        for term in _terms(turn.cluster)
        if not _is_told(turn, term)
    }
    wanted |= _for_services(turn) | _of_placement(turn)
    spec = turn.cluster.spec
    for node_id, node in turn.cluster.nodes.items():
        if node.status is NodeStatus.UNCLEAN and not node.is_due and node.fencer is None:
            by_chance_ms = chance_delay_ms(turn.cluster, node, turn.local.incarnation)
            first_ms = node.delay_ms + by_chance_ms
            after_ms = backoff_ms(node.attempt) if node.attempt else first_ms
            due = FenceDue(node=node_id, victim=node.victim, attempt=node.attempt)
            if not _is_told(turn, due):
                wanted[f"fence:{node_id}:{node.victim}:{node.attempt}"] = after_ms
        elif node.status is NodeStatus.DETACHED:
            if not _is_told(turn, GraceExpired(node_id, node.incarnation)):
                wanted[f"grace:{node_id}:{node.incarnation}"] = spec.rejoin_grace_ms
        elif node.status is NodeStatus.UNSEEN and not _is_told(
            turn, JoinDelayOver(turn.cluster.epoch)
        ):
            wanted["join"] = spec.fencing.post_join_delay_ms
    return wanted


def _of_placement(turn: Turn) -> dict[str, int]:
    """Return the timers of services that go back later, and of news of what nodes reach."""
    wanted = failback.timers(turn) if turn.cluster.failbacks else {}
    settled = HealthSettled(turn.cluster.health)
    if settled.number and not _is_told(turn, settled):
        wanted[f"health:{settled.number}"] = health.grace_ms(turn)
    return wanted


def _terms(cluster: ClusterState) -> list[TermOver]:
    """Return the ends of the standing orders that end by themselves."""
    terms = [
        TermOver(ends=MaintenanceOrder.UNSTANDBY, node=node, until_ms=order.until_ms)
        for node, order in cluster.standby.items()
        if order.until_ms and node in online(cluster) and not why_nothing_starts(cluster)
    ]
    if cluster.disarmed is not None:
        until_ms = cluster.disarmed.until_ms
        terms.append(TermOver(ends=MaintenanceOrder.ARM, node=None, until_ms=until_ms))
    return terms


def _term_key(term: TermOver) -> str:
    return f"term:{term.ends.value}:{term.node or 0}:{term.until_ms}"


def _for_services(turn: Turn) -> dict[str, int]:
    """Return the timers of services that wait, for their node or for the next try."""
    wanted: dict[str, int] = {}
    services = turn.cluster.services
    for name in in_order(restless(turn.cluster, turn.before.cluster), services):
        service = services[name]
        if service.awaits is None and not service.rounds:
            continue
        if (over := awaiting.over_of(service)) and not _is_told(turn, over):
            wanted[awaiting.key_of(service)] = max(1, over.until_ms - turn.cluster_ms)
        if (due := retrying.due_of(service)) and not _is_told(turn, due):
            due_ms = service.since_ms + retrying.pause_ms(service)
            wanted[retrying.key_of(service)] = max(1, due_ms - turn.cluster_ms)
    return wanted


def service_due(turn: Turn, key: str) -> AwaitOver | RetryDue | None:
    """Return what an `await:` or `retry:` timer stands for; None when nothing waits for it."""
    for service in turn.cluster.services.values():
        if key == awaiting.key_of(service):
            return awaiting.over_of(service)
        if key == retrying.key_of(service):
            return retrying.due_of(service)
    return None


def _is_told(turn: Turn, body: Body) -> bool:
    """Tell whether it was sent and may still come: a ring that breaks holds it up for seconds."""
    return any(sent.operation.body == body for sent in turn.local.sent)
