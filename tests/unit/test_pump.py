# SPDX-License-Identifier: Apache-2.0
"""The pump carries out what the core wants before it writes about it."""

from __future__ import annotations

import asyncio

from rgmgr.core.actions import Action, Record
from rgmgr.core.events import CorosyncLost
from rgmgr.core.machine import step
from rgmgr.runtime.pump import Pump, monotonic_ms
from tests.unit.core_cluster import N1, formed


def test_the_journal_comes_after_everything_else_of_an_event() -> None:
    """After a power cut it is a hundred lines, and the starts stood behind them."""
    state = formed().states[N1]
    event = CorosyncLost("it died")
    wanted = step(state, event, monotonic_ms()).actions
    done: list[Action] = []

    async def play() -> None:
        is_dry = asyncio.Event()
        pump = Pump(state, done.append, lambda _state: is_dry.set())
        pump.put(event)
        running = asyncio.create_task(pump.run())
        await is_dry.wait()
        running.cancel()

    asyncio.run(play())

    notes = [action for action in wanted if isinstance(action, Record)]
    others = [action for action in wanted if not isinstance(action, Record)]
    assert notes
    assert others
    assert done == [*others, *notes]
