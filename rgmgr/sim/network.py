# SPDX-License-Identifier: Apache-2.0
"""Who hears whom: a network that falls into parts, loses single ways, or has a cable pulled.

corosync forms a ring of nodes that all hear each other, both ways. Where hearing is not the same
for all (a bridge, a ring of majorities), the first in order gather theirs, and who hears somebody
of another ring without being able to join it is *restless*: it forms its ring anew and again.
Source: corosync.md part 4.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from domains.model import NodeId

Component = tuple[NodeId, ...]
Way = tuple[NodeId, NodeId]


class Network:
    """The ways between nodes. A way is (from, to)."""

    def __init__(self, nodes: Sequence[NodeId]) -> None:
        self._order = sorted(nodes)
        self._sides: dict[NodeId, int] = {}
        self._cut: Counter[Way] = Counter()
        self._unplugged: Counter[NodeId] = Counter()

    def divide(self, sides: Iterable[Iterable[NodeId]]) -> None:
        """Let only nodes of one side hear each other; a node of none stays where it was."""
        for number, side in enumerate(sides, start=1):
            self._sides.update(dict.fromkeys(side, number))

    def cut(self, ways: Iterable[Way]) -> None:
        """Lose these ways; one that is lost twice must be mended twice."""
        self._cut.update(ways)

    def mend(self, ways: Iterable[Way]) -> None:
        """Mend these ways, unless somebody mended all of them meanwhile."""
        self._cut = Counter({way: n for way, n in (self._cut - Counter(ways)).items() if n > 0})

    def unplug(self, node: NodeId) -> None:
        """Pull the cable of a node."""
        self._unplugged[node] += 1

    def plug(self, node: NodeId) -> None:
        """Put the cable back."""
        self._unplugged -= Counter((node,))

    def heal(self) -> None:
        """Let everybody hear everybody again."""
        self._sides.clear()
        self._cut.clear()
        self._unplugged.clear()

    def prefer_others(self) -> None:
        """Let another node gather its ring first from now on, as a bridge changes sides."""
        self._order = [*self._order[1:], self._order[0]]

    def hear_each_other(self, one: NodeId, other: NodeId) -> bool:
        """Tell whether two nodes hear each other, both ways."""
        if self._sides.get(one, 0) != self._sides.get(other, 0):
            return False
        if self._unplugged and (self._unplugged[one] or self._unplugged[other]):
            return one == other
        return not self._cut or not (self._cut[one, other] or self._cut[other, one])

    def components(self, live: Sequence[NodeId]) -> list[Component]:
        """Return the rings that these nodes will form, those that gather first before others."""
        waiting = [node for node in self._order if node in live]
        found = []
        while waiting:
            ring = [waiting[0]]
            for node in waiting[1:]:
                if all(self.hear_each_other(node, other) for other in ring):
                    ring.append(node)
            waiting = [node for node in waiting if node not in ring]
            found.append(tuple(sorted(ring)))
        return found

    def restless(self, components: Sequence[Component]) -> list[Component]:
        """Return the components that hear somebody of an earlier one."""
        if not self._cut:
            return []
        return [
            component
            for number, component in enumerate(components)
            for earlier in components[:number]
            if any(self.hear_each_other(a, b) for a in component for b in earlier)
        ]
