# SPDX-License-Identifier: Apache-2.0
"""What is watched on this node: resources that are up, by their key and by their unit.

A shared unit is watched for each service that uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from domains.model import ServiceName
from rgmgr.adapters.systemd import mounts
from rgmgr.adapters.systemd.checks import Checks
from rgmgr.adapters.systemd.node import NodeFacts
from rgmgr.adapters.systemd.resources import Key, Plan


@dataclass(slots=True)
class Watch:
    """A resource that is up, and whose end would be a failure."""

    plan: Plan
    unit: str  # its real name, where the plan may have an alias
    is_examined: bool = False
    was_disturbed: bool = False  # news came in while it was examined
    is_foreign: bool = False  # somebody else's job was seen on it
    has_failed: bool = False
    sub: str = ""
    was_writable: bool = False  # said of a mount
    checks: Checks | None = None  # from when it is known to be up

    def why_unwritable(self, node: NodeFacts) -> str | None:
        """Say that a mount has become read-only; one that was so from the start is meant to be."""
        if not self.plan.is_mount:
            return None
        if not mounts.is_read_only(self.plan.spec, node):
            self.was_writable = True
        elif self.was_writable:
            return f"{self.plan.description} has become read-only: 'journalctl -k' may say why"
        return None

    def end_checks(self) -> None:
        """Ask no more whether it works."""
        if self.checks is not None:
            self.checks.end()
            self.checks = None


class Watches:
    """All of them; at most one for each resource of each service."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Watch] = {}
        self._by_unit: dict[str, dict[Key, Watch]] = {}

    def __iter__(self) -> Iterator[Watch]:
        """Yield every watch; they may change meanwhile."""
        return iter(tuple(self._by_key.values()))

    def get(self, key: Key) -> Watch | None:
        """Return the watch of a resource."""
        return self._by_key.get(key)

    def of_unit(self, unit: str) -> tuple[Watch, ...]:
        """Return who watches a unit."""
        return tuple(self._by_unit.get(unit, {}).values())

    def of_service(self, service: ServiceName) -> list[Watch]:
        """Return the watches of a service."""
        return [watch for watch in self if watch.plan.key.service == service]

    def begin(self, plan: Plan, unit: str) -> Watch:
        """Watch a resource from now on, instead of whatever was watched for it."""
        self.end(plan.key)
        watch = Watch(plan, unit)
        self._by_key[plan.key] = watch
        self._by_unit.setdefault(unit, {})[plan.key] = watch
        return watch

    def end(self, key: Key) -> None:
        """Watch it no more."""
        watch = self._by_key.pop(key, None)
        if watch is not None:
            self._forget_unit(watch)
            watch.end_checks()

    def rename(self, watch: Watch, unit: str) -> None:
        """Its unit has another name than it was thought to have."""
        if self._by_key.get(watch.plan.key) is watch:
            self._forget_unit(watch)
            self._by_unit.setdefault(unit, {})[watch.plan.key] = watch
        watch.unit = unit

    def _forget_unit(self, watch: Watch) -> None:
        users = self._by_unit.get(watch.unit, {})
        users.pop(watch.plan.key, None)
        if not users:
            self._by_unit.pop(watch.unit, None)
