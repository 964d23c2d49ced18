# SPDX-License-Identifier: Apache-2.0
"""Ending the daemon: give the services away, say goodbye, go; or leave everything as it is.

A goodbye is a promise that nothing runs here, so a node that cannot keep it goes without and is
fenced by the others.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import outbox
from rgmgr.core.actions import Exit, Severity
from rgmgr.core.durable import is_committed
from rgmgr.core.events import Shutdown
from rgmgr.core.executor import drive, holds_anything
from rgmgr.core.local import Turn
from rgmgr.core.messages import Body, Goodbye, Leaving
from rgmgr.core.model import NodeStatus, Service, ServiceState
from rgmgr.core.sync import declare_emergency, has_quorum


def begin(turn: Turn, kind: Shutdown) -> None:
    """SIGTERM came; what follows is up to `proceed`."""
    if turn.local.shutdown is not None:
        return
    turn.update(shutdown=kind)
    turn.note("shutdown.begun", kind=kind.value)
    if kind is Shutdown.RESTART:
        _exit(turn, 0, "restarting; the services stay as they are")


def proceed(turn: Turn, *, is_late: bool = False) -> None:
    """Take the next step of leaving, if we are. `is_late`: nobody confirmed our goodbye."""
    local = turn.local
    if local.shutdown is not Shutdown.STOP or local.is_over:
        return
    me = turn.cluster.nodes.get(local.me)
    status = me.status if me else None
    if status is NodeStatus.LEFT and local.is_live:
        is_ours = local.acks.get(local.me, -1) >= local.saved_at
        if is_late or (is_ours and is_committed(turn, local.saved_at)):
            _exit(turn, 0, "said goodbye")
    elif local.is_installed and status is NodeStatus.ONLINE:
        _say_once(turn, "leaving", Leaving())
    elif local.is_installed and status is NodeStatus.LEAVING:
        _part(turn)
    elif not local.is_installed and local.view is not None and _may_yet_sync(turn):
        pass
    else:
        _go_without_goodbye(turn)


def _may_yet_sync(turn: Turn) -> bool:
    """Between two epochs with quorum: the next one comes in a moment."""
    waits_for_verdict = (
        turn.local.view is not None
        and turn.local.quorum_ring != turn.local.view.ring
        and not turn.local.is_overdue
    )
    return has_quorum(turn) or waits_for_verdict


def _part(turn: Turn) -> None:
    me = turn.local.me
    services = turn.cluster.services
    is_owed = any(s.owner == me or me in s.cleanup or _lands_here(s, me) for s in services.values())
    if is_owed or turn.local.jobs:
        return
    stuck = [n for n, s in services.items() if s.landing == me]
    if stuck or holds_anything(turn):
        names = ", ".join(sorted({*stuck, *(n for n, a in turn.local.active.items() if a)}))
        turn.note("goodbye.impossible", Severity.ERROR, services=names)
        _exit(turn, 1, f"left-overs of {names}: going without goodbye, to be fenced")
        return
    _say_once(turn, "goodbye", Goodbye())


def _lands_here(service: Service, me: NodeId) -> bool:
    """Tell whether a migration to this node goes on, and will end."""
    return service.landing == me and service.state is not ServiceState.FAILED


def _go_without_goodbye(turn: Turn) -> None:
    if not turn.local.emergency:
        declare_emergency(turn, "the daemon ends while this node is not in a quorate epoch")
    drive(turn, may_start=False)  # the stops must have begun before there are none left
    is_stopping = bool(turn.local.jobs)
    if not is_stopping:
        _exit(turn, 0, "without quorum: nobody to say goodbye to")


def _say_once(turn: Turn, word: str, body: Body) -> None:
    word = f"{word} {turn.cluster.epoch}"  # an epoch may forget it: say it in the next as well
    if word not in turn.local.said:
        turn.update(said=(*turn.local.said, word))
        outbox.send(turn, body)


def _exit(turn: Turn, status: int, reason: str) -> None:
    turn.update(is_over=True)
    turn.do(Exit(status, reason))
