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
        self._loop: asyncio.AbstractEventLoop | None = None  # while it runs
        self._failed: asyncio.Future[None] | None = None
        self._is_called = False
        self._is_draining = False

    def put(self, event: Event) -> None:
        """Add an event; raises InboxOverflowError when the core has stopped keeping up."""
        self.add(event)
        self._call()

    def add(self, event: Event) -> None:
        """Add an event, for `drain` to handle; raises as `put` does."""
        if len(self._inbox) >= INBOX_MAX:
            raise InboxOverflowError(f"{len(self._inbox)} events wait; the last is {event!r:.200}")
        self._inbox.append(event)

    async def run(self) -> None:
        """Handle events until cancelled. An exception ends the daemon."""
        self._loop = asyncio.get_running_loop()
        self._failed = self._loop.create_future()
        self._call()
        try:
            await self._failed
        finally:
            self._loop = None

    def drain(self) -> None:
        """Handle what was added, at once: for callbacks of the loop that are done with their work.

        What an exception ends is `run`. The rest of very much is left to another turn of the loop.
        """
        if self._loop is None or self._failed is None or self._failed.done() or not self._inbox:
            return
        if self._is_draining:
            return  # never a step within a step; whoever drains sees what was added
        self._is_draining = True
        try:
            for _ in range(min(EVENTS_PER_TURN, len(self._inbox))):
                self._turn(self._inbox.popleft())
            if not self._inbox:
                self._after(self.state)
        except BaseException as error:  # noqa: BLE001 - raised by `run`
            self._failed.set_exception(error)
            return
        finally:
            self._is_draining = False
        if self._inbox:
            self._call()

    def _call(self) -> None:
        """Have the loop call us: a task that waits for events would be woken up twice for each."""
        if self._loop is not None and not self._is_called:
            self._is_called = True
            self._loop.call_soon(self._called)

    def _called(self) -> None:
        self._is_called = False
        self.drain()

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
