# SPDX-License-Identifier: Apache-2.0
"""The right to start anything: a gate that only this member's own knowledge can close.

Agreement alone is not enough: a member that is cut off learns of it late, a paused one never.
So a member starts things only while its own tick came back a moment ago, which proves that its
ring turns; corosync delivers nothing, not even one's own messages, once the ring is broken.
"""

from __future__ import annotations

from typing import Final

from domains.model import NodeId
from rgmgr.core import outbox
from rgmgr.core.actions import Multicast, Severity
from rgmgr.core.durable import is_agreed_safely
from rgmgr.core.events import Delivered
from rgmgr.core.evolve import replace
from rgmgr.core.local import State, Turn
from rgmgr.core.messages import Tick
from rgmgr.core.model import NodeStatus
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.sync import has_quorum

TICK_MS = 1_000
_TICK: Final = Tick(incarnation=0, count=0, epoch=0, applied=0)
SLOW_MS = 100
EARLY_MS = TICK_MS // 2
"""So much earlier than it is due a tick is sent when another's comes: see `is_cue`."""


def gate_is_open(turn: Turn) -> bool:
    """Tell whether this member may start services and fence nodes right now."""
    local, seen_ms = turn.local, turn.pulse.seen_ms
    me = turn.cluster.nodes.get(local.me)
    return (
        local.is_installed
        and has_quorum(turn)
        and not local.emergency
        and not local.is_over
        and me is not None
        and me.status in (NodeStatus.ONLINE, NodeStatus.LEAVING)
        and seen_ms is not None
        and turn.now_ms - seen_ms <= LEASE_MS
        and is_agreed_safely(turn)
    )


def send_tick(turn: Turn) -> None:
    """Send the next tick unless one is still on its way."""
    if turn.local.view is None or turn.pulse.sent_ms:
        return
    turn.beat(count=turn.pulse.count + 1, sent_ms=max(turn.now_ms, 1))
    tick = replace(  # a copy takes a fourth of the time of a new one
        _TICK,
        incarnation=turn.local.incarnation,
        count=turn.pulse.count,
        epoch=turn.cluster.epoch if turn.local.is_installed else 0,
        applied=turn.cluster.applied,
        config_version=turn.local.own_spec.version,
        config_digest=turn.local.own_spec.digest,
    )
    turn.do(Multicast(tick))


def is_cue(state: State, event: Delivered) -> bool:
    """Tell whether a tick that is due within `EARLY_MS` is better sent now: another's has come.

    Members then keep step, and what all of them send wakes each of them up once. A tick is never
    later for that: none goes while another one is under way, for its timer would begin anew.
    """
    is_of_another = event.sender != state.local.me and isinstance(event.message, Tick)
    return is_of_another and not state.pulse.sent_ms


def heard_tick(turn: Turn, sender: NodeId, tick: Tick) -> None:
    """A tick came: our own renews the lease, anybody's tells how far its sender is."""
    local, pulse = turn.local, turn.pulse
    is_own = sender == local.me and tick.incarnation == local.incarnation
    is_back = is_own and tick.count == pulse.count and pulse.sent_ms > 0
    counts = local.is_installed and tick.epoch == turn.cluster.epoch
    news: dict[str, object] = {}
    if is_back:
        news = {"seen_ms": pulse.sent_ms, "sent_ms": 0, "minute": tick.minute}
    if counts and turn.cluster.spec.warntime_ms:
        news["heard_ms"] = {**pulse.heard_ms, sender: turn.now_ms}
    is_further = counts and pulse.applied_by.get(sender) != tick.applied
    if is_further:
        news["applied_by"] = {**pulse.applied_by, sender: tick.applied}
    if news:
        turn.beat(**news)
    if is_back and turn.now_ms - pulse.sent_ms > SLOW_MS:
        send_tick(turn)  # it was held up by a broken ring; how is the ring now?
    if counts:
        _note_lateness(turn, sender, pulse.heard_ms.get(sender))
    if is_further:
        outbox.prune(turn)


def _note_lateness(turn: Turn, sender: NodeId, known_ms: int | None) -> None:
    """Tell of a member that was silent for long, before corosync takes it for lost."""
    warn_ms = turn.cluster.spec.warntime_ms
    silent_ms = 0 if known_ms is None else turn.now_ms - known_ms
    if warn_ms and silent_ms > warn_ms:
        turn.note(
            "member.late",
            Severity.WARNING,
            node=turn.cluster.spec.node_name(sender),
            silent_ms=silent_ms,
        )
