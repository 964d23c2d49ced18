# SPDX-License-Identifier: Apache-2.0
"""Lines on logarithmic axes as SVG: all that the growth plots need. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 20, 40, 60
COLOURS = ("#0b6", "#06c", "#c50")
LEAST = 0.1  # nothing smaller can be told apart


@dataclass(frozen=True, slots=True)
class Line:
    """One value for each place on the horizontal axis."""

    title: str
    values: Sequence[float]


def plot(title: str, axis: str, places: Sequence[float], lines: Sequence[Line]) -> str:
    """Return the picture; equal steps on both axes are equal factors."""
    across = _Scale(places, LEFT, WIDTH - RIGHT)
    up = _Scale([v for line in lines for v in line.values], HEIGHT - BOTTOM, TOP)
    parts = [_text(WIDTH / 2, 20, title, "middle")]
    parts += [_text(WIDTH / 2, HEIGHT - 12, axis, "middle")]
    for value in places:
        x = across.at(value)
        parts.append(_stroke(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - 38, f"{value:,g}", "middle"))
    for value in up.marks():
        y = up.at(value)
        parts += [_stroke(LEFT, y, WIDTH - RIGHT, y), _text(LEFT - 8, y + 4, f"{value:,g}", "end")]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across.at(x), up.at(y)) for x, y in zip(places, line.values, strict=True)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in points]
        parts.append(_text(LEFT + 12, TOP + 18 + 18 * number, line.title, "start", colour))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" font-size="13"'
    ground = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    return "\n".join([f"{head} {style}>", ground, *parts, "</svg>"]) + "\n"


class _Scale:
    """Values to places on the picture."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        logs = [math.log10(max(value, LEAST)) for value in values]
        self._low, self._high = math.floor(min(logs)), math.ceil(max(logs))
        if self._low == self._high:
            self._high += 1
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """Return the place of a value."""
        share = (math.log10(max(value, LEAST)) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def marks(self) -> list[float]:
        """Return the powers of ten that are shown."""
        return [10.0**power for power in range(self._low, self._high + 1)]


def _stroke(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#222") -> str:
    where = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {where} fill="{colour}">{escape(words)}</text>'
