# SPDX-License-Identifier: Apache-2.0
"""One life of a simulated rgmgrd, and what becomes of its timers besides running out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from rgmgr.core.clockwork import TICK
from rgmgr.core.events import Delivered, Event, Shutdown
from rgmgr.core.lease import EARLY_MS, is_cue
from rgmgr.core.local import State
from rgmgr.sim.engine import Alarm, Engine


@dataclass(slots=True, eq=False)
class Daemon:
    """One life of rgmgrd."""

    incarnation: int
    state: State
    started_ms: int
    timers: dict[str, Alarm] = field(default_factory=dict)
    inbox: deque[Event] = field(default_factory=deque)
    is_paused: bool = False
    is_over: bool = False
    has_probed: bool = False
    shutdown: Shutdown | None = None
    dies_within: int | None = None  # actions still carried out before it is killed
    due_ms: int = 0  # when it gets to its latest event, if it is slow


def put_off_timers(daemon: Daemon | None, by_ms: int, engine: Engine) -> None:
    """Move all timers: they count no time while the node stands still."""
    if daemon is not None:
        for key, alarm in daemon.timers.items():
            daemon.timers[key] = engine.put_off(alarm, by_ms)


def keep_step(daemon: Daemon, event: Event, engine: Engine) -> None:
    """Have our tick sent now, if it is due soon and this is another's: as the real daemon does."""
    alarm = daemon.timers.get(TICK)
    if alarm is None or alarm.due_ms - engine.now_ms > EARLY_MS:
        return
    if isinstance(event, Delivered) and is_cue(daemon.state, event):
        daemon.timers[TICK] = engine.put_off(alarm, engine.now_ms - alarm.due_ms)
