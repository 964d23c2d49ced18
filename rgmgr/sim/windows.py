# SPDX-License-Identifier: Apache-2.0
"""Restart windows, counted a second time (I9).

The core keeps its count in the record of a service. This keeps another one, of the restarts that
it sees granted, and asks at each failure whether the policy was followed: a restart is granted if,
and only if, fewer than `max_restarts` were granted within `restart_expire_time`, whoever owned the
service then. A count belongs to a history of agreed states, so it goes with the state when INSTALL
hands that on, and begins anew when the state comes from a disk. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domains.model import NodeId, ServiceName
from rgmgr.core.events import Event
from rgmgr.core.messages import Install
from rgmgr.core.model import After, ClusterState, Service, ServiceState
from rgmgr.core.spec import RecoveryPolicy

Count = Mapping[ServiceName, tuple[int, ...]]
"""Cluster times of the restarts granted and not yet forgotten."""

COUNTED = (RecoveryPolicy.RESTART, RecoveryPolicy.RESTART_DISABLE)
SENT_KEPT = 64


class Windows:
    """One count for each member. `violate` takes an invariant and a sentence."""

    def __init__(self, violate: Callable[[str, str], None]) -> None:
        self._violate = violate
        self._counts: dict[NodeId, Count] = {}
        self._sent: dict[int, tuple[Install, Count]] = {}  # by id() of the message

    def began(self, node: NodeId) -> None:
        """A daemon starts from its disk, which holds no restarts."""
        self._counts.pop(node, None)

    def sends(self, node: NodeId, message: Install) -> None:
        """A member hands its state, and the history of that, to others."""
        if len(self._sent) >= SENT_KEPT:
            self._sent.pop(next(iter(self._sent)))
        self._sent[id(message)] = (message, self._counts.get(node, {}))

    def changed(
        self, node: NodeId, install: Install | None, before: ClusterState, after: ClusterState
    ) -> None:
        """The agreed state of a member changed, by this INSTALL or by an operation."""
        count = dict(self._counts.get(node, {}))
        if install is not None and install.state is not None:
            before = install.state
            if id(install) in self._sent:
                count = dict(self._sent[id(install)][1])
        for name, service in after.services.items():
            was = before.services.get(name)
            if was is None or was is service or was.spec.recovery not in COUNTED:
                continue
            is_granted = _granted(was, service)
            if is_granted is not None:
                self._judge(name, was, after.now_ms, count, is_granted=is_granted)
        self._counts[node] = count

    def _judge(
        self,
        name: ServiceName,
        was: Service,
        now_ms: int,
        count: dict[ServiceName, tuple[int, ...]],
        *,
        is_granted: bool,
    ) -> None:
        limit, expire_ms = was.spec.max_restarts, was.spec.restart_expire_ms
        recent = tuple(s for s in count.get(name, ()) if not expire_ms or now_ms - s < expire_ms)
        is_due = not limit or len(recent) < limit
        if is_granted is not is_due:
            word = "restarted" if is_granted else "not restarted"
            bound = f"{len(recent)} of {limit or 'any number of'} restarts were used up"
            self._violate("I9", f"{name} failed and is {word} where it was, though {bound}")
        count[name] = (*recent, now_ms) if is_granted else ()


def _granted(was: Service, service: Service) -> bool | None:
    """Tell whether the policy restarts a service that failed; None where it was not asked."""
    if was.state is ServiceState.STARTED and service.state is ServiceState.RECOVERABLE:
        return True if service.after is After.REPAIR else None  # else asked when it is down
    is_down = was.state is ServiceState.RECOVERABLE and was.after is After.RECOVER
    if not is_down or service.state is ServiceState.RECOVERABLE:
        return None
    if service.state is ServiceState.STOPPING or service.state is ServiceState.FAILED:
        return None  # an operator took over, or it does not stop
    return service.state is not ServiceState.DISABLED and was.owner not in service.failed_on


def installed(event: Event) -> Install | None:
    """Return the INSTALL that an event delivers; None for any other event."""
    message = getattr(event, "message", None)
    return message if isinstance(message, Install) else None
