# SPDX-License-Identifier: Apache-2.0
"""The right to start anything: a gate that only this member's own knowledge can close.

Agreement alone is not enough: a member that is cut off learns of it late, a paused one never.
So a member starts things only while its own tick came back a moment ago, which proves that its
ring turns; corosync delivers nothing, not even one's own messages, once the ring is broken.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import outbox
from rgmgr.core.actions import Multicast, Severity
from rgmgr.core.durable import is_agreed_safely
from rgmgr.core.local import Turn
from rgmgr.core.messages import Tick
from rgmgr.core.model import NodeStatus
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.sync import has_quorum

TICK_MS = 500
SLOW_MS = 100


def gate_is_open(turn: Turn) -> bool:
    """Tell whether this member may start services and fence nodes right now."""
    local = turn.local
    me = turn.cluster.nodes.get(local.me)
    return (
        local.is_installed
        and has_quorum(turn)
        and not local.emergency
        and not local.is_over
        and me is not None
        and me.status in (NodeStatus.ONLINE, NodeStatus.LEAVING)
        and local.tick_seen_ms is not None
        and turn.now_ms - local.tick_seen_ms <= LEASE_MS
        and is_agreed_safely(turn)
    )


def send_tick(turn: Turn) -> None:
    """Send the next tick unless one is still on its way."""
    if turn.local.view is None or turn.local.tick_sent_ms:
        return
    turn.update(tick_count=turn.local.tick_count + 1, tick_sent_ms=max(turn.now_ms, 1))
    tick = Tick(
        incarnation=turn.local.incarnation,
        count=turn.local.tick_count,
        epoch=turn.cluster.epoch if turn.local.is_installed else 0,
        applied=turn.cluster.applied,
        config_version=turn.local.own_spec.version,
        config_digest=turn.local.own_spec.digest,
    )
    turn.do(Multicast(tick))


def heard_tick(turn: Turn, sender: NodeId, tick: Tick) -> None:
    """A tick came: our own renews the lease, anybody's tells how far its sender is."""
    local = turn.local
    is_own = sender == local.me and tick.incarnation == local.incarnation
    if is_own and tick.count == local.tick_count and local.tick_sent_ms:
        turn.update(tick_seen_ms=local.tick_sent_ms, tick_sent_ms=0, minute=tick.minute)
        if turn.now_ms - local.tick_sent_ms > SLOW_MS:
            send_tick(turn)  # it was held up by a broken ring; how is the ring now?
    if not local.is_installed or tick.epoch != turn.cluster.epoch:
        return
    _note_lateness(turn, sender)
    if local.applied_by.get(sender) != tick.applied:
        turn.update(applied_by={**local.applied_by, sender: tick.applied})
        outbox.prune(turn)


def _note_lateness(turn: Turn, sender: NodeId) -> None:
    """Tell of a member that was silent for long, before corosync takes it for lost."""
    warn_ms = turn.cluster.spec.warntime_ms
    if not warn_ms:
        return
    known_ms = turn.local.heard_ms.get(sender)
    turn.update(heard_ms={**turn.local.heard_ms, sender: turn.now_ms})
    silent_ms = 0 if known_ms is None else turn.now_ms - known_ms
    if silent_ms > warn_ms:
        turn.note(
            "member.late",
            Severity.WARNING,
            node=turn.cluster.spec.node_name(sender),
            silent_ms=silent_ms,
        )
