# SPDX-License-Identifier: Apache-2.0
"""The pump carries out what the core wants before it writes about it."""

from __future__ import annotations

import asyncio

from rgmgr.core.actions import Action, Record
from rgmgr.core.events import CorosyncLost, ViewChanged
from rgmgr.core.machine import step
from rgmgr.core.model import RingId
from rgmgr.runtime.pump import Pump, monotonic_ms
from tests.unit.core_cluster import N1, formed

VIEW = ViewChanged(ring=RingId(N1, 900), ring_nodes=(N1,), members=(N1,), left=(), joined=())


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


async def settled(pump: Pump, is_dry: asyncio.Event) -> asyncio.Task[None]:
    """Return the pump's task when it has begun, and has handled what waited for it."""
    running = asyncio.create_task(pump.run())
    await is_dry.wait()
    return running


def test_what_is_added_is_handled_by_drain_and_not_before() -> None:
    """In the very call: no further turn of the loop is needed."""
    done: list[Action] = []

    async def play() -> list[int]:
        is_dry = asyncio.Event()
        pump = Pump(formed().states[N1], done.append, lambda _state: is_dry.set())
        pump.put(CorosyncLost("it died"))
        running = await settled(pump, is_dry)
        counts = [len(done)]
        pump.add(VIEW)
        counts.append(len(done))
        pump.drain()
        counts.append(len(done))
        running.cancel()
        return counts

    before, added, drained = asyncio.run(play())

    assert before == added < drained


def test_there_is_never_a_step_within_a_step() -> None:
    """What an action brings about is handled when the present event has been."""
    done: list[str] = []

    async def play() -> None:
        is_dry = asyncio.Event()

        def dispatch(action: Action) -> None:
            if not done:
                pump.add(CorosyncLost("again"))
                pump.drain()
            done.append(type(action).__name__)

        pump = Pump(formed().states[N1], dispatch, lambda _state: is_dry.set())
        pump.put(CorosyncLost("it died"))
        (await settled(pump, is_dry)).cancel()

    asyncio.run(play())
    once = step(formed().states[N1], CorosyncLost("it died"), monotonic_ms())

    kinds = [type(action).__name__ for action in once.actions]
    assert sorted(done[: len(kinds)]) == sorted(kinds)
