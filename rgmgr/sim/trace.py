# SPDX-License-Identifier: Apache-2.0
"""The story of a simulated cluster, kept as facts and told in words only when somebody asks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from domains.model import NodeId
from rgmgr.core.actions import Record
from rgmgr.core.spec import ClusterSpec
from rgmgr.phrases import in_words

REPEAT_MS = 1_500


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened. `words` is a format for `facts`."""

    at_ms: int
    node: NodeId | None
    words: str
    facts: tuple[object, ...]
    is_told_by_all: bool = False  # every member says the same

    def text(self) -> str:
        """Return what happened, without when and where."""
        if self.facts and isinstance(self.facts[0], Record):
            return _journal_line(self.facts[0])
        return self.words.format(*self.facts) if self.facts else self.words


class Trace:
    """Collects lines in order."""

    def __init__(self) -> None:
        self._lines: list[Line] = []

    def tell(self, at_ms: int, node: NodeId | None, words: str, *facts: object) -> None:
        """Note something that happened on a node, or to all when that is None."""
        self._lines.append(Line(at_ms, node, words, facts))

    def tell_common(self, at_ms: int, node: NodeId, words: str, *facts: object) -> None:
        """Note something that each member says alike; it is told once."""
        self._lines.append(Line(at_ms, node, words, facts, is_told_by_all=True))

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines so far."""
        return tuple(self._lines)

    def digest(self) -> str:
        """Return a fingerprint of every line: equal for equal executions."""
        whole = hashlib.sha256()
        for line in self._lines:
            whole.update(f"{line.at_ms} {line.node} {line.text()}\n".encode())
        return whole.hexdigest()[:16]


def told(trace: Trace, spec: ClusterSpec) -> Iterator[str]:
    """Yield the story line by line, with what members repeat told once."""
    for line in without_repeats(trace.lines):
        yield f"{line.at_ms / 1000:8.3f}  {place_and_text(line, spec)}"


def without_repeats(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines, but what several members say alike only from the first of them."""
    latest: dict[str, int] = {}
    for line in lines:
        if line.is_told_by_all:
            text = line.text()
            before_ms = latest.get(text)
            latest[text] = line.at_ms
            if before_ms is not None and line.at_ms - before_ms < REPEAT_MS:
                continue
        yield line


def place_and_text(line: Line, spec: ClusterSpec) -> str:
    """Return where something happened, in a column of its own, and what."""
    width = max((len(node.name) for node in spec.nodes.values()), default=0)
    is_all = line.node is None or line.is_told_by_all
    where = "" if is_all or line.node is None else spec.node_name(line.node)
    return f"{where:<{width}}  {line.text()}"


def _journal_line(record: Record) -> str:
    fields = {key: "nobody" if value is None else value for key, value in record.fields.items()}
    text = in_words(record.event, fields)
    if text is not None:
        return text
    facts = ", ".join(f"{key}={value}" for key, value in fields.items() if value != "")
    return f"{record.event} {facts}"
