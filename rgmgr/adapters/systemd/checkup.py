# SPDX-License-Identifier: Apache-2.0
"""Looks at units for a check-up, without a daemon: one connection, a few properties, no signals.

Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rgmgr.adapters.bus import Bus
from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.manager import MANAGER, MANAGER_PATH, PROPERTIES, UNIT
from rgmgr.adapters.systemd.statuses import SYSTEMD

TIMEOUT_S = 5.0
_SERVICE = f"{SYSTEMD}.Service"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """What may let a unit act by itself, or not act at all."""

    name: str
    load: str  # loaded, not-found, masked, bad-setting, error
    active: str
    file_state: str  # enabled, disabled, static ...; empty: it has no file
    restart: str = "no"  # what is in force now
    watchdog_us: int = 0
    drop_ins: tuple[str, ...] = ()  # paths
    needs_reload: bool = False
    triggered_by: tuple[str, ...] = ()  # sockets, timers, paths that are active
    wanted_by: tuple[str, ...] = ()  # targets and units that start it with themselves


async def look_up(units: Sequence[str]) -> dict[str, UnitFacts]:
    """Return the facts of these units of this machine, by name; systemd loads them if needed.

    Raises:
        BusError: systemd cannot be asked.
    """
    bus = await Bus.connect(timeout_s=TIMEOUT_S)
    try:
        found = await asyncio.gather(*(_facts(bus, unit) for unit in units))
    finally:
        await bus.close()
    return dict(zip(units, found, strict=True))


async def look_for_services() -> dict[str, tuple[str, ...]]:
    """Return every service of which anything is up on this machine, with its units.

    Raises:
        BusError: systemd cannot be asked.
    """
    bus = await Bus.connect(timeout_s=TIMEOUT_S)
    try:
        (rows,) = await bus.call(
            SYSTEMD, MANAGER_PATH, MANAGER, "ListUnitsByPatterns", "asas",
            [[], [names.SLICE_PATTERN]], timeout_s=TIMEOUT_S,
        )  # fmt: skip
        slices = [str(row[0]) for row in rows] if isinstance(rows, list) else []
        up = {
            service: await _up_in(bus, s) for s in slices if (service := names.service_of_slice(s))
        }
    finally:
        await bus.close()
    return {service: units for service, units in sorted(up.items()) if units}


async def _up_in(bus: Bus, slice_: str) -> tuple[str, ...]:
    inside = _texts((await _properties(bus, slice_, UNIT)).get("SliceOf"))
    states = await asyncio.gather(*(_properties(bus, unit, UNIT) for unit in inside))
    down = ("inactive", "failed")
    return tuple(
        unit
        for unit, found in zip(inside, states, strict=True)
        if found.get("ActiveState") not in down
    )


async def _facts(bus: Bus, unit: str) -> UnitFacts:
    of_unit = await _properties(bus, unit, UNIT)
    of_type = await _properties(bus, unit, _SERVICE) if unit.endswith(".service") else {}
    triggers = [
        trigger
        for trigger in _texts(of_unit.get("TriggeredBy"))
        if (await _properties(bus, trigger, UNIT)).get("ActiveState") == "active"
    ]
    watchdog = of_type.get("WatchdogUSec")
    return UnitFacts(
        name=unit,
        load=str(of_unit.get("LoadState", "")),
        active=str(of_unit.get("ActiveState", "")),
        file_state=str(of_unit.get("UnitFileState", "")),
        restart=str(of_type.get("Restart", "no")),
        watchdog_us=watchdog if isinstance(watchdog, int) else 0,
        drop_ins=_texts(of_unit.get("DropInPaths")),
        needs_reload=of_unit.get("NeedDaemonReload") is True,
        triggered_by=tuple(triggers),
        wanted_by=_texts(of_unit.get("WantedBy")) + _texts(of_unit.get("RequiredBy")),
    )


async def _properties(bus: Bus, unit: str, interface: str) -> dict[str, object]:
    path = names.object_path(unit)
    (found,) = await bus.call(
        SYSTEMD, path, PROPERTIES, "GetAll", "s", [interface], timeout_s=TIMEOUT_S
    )
    return found if isinstance(found, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
