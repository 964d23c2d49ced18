# SPDX-License-Identifier: Apache-2.0
"""The core's timers on the event loop: named, movable, one event each.

Decides nothing. One loop, no threads; uses the loop's monotonic clock, so that a change of the
wall clock moves no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rgmgr.core.events import TimerFired


class Timers:
    """Keeps the timers that are set, and emits `TimerFired` for each that expires.

    Args:
        emit: takes the events; called from the loop or by `hasten`, never from within `set`.
    """

    def __init__(self, emit: Callable[[TimerFired], None]) -> None:
        self._emit = emit
        self._handle_by_key: dict[str, asyncio.TimerHandle] = {}

    def set(self, key: str, after_ms: int) -> None:
        """Set a timer, or move it when it is set already. 0 or less: in the next turn."""
        self.cancel(key)
        loop = asyncio.get_running_loop()
        self._handle_by_key[key] = loop.call_later(max(after_ms, 0) / 1000, self._fire, key)

    def cancel(self, key: str) -> None:
        """Forget a timer; it does not fire any more, even when it is due in this turn."""
        handle = self._handle_by_key.pop(key, None)
        if handle is not None:
            handle.cancel()

    def hasten(self, key: str, within_ms: int) -> None:
        """Have a timer expire now, in this very call, if it would within this time."""
        handle = self._handle_by_key.get(key)
        loop = asyncio.get_running_loop()
        if handle is not None and handle.when() - loop.time() <= within_ms / 1000:
            handle.cancel()
            self._fire(key)

    def close(self) -> None:
        """Forget all timers."""
        for key in tuple(self._handle_by_key):
            self.cancel(key)

    def _fire(self, key: str) -> None:
        del self._handle_by_key[key]
        self._emit(TimerFired(key))
