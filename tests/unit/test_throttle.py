# SPDX-License-Identifier: Apache-2.0
"""How much one caller may ask for."""

from __future__ import annotations

from rgmgr.adapters.throttle import CALLERS_MAX, Throttle


def test_a_caller_has_so_many_calls_a_second_and_gets_them_back() -> None:
    now_s = [0.0]
    throttle = Throttle(lambda: now_s[0], per_second=3)

    at_once = [throttle.is_too_much("a") for _ in range(5)]
    other = throttle.is_too_much("b")
    now_s[0] = 0.4
    later = [throttle.is_too_much("a") for _ in range(2)]
    now_s[0] = 100.0
    much_later = [throttle.is_too_much("a") for _ in range(4)]

    assert at_once == [False, False, False, True, True]
    assert other is False
    assert later == [False, True]
    assert much_later == [False, False, False, True]


def test_a_crowd_of_callers_fills_no_memory() -> None:
    throttle = Throttle(lambda: 0.0, per_second=1)

    refused = [throttle.is_too_much(str(number)) for number in range(CALLERS_MAX + 5)]

    assert not any(refused)
    assert throttle.is_too_much(str(CALLERS_MAX + 4)), "of the latest it remembers"
    assert not throttle.is_too_much("0"), "the first was forgotten"
