# SPDX-License-Identifier: Apache-2.0
"""Units that do one thing and go: run to their end, seen and stopped like all else of a service.

Looks at what the unit is, not at what a job said, so that one which an earlier daemon began is
waited for like one's own. Source: org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from rgmgr.adapters.systemd.manager import UNIT_EXISTS, Manager, job_path
from rgmgr.adapters.systemd.programs import Property
from rgmgr.errors import BusError

_JOB_LOOK_S = 5.0
_LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Ended:
    """How a oneshot that failed ended. `code` is None when it was killed or never ran."""

    unit: str
    code: int | None
    result: str  # systemd's word for it
    text: str  # what it said last of itself; empty: nothing


async def run_to_end(manager: Manager, unit: str, definition: Sequence[Property]) -> Ended | None:
    """Run a oneshot to its end, or the one of that name that runs already; None: it succeeded.

    Raises:
        BusError: systemd cannot be reached; doing it once more is harmless.
    """
    has_begun = False
    while True:
        status = await manager.status(unit)
        if status.job:
            await manager.job_result(job_path(status.job), _JOB_LOOK_S)
        elif status.active == "failed":
            ended = await _ended(manager, status.name)
            await manager.call("ResetFailedUnit", "s", [unit])
            if has_begun:
                return ended
        elif not status.is_down:
            await asyncio.sleep(_LOOK_AGAIN_S)
        elif has_begun:
            return None
        else:
            has_begun = await _begin(manager, unit, definition)


async def _begin(manager: Manager, unit: str, definition: Sequence[Property]) -> bool:
    try:
        job = await manager.start_transient(unit, definition)
    except BusError as error:
        if error.name != UNIT_EXISTS:
            raise
        await asyncio.sleep(_LOOK_AGAIN_S)
        return False
    await manager.job_result(job, _JOB_LOOK_S)
    return True


async def _ended(manager: Manager, unit: str) -> Ended:
    found = await manager.type_properties(unit, "ExecMainStatus", "Result", "StatusText")
    code = found.get("ExecMainStatus")
    return Ended(
        unit,
        code if isinstance(code, int) else None,
        str(found.get("Result")),
        str(found.get("StatusText") or ""),
    )
