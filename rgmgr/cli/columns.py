# SPDX-License-Identifier: Apache-2.0
"""A listing of rows as pieces of text: loads nothing, and is done with a thousand rows at once.

One column takes what room is left and wraps; where that is the last one and there is too little, it
goes on a line of its own. Nothing is cut off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

GAP = 2
ROOM_MIN = 24
"""Characters that a wrapping column needs beside the others."""
INDENT = 4


class Piece(NamedTuple):
    """What it says, and how: a style of rich, such as 'bold red'."""

    text: str
    style: str = ""


Cell = tuple[Piece, ...]


def listing(
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    width: int,
    *,
    wide: int,
    right: Collection[int] = (),
) -> Iterator[Piece]:
    """Yield a listing for a terminal of this width, each line with its end.

    `wide`: the column that wraps; `right`: those that stand at the right of their room.
    """
    head = [(Piece(word, "dim"),) for word in heads]
    sizes = [max(_length(row[n]) for row in (head, *rows)) for n in range(len(heads))]
    others = sum(sizes) - sizes[wide] + GAP * (len(heads) - 1)
    is_beside = wide < len(heads) - 1 or width - others >= ROOM_MIN
    room = max(width - others, ROOM_MIN) if is_beside else max(width - INDENT, 1)
    sizes[wide] = min(sizes[wide], room)
    before = sum(sizes[:wide]) + GAP * wide
    for row in (head, *rows):
        is_short = _length(row[wide]) <= width - others
        lines = [row[wide]] if is_short else list(wrapped(row[wide], room))
        first = lines[0] if is_short or is_beside else ()
        yield from _line([*row[:wide], first, *row[wide + 1 :]], sizes, right)
        for line in lines if first == () and row[wide] else lines[1:]:
            yield Piece(" " * (before if is_beside else INDENT))
            yield from line
            yield Piece("\n")


def wrapped(cell: Cell, width: int) -> Iterator[Cell]:
    """Yield a text line by line, broken between its words; styles stay where they were."""
    from textwrap import wrap  # noqa: PLC0415 - takes long to load, and is seldom needed

    text = "".join(piece.text for piece in cell)
    at = 0
    for line in wrap(text, width):
        begin = text.index(line, at)
        at = begin + len(line)
        yield tuple(_cut(cell, begin, at))


def _cut(cell: Cell, begin: int, end: int) -> Iterator[Piece]:
    at = 0
    for text, style in cell:
        if part := text[max(0, begin - at) : max(0, end - at)]:
            yield Piece(part, style)
        at += len(text)


def _line(row: Sequence[Cell], sizes: Sequence[int], right: Collection[int]) -> Iterator[Piece]:
    """Yield one line; blanks at its end are left out."""
    owed = 0
    for number, (cell, size) in enumerate(zip(row, sizes, strict=True)):
        length = _length(cell)
        if number in right:
            owed, after = owed + size - length, 0
        else:
            after = size - length
        if length:
            if owed:
                yield Piece(" " * owed)
            yield from cell
            owed = after + GAP
        else:
            owed += size + GAP
    yield Piece("\n")


def _length(cell: Cell) -> int:
    return sum(len(piece.text) for piece in cell)
