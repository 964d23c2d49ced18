# SPDX-License-Identifier: Apache-2.0
"""Restart windows of parts of trees, counted a second time (I9).

The core keeps the count of a part in the record of its service. This keeps another one, of the
restarts that it sees granted, whoever owned the service then: within `restart_expire_time` there
are never more than `max_restarts`. It begins anew where the core's count is forgotten on purpose,
and with a state that a member hands to others. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from domains.model import ServiceName
from rgmgr.core.messages import Install
from rgmgr.core.model import ClusterState, Service
from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.core.tree import start_order

Key = tuple[ServiceName, ResourceName]


class PartWindows:
    """Follows the agreed states of a world, each once. `violate`: an invariant and a sentence."""

    def __init__(self, violate: Callable[[str, str], None]) -> None:
        self._violate = violate
        self._granted: dict[Key, tuple[int, ...]] = {}

    def changed(self, cause: object, before: ClusterState, after: ClusterState) -> None:
        """The agreed state went from here to there."""
        if isinstance(cause, Install) and cause.state is not None:
            self._granted.clear()  # another history, perhaps
        for name, service in after.services.items():
            was = before.services.get(name)
            if was is not None and was is not service:
                self._follow(name, was, service, after.now_ms)

    def _follow(self, name: ServiceName, was: Service, service: Service, now_ms: int) -> None:
        for top in _independent(service):
            stamps, key = _stamps(service, top.name), (name, top.name)
            if not stamps:
                self._granted.pop(key, None)  # an escalation, a convalescence, or a lost record
            elif stamps != _stamps(was, top.name) and top.name in service.mending:
                self._judge(key, top, now_ms)

    def _judge(self, key: Key, top: ResourceSpec, now_ms: int) -> None:
        expire_ms = top.restart_expire_ms
        known = self._granted.get(key, ())
        recent = tuple(s for s in known if not expire_ms or now_ms - s < expire_ms)
        if top.max_restarts and len(recent) >= top.max_restarts:
            bound = f"{len(recent)} of {top.max_restarts} restarts were used up"
            self._violate("I9", f"{key[0]}/{key[1]} is restarted, though {bound}")
        self._granted[key] = (*recent, now_ms)


def _independent(service: Service) -> Iterator[ResourceSpec]:
    return (r for r in start_order(service.spec) if r.independent is not None)


def _stamps(service: Service, name: ResourceName) -> tuple[int, ...]:
    part = service.parts.get(name)
    return part.restart_stamps if part else ()
