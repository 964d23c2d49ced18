# SPDX-License-Identifier: Apache-2.0
"""Where something really ran, and when: told by the processes themselves.

Each unit of a played scenario writes the time into a file of its node as long as it lives. What was
killed, lost its power or stood still needs nobody to say so. Reads the files from outside.
"""

from dataclasses import dataclass
from itertools import combinations

BEAT_S = 0.2
GAP_US = 1_500_000
"""A longer silence is an end: a busy machine may keep a process waiting, not so long."""
NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which a unit ran on a node; microseconds of this machine's wall clock."""

    node: str
    from_us: int
    to_us: int


def spans(node: str, text: str, since_us: int) -> list[Span]:
    """Return the times that a file of beats shows: nanoseconds and process on each line.

    Another process is another time; so is the same number after a silence, for nodes boot.
    """
    found: list[Span] = []
    latest = ""
    for line in text.splitlines():
        beat_ns, _, process = line.partition(" ")
        if not (beat_ns.isdecimal() and process.isdecimal()):
            continue  # cut off by the loss of power
        beat_us = int(beat_ns) // NS_PER_US
        if beat_us < since_us:
            continue
        if found and process == latest and beat_us - found[-1].to_us <= GAP_US:
            found[-1] = Span(node, found[-1].from_us, beat_us)
        else:
            found.append(Span(node, beat_us, beat_us))
        latest = process
    return found


def overlaps(found: list[Span]) -> list[tuple[Span, Span]]:
    """Return the pairs of times on two nodes that have a moment in common."""
    return [
        (one, other)
        for one, other in combinations(found, 2)
        if one.node != other.node and one.from_us <= other.to_us and other.from_us <= one.to_us
    ]
