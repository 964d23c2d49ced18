# SPDX-License-Identifier: Apache-2.0
"""Members keep step: the ticks of all come together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from rgmgr.adapters.corosync import GroupMember, MessageReceived
from rgmgr.core.actions import Action, Multicast, SetTimer
from rgmgr.core.clockwork import TICK
from rgmgr.core.events import Delivered
from rgmgr.core.lease import EARLY_MS, TICK_MS, is_cue
from rgmgr.core.local import State
from rgmgr.core.messages import Ack, Message, Tick
from rgmgr.runtime.hearing import Hearing
from rgmgr.runtime.pump import Pump
from rgmgr.wire.codec import encode
from tests.unit.core_cluster import N1, N2, formed


def idle() -> State:
    """Return what node1 knows when its own tick is back."""
    cluster = formed()
    cluster.run(4 * TICK_MS)
    state = cluster.states[N1]
    assert state.pulse.sent_ms == 0
    return state


def ticks_after(message: Message, due_ms: int, *, sender: int = N2) -> int:
    """Return how many ticks are sent at once when this comes, with our own due in this time."""
    sent: list[Message] = []

    async def play() -> None:
        is_dry = asyncio.Event()
        hearing = Hearing()

        def dispatch(action: Action) -> None:
            match action:
                case Multicast(message=sending):
                    sent.append(sending)
                case SetTimer(key=key, after_ms=after_ms):
                    hearing.timers.set(key, after_ms)
                case _:
                    pass

        pump = Pump(idle(), dispatch, lambda _state: is_dry.set())
        hearing.begin(pump)
        running = asyncio.create_task(pump.run())
        await asyncio.sleep(0)
        hearing.timers.set(TICK, due_ms)
        hearing.take(MessageReceived(GroupMember(sender, 77), encode(message)))
        hearing.drain()
        running.cancel()
        hearing.timers.close()

    asyncio.run(play())
    return len(sent)


def another() -> Tick:
    """Return a tick of node2."""
    state = idle()
    epoch, applied = state.cluster.epoch, state.cluster.applied
    node = state.cluster.nodes[N2]
    return Tick(incarnation=node.incarnation, count=9, epoch=epoch, applied=applied, wall_ms=1)


def test_a_tick_that_is_due_soon_goes_with_another_ones() -> None:
    assert ticks_after(another(), EARLY_MS) == 1


def test_a_tick_that_went_a_moment_ago_is_not_repeated() -> None:
    """Else two members would drive each other on."""
    assert ticks_after(another(), EARLY_MS + 50) == 0


def test_our_own_tick_and_what_is_none_are_no_cue() -> None:
    own = replace(another(), incarnation=idle().local.incarnation, count=idle().pulse.count)

    assert ticks_after(own, EARLY_MS, sender=N1) == 0
    assert ticks_after(Ack(epoch=1, applied=1), EARLY_MS) == 0


def test_a_tick_that_is_under_way_keeps_its_timer() -> None:
    """In a ring that is slow: to begin the timer anew would have the next one come later."""
    state = idle()
    waiting = replace(state, pulse=replace(state.pulse, sent_ms=1))
    heard = Delivered(N2, another())

    assert is_cue(state, heard)
    assert not is_cue(waiting, heard)
