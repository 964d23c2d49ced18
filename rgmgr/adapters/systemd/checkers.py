# SPDX-License-Identifier: Apache-2.0
"""Has what is up checked: once for each unit, whichever services use it, and all of them hear.

The checks are those of one of its users. When that one lets go of it, or is left alone, another one
takes them over. Source: ADR 26.
"""

from __future__ import annotations

from collections.abc import Callable

from rgmgr.adapters.systemd.checks import Checks
from rgmgr.adapters.systemd.resources import Key, Plan
from rgmgr.adapters.systemd.watches import Watch, Watches

Make = Callable[[Plan, Callable[[str], None]], Checks]


class Checkers:
    """The checks of everything that is watched.

    Args:
        watches: all of them.
        make: begins checks, which call what they are given when one fails for good.
        is_left_alone: whether nobody looks after the service of a watch.
        tell: hears of each use of what has failed.
    """

    def __init__(
        self,
        watches: Watches,
        make: Make,
        is_left_alone: Callable[[Watch], bool],
        tell: Callable[[Watch, str], None],
    ) -> None:
        self._watches = watches
        self._make = make
        self._is_left_alone = is_left_alone
        self._tell = tell

    def begin(self, watch: Watch) -> None:
        """Have it checked from now on, unless the checks of another user go on."""
        users = self._watches.of_unit(watch.unit)
        has_checker = any(user.checks and not user.has_failed for user in users)
        if watch.plan.spec.checks and not has_checker and not self._is_left_alone(watch):
            watch.checks = self._make(watch.plan, lambda reason: self._failed(watch, reason))

    def end(self, watch: Watch) -> None:
        """Check it no more for this service; another one that uses it takes the checks over."""
        watch.end_checks()
        for other in self._watches.of_unit(watch.unit):
            if other is not watch:
                self.begin(other)

    def forget(self, key: Key) -> None:
        """Watch a resource no more."""
        watch = self._watches.get(key)
        self._watches.end(key)
        if watch is not None:
            self.end(watch)

    def _failed(self, watch: Watch, reason: str) -> None:
        for user in self._watches.of_unit(watch.unit):
            self._tell(user, reason)
