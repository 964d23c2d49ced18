# SPDX-License-Identifier: Apache-2.0
"""Timers fire once, in their order, and never after they were forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rgmgr.adapters.timers import Timers
from rgmgr.core.events import TimerFired


def fired_by(use: Callable[[Timers], None], *, until: str) -> list[str]:
    """Return the keys that fired until this one did."""

    async def run() -> list[str]:
        fired: list[str] = []
        last = asyncio.Event()

        def emit(event: TimerFired) -> None:
            fired.append(event.key)
            if event.key == until:
                last.set()

        timers = Timers(emit)
        use(timers)
        async with asyncio.timeout(5):
            await last.wait()
        timers.close()
        return fired

    return asyncio.run(run())


def test_timers_fire_in_the_order_of_their_times() -> None:
    def use(timers: Timers) -> None:
        timers.set("last", 30)
        timers.set("first", 1)
        timers.set("second", 15)

    assert fired_by(use, until="last") == ["first", "second", "last"]


def test_a_timer_that_is_set_again_is_moved() -> None:
    def use(timers: Timers) -> None:
        timers.set("moved", 1)
        timers.set("moved", 40)
        timers.set("other", 10)

    assert fired_by(use, until="moved") == ["other", "moved"]


def test_a_cancelled_timer_does_not_fire_and_an_unknown_one_is_fine() -> None:
    def use(timers: Timers) -> None:
        timers.set("gone", 0)
        timers.cancel("gone")
        timers.cancel("never set")
        timers.set("last", 20)

    assert fired_by(use, until="last") == ["last"]


def test_closing_forgets_all() -> None:
    def use(timers: Timers) -> None:
        timers.set("gone", 0)
        timers.close()
        timers.set("last", -5)

    assert fired_by(use, until="last") == ["last"]


def test_a_timer_is_never_fired_from_within_set_and_may_set_itself_again() -> None:
    async def run() -> list[str]:
        fired: list[str] = []
        done = asyncio.Event()

        def emit(event: TimerFired) -> None:
            fired.append(event.key)
            done.set() if len(fired) == 3 else timers.set(event.key, 0)

        timers = Timers(emit)
        timers.set("again", 0)
        assert fired == []
        async with asyncio.timeout(5):
            await done.wait()
        return fired

    assert asyncio.run(run()) == ["again"] * 3


def test_a_timer_is_hastened_only_when_it_would_expire_so_soon_anyway() -> None:
    """At once, once, and it can be set again."""

    async def run() -> tuple[list[str], list[str]]:
        fired: list[str] = []
        is_again = asyncio.Event()

        def emit(event: TimerFired) -> None:
            fired.append(event.key)
            if len(fired) == 2:
                is_again.set()

        timers = Timers(emit)
        timers.set("soon", 40)
        timers.set("late", 60_000)
        for key in ("soon", "soon", "late", "never set"):
            timers.hasten(key, 50)
        at_once = [*fired]
        timers.set("soon", 20)
        async with asyncio.timeout(5):
            await is_again.wait()
        timers.close()
        return at_once, fired

    assert asyncio.run(run()) == (["soon"], ["soon", "soon"])
