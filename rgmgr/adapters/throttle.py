# SPDX-License-Identifier: Apache-2.0
"""How much one caller may ask for in a second, so that none can keep the daemon from its work.

Pure but for the clock that it is given. Forgets callers that have fallen silent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

CALLS_PER_SECOND_MAX = 50
CALLERS_MAX = 256
"""Of which anything is remembered; the one heard of longest ago is forgotten first."""


class Throttle:
    """Counts calls by caller. `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float], per_second: int = CALLS_PER_SECOND_MAX) -> None:
        self._now_s = now_s
        self._per_second = per_second
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def is_too_much(self, caller: str) -> bool:
        """Count one more call and tell whether it exceeds what the caller may ask for."""
        now_s = self._now_s()
        left, since_s = self._left.pop(caller, (float(self._per_second), now_s))
        left = min(float(self._per_second), left + (now_s - since_s) * self._per_second)
        is_refused = left < 1
        self._left[caller] = (left if is_refused else left - 1, now_s)
        if len(self._left) > CALLERS_MAX:
            self._left.popitem(last=False)
        return is_refused
