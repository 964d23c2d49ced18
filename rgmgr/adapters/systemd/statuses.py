# SPDX-License-Identifier: Apache-2.0
"""The states of units: questions that are asked together travel together.

A message on the bus costs about a millisecond of this process, however little it says. When many
units start at once, or all are looked at, those who ask while an answer is on its way share the
next question; nobody waits long for that, and nobody is given what was known before.

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from rgmgr.adapters.bus import UNKNOWN_OUTCOME
from rgmgr.adapters.systemd import names
from rgmgr.errors import BusError

SYSTEMD = "org.freedesktop.systemd1"

ABSENT = (
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.ServiceUnknown",
)
AWAY = (*UNKNOWN_OUTCOME, *ABSENT)
"""Errors that tell nothing about a unit: PID 1 re-executes itself, or the bus is gone."""

_UNITS_MAX = 100
"""In one question: a long answer keeps the loop busy for as long as it is read."""
_TURN_S = 0.05
"""So long a question waits for the answer to the one before; a bus that hangs stops nobody."""

Read = Callable[[str, str, Sequence[object]], Awaitable[list[object]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """A unit at one moment. `name` is the real one when an alias was asked for."""

    name: str
    load: str
    active: str
    sub: str
    job: int = 0
    job_type: str = ""

    @property
    def is_up(self) -> bool:
        """Active, also while it reloads its configuration."""
        return self.active in ("active", "reloading", "refreshing")

    @property
    def is_down(self) -> bool:
        """Nothing runs as far as systemd knows; it may have failed."""
        return self.active in ("inactive", "failed")

    @property
    def is_being_stopped(self) -> bool:
        """Somebody's stop has begun; one that only waits may wait for us, at shutdown."""
        return self.active == "deactivating" and self.job_type == "stop"


Found = dict[str, UnitStatus]


class Statuses:
    """Asks PID 1. `read` calls a method of its manager: member, signature, body."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._wanted: dict[str, None] = {}
        self._next: asyncio.Task[Found] | None = None  # to be sent; more may join
        self._sent: asyncio.Task[Found] | None = None

    async def of(self, units: Sequence[str]) -> list[UnitStatus]:
        """Return the states of units as of now, in their order.

        Raises:
            BusError: systemd did not answer.
        """
        if not units:
            return []
        self._wanted.update(dict.fromkeys(units))
        if self._next is None:
            self._next = asyncio.create_task(self._ask_together(), name="unit states")
            self._next.add_done_callback(_retrieve)
        found = await asyncio.shield(self._next)
        if any(unit not in found for unit in units):  # somebody else's name spoiled it
            found = await self._ask(units)
        return [found[unit] for unit in units]

    async def matching(self, pattern: str) -> list[UnitStatus]:
        """Return the units in memory whose names match."""
        (rows,) = await self._read("ListUnitsByPatterns", "asas", [[], [pattern]])
        return [_status(row) for row in rows_of(rows)]

    async def _ask_together(self) -> Found:
        if self._sent is not None:
            await asyncio.wait({self._sent}, timeout=_TURN_S)
        self._sent, self._next = self._next, None
        wanted, self._wanted = [*self._wanted], {}
        try:
            return await self._ask(wanted)
        except BusError as error:
            if len(wanted) > 1 and error.name not in AWAY:
                return {}  # each asks for itself, and has its own error
            raise

    async def _ask(self, units: Sequence[str]) -> Found:
        """Ask now; existing units are loaded if needed.

        What is made at run time is in memory or does not exist; loading it would only make systemd
        complain in the journal that its file is missing.
        """
        installed = [unit for unit in units if not names.is_made_at_run_time(unit)]
        made = [unit for unit in units if names.is_made_at_run_time(unit)]
        found = {unit: _absent(unit) for unit in made}
        for some in _portions(installed):
            (rows,) = await self._read("ListUnitsByNames", "as", [some])
            statuses = [_status(row) for row in rows_of(rows)]
            if len(statuses) != len(some):
                text = f"asked for {len(some)} units, got {len(statuses)}"
                raise BusError(SYSTEMD, "ListUnitsByNames", f"{SYSTEMD}.Inconsistent", text)
            found |= dict(zip(some, statuses, strict=True))
        for some in _portions(made):
            # A name is its own pattern: systemd matches with FNM_NOESCAPE.
            (rows,) = await self._read("ListUnitsByPatterns", "asas", [[], some])
            found |= {status.name: status for status in map(_status, rows_of(rows))}
        return found


def rows_of(value: object) -> list[list[object]]:
    """Return an array of structures as systemd sent it; nothing for anything else."""
    return [row for row in value if isinstance(row, list)] if isinstance(value, list) else []


def number_of(value: object) -> int:
    """Return a number as systemd sent it; 0 for anything else."""
    return value if isinstance(value, int) else 0


def _portions(units: Sequence[str]) -> Iterator[list[str]]:
    for first in range(0, len(units), _UNITS_MAX):
        yield list(units[first : first + _UNITS_MAX])


def _retrieve(task: asyncio.Task[Found]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


def _status(row: list[object]) -> UnitStatus:
    name, _, load, active, sub, _, _, job, job_type, _ = row
    return UnitStatus(
        name=str(name),
        load=str(load),
        active=str(active),
        sub=str(sub),
        job=number_of(job),
        job_type=str(job_type),
    )


def _absent(unit: str) -> UnitStatus:
    return UnitStatus(name=unit, load="not-found", active="inactive", sub="dead")
