# SPDX-License-Identifier: Apache-2.0
"""Self-fencing: a watchdog resets a node that holds something and is no proven member any more.

It is armed before anything starts here and disarmed once nothing is held. It is fed only when this
member's own tick comes back in an epoch that it takes part in. Messages are in total order, so
when the tick was sent nobody had begun an epoch without this member, nor opened its case.

So the others may count: the last tick that came back was sent before they opened the case. It was
good for `LEASE_MS`; a process that stood still between the look at the clock and the feeding fed
once more, at most one timeout later, or it was reset; one timeout after that the node is reset.

Source: ADR 20; sbd(8), stonith-watchdog-timeout of Pacemaker.
"""

from __future__ import annotations

from rgmgr.core.actions import ArmWatchdog, DisarmWatchdog, FeedWatchdog
from rgmgr.core.executor import holds_anything
from rgmgr.core.local import Turn
from rgmgr.core.membership import TAKING_PART
from rgmgr.core.promise import is_fresh
from rgmgr.core.sync import has_quorum, rejoin


def is_on_guard(turn: Turn) -> bool:
    """Tell whether something may start here: the watchdog is armed, or none was promised."""
    return not turn.local.watchdog_ms or turn.local.is_armed


def is_proven(turn: Turn) -> bool:
    """Tell whether this member's own tick proved a moment ago that it takes part."""
    local, seen_ms = turn.local, turn.pulse.seen_ms
    me = turn.cluster.nodes.get(local.me)
    return (
        local.is_installed
        and has_quorum(turn)
        and not local.emergency
        and me is not None
        and me.status in TAKING_PART
        and seen_ms is not None
        and is_fresh(seen_ms, turn.now_ms)
    )


def feed(turn: Turn) -> None:
    """Keep the node from being reset, if it may live on."""
    proven_ms = turn.pulse.seen_ms
    if turn.local.is_armed and proven_ms is not None and is_proven(turn):
        turn.do(FeedWatchdog(proven_ms))


def armed(turn: Turn) -> None:
    """The watchdog runs: what waited for it may start, and all may know."""
    local = turn.local
    turn.update(is_arming=False, is_armed=True)
    me = turn.cluster.nodes.get(local.me)
    if local.is_installed and me is not None and me.watchdog_ms != local.watchdog_ms:
        rejoin(turn, "its watchdog is armed only now")


def settle(turn: Turn) -> None:
    """Arm before the first start, disarm after the last stop."""
    local = turn.local
    if not local.watchdog_ms or local.is_arming:
        return
    is_needed = holds_anything(turn)
    if is_needed and not local.is_armed:
        turn.update(is_arming=True)
        turn.do(ArmWatchdog())
    elif local.is_armed and local.is_probed and not is_needed:
        # safety: nothing is held, and whatever starts next arms it again and looks at the gate
        turn.update(is_armed=False)
        turn.do(DisarmWatchdog())
