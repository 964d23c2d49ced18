# SPDX-License-Identifier: Apache-2.0
"""How far ticks are apart is told from ticks, whatever held some of them up."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pytest

from domains.model import NodeId
from rgmgr.core.events import Delivered
from rgmgr.core.messages import Ack, Tick
from rgmgr.runtime.ticks import TICKS_MAX, Ticks, minute_of_day
from rgmgr.view import ConfigFile
from rgmgr.wire.codec import decode, encode

NODE = NodeId(2)
TICK = Tick(incarnation=1, count=1, epoch=1, applied=0)
FILE = ConfigFile(3, "digest")


@dataclass
class Clock:
    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


def heard(ticks: Ticks, stamp_ms: int) -> int | None:
    ticks.heard(Delivered(NODE, replace(TICK, wall_ms=stamp_ms)))
    return ticks.skews_ms().get(NODE)


def test_a_clock_that_is_ahead_and_one_that_is_behind() -> None:
    clock = Clock()

    assert heard(Ticks(clock), clock.now_ms + 5_000) == 5_000
    assert heard(Ticks(clock), clock.now_ms - 5_000) == -5_000


def test_ticks_that_were_held_up_do_not_count() -> None:
    """While a ring breaks they come seconds late, all at once."""
    clock = Clock()
    ticks = Ticks(clock)
    heard(ticks, clock.now_ms)

    assert heard(ticks, clock.now_ms - 3_000) == 0


def test_a_clock_that_was_set_is_believed_soon() -> None:
    clock = Clock()
    ticks = Ticks(clock)
    heard(ticks, clock.now_ms)

    skews = [heard(ticks, clock.now_ms - 60_000) for _ in range(TICKS_MAX)]

    assert skews[-1] == -60_000


def test_the_file_of_a_member_is_the_one_it_told_last() -> None:
    """A daemon reads another one with a reload, without a new epoch."""
    ticks = Ticks(Clock())
    first = replace(TICK, wall_ms=1, config_version=2, config_digest="old")

    ticks.heard(Delivered(NODE, first))
    ticks.heard(Delivered(NODE, replace(first, config_version=3, config_digest="digest")))

    assert ticks.files() == {NODE: FILE}


def test_an_old_version_tells_no_time_and_others_hear_nothing_of_ours() -> None:
    ticks = Ticks(Clock())

    ticks.heard(Delivered(NODE, TICK))
    ticks.heard(Delivered(NODE, Ack(epoch=1, applied=2)))

    assert (ticks.skews_ms(), ticks.files()) == ({}, {})


def test_only_ticks_are_stamped_and_the_stamp_survives_the_wire() -> None:
    clock = Clock()
    ticks = Ticks(clock)

    stamped = decode(encode(ticks.stamped(TICK)))

    assert stamped == replace(TICK, wall_ms=clock.now_ms, minute=minute_of_day(clock.now_ms))
    assert ticks.stamped(Ack(epoch=1, applied=2)) == Ack(epoch=1, applied=2)


def test_our_own_tick_tells_the_minute_of_the_day_in_the_time_zone_of_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()

    stamped = Ticks(Clock(1_700_000_000_000)).stamped(TICK)  # 22:13:20 in UTC

    assert isinstance(stamped, Tick)
    assert (stamped.wall_ms, stamped.minute) == (1_700_000_000_000, 13)
    monkeypatch.undo()
    time.tzset()
