# SPDX-License-Identifier: Apache-2.0
"""The pump: one inbox, one event at a time, one dispatcher.

Adapters put events in; the core turns each into actions; the dispatcher carries them out in
order. Nothing else in the daemon holds state of the cluster.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from rgmgr.core.actions import Action, Record
from rgmgr.core.events import Event
from rgmgr.core.local import State
from rgmgr.core.machine import step

INBOX_MAX = 100_000
"""More waiting events than any cluster makes: past it the daemon is stuck and must end."""
EVENTS_PER_TURN = 64
"""Then the loop gets a chance to read its descriptors."""


class InboxOverflowError(Exception):
    """Events came faster than they could be handled, for too long."""


def monotonic_ms() -> int:
    """Return this node's monotonic clock, which goes on while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class Pump:
    """Drives the core.

    `dispatch` carries out one action and must not block; in their order, but the journal's lines
    after all others of the same event. `after` is called when the inbox has run dry, with the state
    of that moment.
    """

    def __init__(
        self, state: State, dispatch: Callable[[Action], None], after: Callable[[State], None]
    ) -> None:
        self.state = state
        self._dispatch = dispatch
        self._after = after
        self._inbox: deque[Event] = deque()
        self._is_filled = asyncio.Event()

    def put(self, event: Event) -> None:
        """Add an event; raises InboxOverflowError when the core has stopped keeping up."""
        if len(self._inbox) >= INBOX_MAX:
            raise InboxOverflowError(f"{len(self._inbox)} events wait; the last is {event!r:.200}")
        self._inbox.append(event)
        self._is_filled.set()

    async def run(self) -> None:
        """Handle events until cancelled. An exception ends the daemon."""
        while True:
            await self._is_filled.wait()
            for _ in range(min(EVENTS_PER_TURN, len(self._inbox))):
                self._turn(self._inbox.popleft())
            if not self._inbox:
                self._is_filled.clear()
                self._after(self.state)
            await asyncio.sleep(0)

    def _turn(self, event: Event) -> None:
        outcome = step(self.state, event, monotonic_ms())
        self.state = outcome.state
        notes = []
        for action in outcome.actions:
            if isinstance(action, Record):
                notes.append(action)  # a hundred lines of the journal must not hold up one start
            else:
                self._dispatch(action)
        for note in notes:
            self._dispatch(note)
