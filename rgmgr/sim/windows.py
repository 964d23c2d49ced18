# SPDX-License-Identifier: Apache-2.0
"""Recovery ladders, climbed a second time (I9).

The core keeps its counts in the record of a service. This keeps other ones, of what it sees done
about each failure, and asks at the next whether the ladder was followed: a rung answers a failure
if, and only if, it is the first with room, whoever owned the service when the earlier ones were
answered. A count belongs to a history of agreed states, so it goes with the state when INSTALL
hands that on, and begins anew when the state comes from a disk. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domains.model import NodeId, ServiceName
from rgmgr.core.events import Event
from rgmgr.core.ladder import rungs_of
from rgmgr.core.messages import Install
from rgmgr.core.model import After, ClusterState, Service, ServiceState
from rgmgr.core.spec import Deed, Rung

Answered = tuple[tuple[Deed, int], ...]
"""What was done about failures, with its cluster time; not yet forgotten."""
Count = Mapping[ServiceName, Answered]

IN_PLACE = (Deed.TOLERATE, Deed.RESTART)
SENT_KEPT = 64


class Windows:
    """One count for each member. `violate` takes an invariant and a sentence."""

    def __init__(self, violate: Callable[[str, str], None]) -> None:
        self._violate = violate
        self._counts: dict[NodeId, Count] = {}
        self._sent: dict[int, tuple[Install, Count]] = {}  # by id() of the message

    def began(self, node: NodeId) -> None:
        """A daemon starts from its disk, which holds no counts."""
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
            if was is None or was is service:
                continue
            is_lost = was.owner is not None and _is_proven_down(was.owner, before, after)
            seen = _deeds_seen(was, service, is_owner_lost=is_lost)
            if seen:
                count[name] = self._judge(name, was, after.now_ms, count.get(name, ()), seen)
        self._counts[node] = count

    def _judge(
        self,
        name: ServiceName,
        was: Service,
        now_ms: int,
        answered: Answered,
        seen: tuple[Deed, ...],
    ) -> Answered:
        rungs = rungs_of(was.spec)
        due = next((r for r in rungs if not r.limit or _used(answered, r, now_ms) < r.limit), None)
        if due is None or due.deed not in seen:
            used = ", ".join(
                f"{_used(answered, r, now_ms)} of {r.limit} {r.deed.value}"
                for r in rungs
                if r.limit
            )
            wanted = due.deed.value if due else "nothing"
            words = " or ".join(deed.value for deed in seen)
            self._violate("I9", f"{name} failed: {words}, and its ladder says {wanted} ({used})")
        deed = due.deed if due and due.deed in seen else seen[0]
        kept = answered if deed in IN_PLACE else tuple(a for a in answered if a[0] not in IN_PLACE)
        return (*kept, (deed, now_ms))


def _used(answered: Answered, rung: Rung, now_ms: int) -> int:
    return sum(
        1
        for deed, at_ms in answered
        if deed is rung.deed and (not rung.window_ms or now_ms - at_ms < rung.window_ms)
    )


def _is_proven_down(node: NodeId, before: ClusterState, after: ClusterState) -> bool:
    """Tell whether it is proven now to be down, or to have been: then no ladder is asked.

    A boot that is over is proof only where the others had begun to fence the node.
    """
    was, now = before.nodes.get(node), after.nodes.get(node)
    if was is None or now is None:
        return False
    return now.proof is not None and now.proof != was.proof


def _deeds_seen(was: Service, service: Service, *, is_owner_lost: bool) -> tuple[Deed, ...]:
    """Tell what is done about a failure; empty where no ladder was asked."""
    if was.state is ServiceState.STARTED and service.state is ServiceState.RECOVERABLE:
        return IN_PLACE if service.after is After.REPAIR else ()  # else asked when it is down
    is_down = was.state is ServiceState.RECOVERABLE and was.after is After.RECOVER
    if not is_down or is_owner_lost:
        return ()
    match service.state:
        case ServiceState.DISABLED:
            return (Deed.DISABLE,)
        case ServiceState.RECOVERING | ServiceState.STARTING | ServiceState.STOPPED:
            return (Deed.RELOCATE,) if was.owner in service.failed_on else IN_PLACE
        case _:
            return ()


def installed(event: Event) -> Install | None:
    """Return the INSTALL that an event delivers; None for any other event."""
    message = getattr(event, "message", None)
    return message if isinstance(message, Install) else None
