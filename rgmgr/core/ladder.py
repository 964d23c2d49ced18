# SPDX-License-Identifier: Apache-2.0
"""The recovery ladder: what is done about this failure of a service, after those before it.

A failure takes the first rung that has room. A rung with a limit has room until so many failures
were answered by it within its time; the last rung has none. The counts belong to the service, not
to a node, so a change of owner does not forgive. But a service that is moved begins anew on its
new node: what was tolerated or restarted before counts no more, earlier moves do.

The words of rgmanager are ladders of their own. Source: rgmanager `recovery`, `max_restarts`.
"""

from __future__ import annotations

from rgmgr.core.evolve import replace
from rgmgr.core.model import Recovery, Service
from rgmgr.core.spec import Deed, RecoveryPolicy, Rung, ServiceSpec

IN_PLACE = (Deed.TOLERATE, Deed.RESTART)


def rungs_of(spec: ServiceSpec) -> tuple[Rung, ...]:
    """Return the ladder of a service; its last rung has no limit."""
    if spec.ladder:
        return spec.ladder
    restart = Rung(deed=Deed.RESTART, limit=spec.max_restarts, window_ms=spec.restart_expire_ms)
    match spec.recovery:
        case RecoveryPolicy.RELOCATE:
            return (Rung(deed=Deed.RELOCATE),)
        case RecoveryPolicy.DISABLE:
            return (Rung(deed=Deed.DISABLE),)
        case _ if not spec.max_restarts:
            return (restart,)
        case RecoveryPolicy.RESTART:
            return (restart, Rung(deed=Deed.RELOCATE))
        case RecoveryPolicy.RESTART_DISABLE:
            return (restart, Rung(deed=Deed.DISABLE))


def next_rung(service: Service, now_ms: int) -> Rung:
    """Return the rung that answers a failure at this cluster time."""
    rungs = rungs_of(service.spec)
    return next((r for r in rungs if has_room(service, r, now_ms)), rungs[-1])


def has_room(service: Service, rung: Rung, now_ms: int) -> bool:
    """Tell whether one more failure may be answered so."""
    return not rung.limit or len(recent(service, rung, now_ms)) < rung.limit


def recent(service: Service, rung: Rung, now_ms: int) -> tuple[Recovery, ...]:
    """Return the failures that this rung has answered within its time: a sliding window."""
    return tuple(
        r
        for r in service.recoveries
        if r.deed is rung.deed and (not rung.window_ms or now_ms - r.at_ms < rung.window_ms)
    )


def counted(service: Service, rung: Rung, now_ms: int) -> Service:
    """Return the record with one more failure answered by this rung."""
    is_in_place = rung.deed in IN_PLACE
    kept = tuple(
        recovery
        for each in rungs_of(service.spec)
        if each.limit and (is_in_place or each.deed not in IN_PLACE)
        for recovery in recent(service, each, now_ms)
    )
    now = (Recovery(deed=rung.deed, at_ms=now_ms),) if rung.limit else ()
    return replace(service, recoveries=(*kept, *now))


def repairs_only(service: Service, rung: Rung) -> bool:
    """Tell whether this rung restarts only what is broken, and what relies on that.

    Where such repairs were tolerated before, a restart is one of the whole service.
    """
    has_tolerated = any(each.deed is Deed.TOLERATE for each in rungs_of(service.spec))
    return rung.deed is Deed.TOLERATE or (rung.deed is Deed.RESTART and not has_tolerated)
