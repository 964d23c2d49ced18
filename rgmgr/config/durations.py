# SPDX-License-Identifier: Apache-2.0
"""Time spans as administrators write them, to whole milliseconds.

The grammar is that of systemd: numbers with units, added up, blanks allowed anywhere between
them (`5min`, `1h 30min`, `1.5s`); a number without a unit is seconds. `infinity` is refused, for
everything here has a limit. Arithmetic is exact. Source: systemd.time(7).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

from rgmgr.config.problems import Rejection, described, did_you_mean, shown

DURATION_MS_MAX = 10 * 31_557_600_000  # ten years
_TEXT_CHARACTERS_MAX = 100
_SECOND_MS = 1_000
_EXPECTED = 'expected a time span such as "500ms", "5min", "1h 30min", or a number of seconds'

_UNITS_BY_MICROSECONDS: dict[int, tuple[str, ...]] = {
    1: ("us", "usec", "µs", "μs"),  # the micro sign and the Greek letter
    1_000: ("ms", "msec"),
    1_000_000: ("s", "sec", "second", "seconds", ""),
    60_000_000: ("m", "min", "minute", "minutes"),
    3_600_000_000: ("h", "hr", "hour", "hours"),
    86_400_000_000: ("d", "day", "days"),
    604_800_000_000: ("w", "week", "weeks"),
    2_629_800_000_000: ("M", "month", "months"),
    31_557_600_000_000: ("y", "year", "years"),
}
_MICROSECONDS_BY_UNIT = {
    unit: microseconds for microseconds, units in _UNITS_BY_MICROSECONDS.items() for unit in units
}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([^\W\d_]*)\s*")


def parse_duration(raw: object) -> int | Rejection:
    """Return the milliseconds of a time span, or why it is none.

    Zero is accepted; whether it makes sense is the caller's to say.
    """
    match raw:
        case bool():
            return _refused(raw)
        case int():
            return _checked(Fraction(raw) * 1_000_000, raw)
        case float() if math.isfinite(raw):
            return _checked(Fraction(repr(raw)) * 1_000_000, raw)
        case str() if len(raw) <= _TEXT_CHARACTERS_MAX:
            return _parse_text(raw)
        case _:
            return _refused(raw)


def _parse_text(text: str) -> int | Rejection:
    if text.strip() == "infinity":
        return Rejection(f"{_EXPECTED}, got 'infinity'", "write a long time, such as 1d")
    total = Fraction(0)
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None:
            return _refused(text)
        number, unit = part.groups()
        if unit not in _MICROSECONDS_BY_UNIT:
            hint = did_you_mean(unit, _MICROSECONDS_BY_UNIT)
            return Rejection(f"unknown unit {shown(unit)} in the time span {shown(text)}", hint)
        total += Fraction(number) * _MICROSECONDS_BY_UNIT[unit]
        position = part.end()
    return _checked(total, text) if text else _refused(text)


def _checked(microseconds: Fraction, raw: object) -> int | Rejection:
    milliseconds = microseconds / 1_000
    if milliseconds < 0:
        return Rejection(f"a time span cannot be negative, got {described(raw)}")
    if milliseconds > DURATION_MS_MAX:
        return Rejection(f"a time span cannot be longer than ten years, got {described(raw)}")
    if milliseconds.denominator != 1:
        return Rejection(f"expected whole milliseconds, got {described(raw)}")
    return milliseconds.numerator


def _refused(raw: object) -> Rejection:
    return Rejection(f"{_EXPECTED}, got {described(raw)}")


def written_duration(span_ms: int) -> str:
    """Return a time span of 0 or more as it is read again: `300ms`, `12.5s`."""
    if 0 < span_ms < _SECOND_MS:
        return f"{span_ms}ms"
    whole, rest = divmod(span_ms, _SECOND_MS)
    return f"{whole}.{rest:03}".rstrip("0").rstrip(".") + "s"
