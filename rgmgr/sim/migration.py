# SPDX-License-Identifier: Apache-2.0
"""Virtual machines that go from node to node while they run, as libvirt moves them.

While one is on its way it is there twice: running at its source, paused at its target. At one
moment it stops here and goes on there. What goes wrong instead follows from the moods of the two
units: the target does not take it, it dies on its way, or nobody can tell what becomes of it, and
it may arrive all the same. Must not know the core.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rgmgr.core.actions import MigrateResource
from rgmgr.core.events import ResourceStayed, ResourceStopFailed, ResourceStopped
from rgmgr.sim.phases import ARRIVES, Mood, Phase

if TYPE_CHECKING:
    from rgmgr.sim.systemd import Answer, Systemd, Unit

TAKES_MS = (20, 2_500)
LATE_MS = (50, 1_500)
"""How long after nobody can tell any more it arrives all the same."""
LOOK_AGAIN_MS = 250
REFUSING = (Mood.START_FAILS, Mood.START_HANGS, Mood.MASKED)
"""Moods of a unit that takes nobody in."""


def begin(source: Systemd, action: MigrateResource, answer: Answer) -> None:
    """Send a machine off; one that is on its way goes on, and one that is not here is gone."""
    unit = source.unit(action.service, action.resource.name)
    if unit.is_leaving:
        source.join(unit, answer, action.op)
        return
    source.take_job(unit, answer, action.op)
    unit.is_leaving = True
    other = source.find(action.target) if action.target is not None else None
    twin = other.unit(action.service, action.resource.name) if other else None
    takes_ms = source.dice.randint(*TAKES_MS)
    if (
        not unit.is_active
        or other is None
        or twin is None
        or twin.is_active
        or twin.mood in REFUSING
    ):
        source.end_in(unit, takes_ms, lambda: _tell(source, unit))
    else:
        unit.twin = (other, twin)
        other.become(twin, Phase.INCOMING, "comes in, paused")
        _go(source, unit, takes_ms, action.resource.stop_timeout_ms)


def give_up(unit: Unit) -> None:
    """End what is on its way: nothing of it stays at its target."""
    if unit.twin is None:
        return
    (other, twin), unit.twin = unit.twin, None
    if twin.phase is Phase.INCOMING:
        other.become(twin, Phase.INACTIVE, "does not come in any more")


def _go(source: Systemd, unit: Unit, takes_ms: int, timeout_ms: int) -> None:
    match unit.mood:
        case Mood.DIES_SOON:
            source.end_in(unit, takes_ms, lambda: _die(source, unit))
        case Mood.STOP_FAILS:
            source.end_in(unit, takes_ms, lambda: _lose(source, unit, arrives=False))
        case Mood.STOP_HANGS:
            source.end_in(unit, timeout_ms, lambda: _lose(source, unit, arrives=True))
        case _:
            source.end_in(unit, takes_ms, lambda: _arrive(source, unit))


def _arrive(source: Systemd, unit: Unit) -> None:
    """Stop here and go on there, unless one of the two is not as it was."""
    if unit.twin is not None and unit.twin[0].frozen_ms is not None:
        source.end_in(unit, LOOK_AGAIN_MS, lambda: _arrive(source, unit))
        return
    if unit.twin is not None and unit.phase is Phase.ACTIVE:
        (other, twin), unit.twin = unit.twin, None
        if twin.phase is Phase.INCOMING:
            source.become(unit, Phase.INACTIVE, "has gone to another node")
            other.become(twin, Phase.ACTIVE, ARRIVES)
    _tell(source, unit)


def _die(source: Systemd, unit: Unit) -> None:
    give_up(unit)
    if unit.phase is Phase.ACTIVE:
        source.become(unit, Phase.INACTIVE, "dies on its way")
    _tell(source, unit)


def _lose(source: Systemd, unit: Unit, *, arrives: bool) -> None:
    """Let nobody be able to tell what becomes of it."""
    waiter = source.finish(unit)
    unit.is_leaving = arrives
    if waiter is not None:
        reason = "virsh does not end, and libvirt does not answer"
        waiter(
            ResourceStopFailed(
                service=unit.service, resource=unit.resource, op=unit.op, reason=reason
            )
        )
    if unit.twin is None:
        return  # who was told has begun something else
    if arrives:
        late_ms = source.dice.randint(*LATE_MS)
        source.end_in(unit, late_ms, lambda: _arrive(source, unit))
    else:
        give_up(unit)


def _tell(source: Systemd, unit: Unit) -> None:
    """Say what can be seen here: it runs, or nothing of it is left."""
    give_up(unit)
    waiter, unit.is_leaving = source.finish(unit), False
    if waiter is None:
        return
    service, resource, op = unit.service, unit.resource, unit.op
    if unit.phase is Phase.ACTIVE:
        reason = "the other node does not take it"
        waiter(ResourceStayed(service=service, resource=resource, op=op, reason=reason))
    else:
        waiter(ResourceStopped(service=service, resource=resource, op=op))
