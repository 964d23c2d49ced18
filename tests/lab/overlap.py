# SPDX-License-Identifier: Apache-2.0
"""The log of all starts and stops of a unit on all nodes: did it ever run on two at once?

A node that lost its power logs no stop; its unit counts as running until a survivor proved it off.
"""

from __future__ import annotations

from dataclasses import dataclass

from rgmgr.lab.observe import Observer

UNIT = "nginx.service"
_BEGUN = ("Starting ", "Mounting ")
_ENDED = ("Stopped ", "Unmounted ", "Failed to start ", "Failed to mount ")


@dataclass(frozen=True, slots=True)
class Span:
    """A unit was up on a node; wall-clock microseconds."""

    node: str
    from_us: int
    to_us: int


def overlaps(observer: Observer, since_us: int, unit: str = UNIT) -> list[tuple[Span, Span]]:
    """Return every pair of spans of a unit on two nodes that overlap since then."""
    now_us = observer.now_us()
    proofs = _proofs(observer)
    spans = [
        span
        for node in observer.nodes
        for span in _spans(observer, node, unit, proofs, now_us)
        if span.to_us >= since_us
    ]
    assert spans, "the unit ran nowhere: nothing was looked at"
    return [
        (one, other)
        for one in spans
        for other in spans
        if one.node < other.node and one.from_us < other.to_us and other.from_us < one.to_us
    ]


def _proofs(observer: Observer) -> list[tuple[str, int]]:
    """Return when which node was proven off, ever, as any survivor has logged it."""
    return sorted(
        {
            (word.removeprefix("node="), line.at_us)
            for node in observer.nodes
            for line in observer.lines(node)
            if line.text.startswith("fence.succeeded ")
            for word in line.text.split()
            if word.startswith("node=")
        }
    )


def _spans(
    observer: Observer, node: str, unit: str, proofs: list[tuple[str, int]], now_us: int
) -> list[Span]:
    entries = observer.lab.journal_entries(node, "_PID=1", f"UNIT={unit}")
    spans: list[Span] = []
    begun: tuple[str, int] | None = None  # boot, when
    for entry in entries:
        at_us, boot, text = int(entry["__REALTIME_TIMESTAMP"]), entry["_BOOT_ID"], entry["MESSAGE"]
        if begun is not None and begun[0] != boot:
            spans.append(Span(node, begun[1], _off_us(node, begun[1], proofs, at_us)))
            begun = None
        if text.startswith(_BEGUN) and begun is None:
            begun = (boot, at_us)
        elif begun is not None and _is_end(text, unit):
            spans.append(Span(node, begun[1], at_us))
            begun = None
    if begun is not None:
        is_present = begun[0] == observer.boot_id(node).replace("-", "")
        end_us = now_us if is_present else _off_us(node, begun[1], proofs, now_us)
        spans.append(Span(node, begun[1], end_us))
    return spans


def _is_end(text: str, unit: str) -> bool:
    """Tell whether nothing of the unit is left: stopped, or dead with all its processes."""
    dead = (f"{unit}: Failed with result", f"{unit}: Deactivated successfully")
    return text.startswith((*_ENDED, *dead))


def _off_us(node: str, begun_us: int, proofs: list[tuple[str, int]], latest_us: int) -> int:
    """Return when a node without a logged stop was proven off: the first proof after the start."""
    return min((at for name, at in proofs if name == node and at > begun_us), default=latest_us)
