# SPDX-License-Identifier: Apache-2.0
"""How long things take in a world where nothing is left to chance.

Such a world answers questions about a real cluster: `forecast.py`. Its dice always show the least
that is possible; what takes longer has a measured or an assumed time here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from domains.model import ServiceName
from rgmgr.core.actions import FenceNode
from rgmgr.core.spec import ResourceName
from rgmgr.sim.engine import Dice

T = TypeVar("T")

SURE = 0.999_999
"""What no share of chance reaches."""


class UnitTimes(Protocol):
    """Tells how long a unit takes."""

    def __call__(self, service: ServiceName, resource: ResourceName, *, is_start: bool) -> int:
        """Return the milliseconds of a start, or of a stop."""
        ...


class FenceTimes(Protocol):
    """Tells how long it takes until a node is proven off."""

    def __call__(self, action: FenceNode) -> int:
        """Return the milliseconds of the agents' runs for this node."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """All that a calm world needs to know of time.

    `detection_ms`: from the loss of a node to the ring without it.
    """

    detection_ms: int
    unit_ms: UnitTimes
    fence_ms: FenceTimes


class Calm(Dice):
    """Dice that always show the least; only what must differ differs."""

    def __init__(self) -> None:
        super().__init__(0)
        self._count = 0

    def randint(self, a: int, b: int) -> int:  # noqa: ARG002 - the interface of Dice
        """Return the lowest."""
        return a

    def random(self) -> float:
        """Return what makes no rare thing happen."""
        return SURE

    def choice(self, seq: Sequence[T]) -> T:  # type: ignore[override]  # the interface, named less widely
        """Return the first."""
        return seq[0]

    def getrandbits(self, k: int, /) -> int:
        """Return another number each time."""
        self._count += 1
        return self._count % (1 << k)
