# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt
import math

import pytest

from rgmgr.config.durations import DURATION_MS_MAX, parse_duration
from rgmgr.config.problems import Rejection


@pytest.mark.parametrize(
    ("raw", "expected_ms"),
    [
        ("500ms", 500),
        ("5min", 300_000),
        ("1h 30min", 5_400_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1w", 604_800_000),
        ("1month", 2_629_800_000),
        ("1M", 2_629_800_000),
        ("1m", 60_000),
        ("1y", 31_557_600_000),
        ("2000us", 2),
        ("1000µs", 1),
        ("1000μs", 1),  # systemd knows the Greek letter, too
        ("30", 30_000),
        ("1min 30", 90_000),
        ("1.5s", 1_500),
        ("0.001", 1),
        (" 5 s ", 5_000),
        ("0", 0),
        (0, 0),
        (6, 6_000),
        (0.5, 500),
        (1e-3, 1),
        ("10y", DURATION_MS_MAX),
    ],
)
def test_a_time_span_becomes_whole_milliseconds(raw: object, expected_ms: int) -> None:
    assert parse_duration(raw) == expected_ms


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("", "expected a time span"),
        ("  ", "expected a time span"),
        ("soon", "expected a time span"),
        ("5 6min x", "expected a time span"),
        ("-5s", "expected a time span"),
        ("1.s", "expected a time span"),
        ("٣s", "expected a time span"),
        ("1" * 101, "expected a time span"),
        ("infinity", "infinity"),
        ("5mins", "unknown unit 'mins'"),
        ("5parsec", "unknown unit 'parsec'"),
        ("500us", "whole milliseconds"),
        (0.0001, "whole milliseconds"),
        (-1, "cannot be negative"),
        (-0.5, "cannot be negative"),
        ("11y", "longer than ten years"),
        (10**400, "longer than ten years"),
        (math.inf, "expected a time span"),
        (math.nan, "expected a time span"),
        (True, "expected a time span"),
        ([], "got a list"),
        ({}, "got a table"),
        (dt.time(5, 0), "got a date or a time"),
    ],
)
def test_anything_else_is_rejected_in_words(raw: object, words: str) -> None:
    parsed = parse_duration(raw)

    assert isinstance(parsed, Rejection)
    assert words in parsed.text


def test_a_mistyped_unit_is_answered_with_the_nearest() -> None:
    assert parse_duration("5mins") == Rejection(
        "unknown unit 'mins' in the time span '5mins'", "did you mean 'min'?"
    )
