# SPDX-License-Identifier: Apache-2.0
"""A listing of many rows as one text, since a table of rich takes a second for a thousand of them.

The last column takes what room is left and wraps; where that is too little, it goes on a line of
its own. Nothing is cut off.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Span, Text

GAP = 2
ROOM_MIN = 24
"""Characters that the last column needs beside the others."""
INDENT = 4


class Cell(NamedTuple):
    """A place in a row: what it says, and how."""

    text: str
    style: str = ""


Row = tuple[Cell, ...]


def listing_text(heads: Sequence[str], rows: Sequence[Row], width: int) -> Text:
    """Return a listing for a terminal of this width; the last cell of a row may be long."""
    head = tuple(Cell(word, "dim") for word in heads)
    sizes = [max(len(row[n].text) for row in (head, *rows)) for n in range(len(heads) - 1)]
    room = width - sum(sizes) - GAP * len(sizes)
    parts: list[str] = []
    spans: list[Span] = []
    at = 0
    for row in (head, *rows):
        for text, style in _pieces(row, sizes, room, width):
            if style:
                spans.append(Span(at, at + len(text), style))
            parts.append(text)
            at += len(text)
    return Text("".join(parts).rstrip("\n"), spans=spans, no_wrap=True)


def _pieces(row: Row, sizes: Sequence[int], room: int, width: int) -> Iterator[Cell]:
    """Yield one row piece by piece; it may take several lines."""
    last = row[-1]
    for cell, size in zip(row[:-2], sizes, strict=False):
        yield cell
        yield Cell(" " * (size - len(cell.text) + GAP))
    yield row[-2]
    if last.text and len(last.text) <= room:
        yield Cell(" " * (sizes[-1] - len(row[-2].text) + GAP))
        yield last
    elif last.text:
        is_beside = room >= ROOM_MIN
        indent = width - room if is_beside else INDENT
        pad = " " * (sizes[-1] - len(row[-2].text) + GAP) if is_beside else "\n" + " " * indent
        for line in textwrap.wrap(last.text, max(width - indent, 1)):
            yield Cell(pad)
            yield Cell(line, last.style)
            pad = "\n" + " " * indent
    yield Cell("\n")
