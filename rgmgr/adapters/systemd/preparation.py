# SPDX-License-Identifier: Apache-2.0
"""What must be done before a unit of ours may start: a file system is checked and repaired.

A throw-away unit in the service's slice does it, for it may take long and must be seen, and
stopped, like everything else of the service. Source: fsck(8).
"""

from __future__ import annotations

import asyncio

from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.manager import UNIT_EXISTS, Manager, job_path
from rgmgr.adapters.systemd.programs import Property
from rgmgr.adapters.systemd.resources import Plan, helper_environment
from rgmgr.adapters.systemd.statuses import UnitStatus
from rgmgr.core.spec import ResourceSpec
from rgmgr.errors import BusError

FSCK = "/sbin/fsck"

_WITHOUT_JOURNAL = frozenset({"exfat", "ext2", "fat", "minix", "msdos", "vfat"})
_EXT = frozenset({"ext2", "ext3", "ext4"})
_CORRECTED = 1
_OK = [[_CORRECTED], []]
_JOB_LOOK_S = 5.0
_LOOK_AGAIN_S = 0.1

_STATUSES = {
    4: "it has errors that need a human: run fsck by hand",
    8: "it could not be checked: the device is missing, in use here, or active on another node",
}


def unit_of(plan: Plan) -> str | None:
    """Return the unit that prepares a resource; None when nothing is to be prepared."""
    if plan.spec.type != "fs" or not _is_checked(plan.spec):
        return None
    return names.preparation_unit(plan.key.service, plan.key.resource)


def definition(plan: Plan) -> list[Property]:
    """Return the properties of that unit. Repairs what is safe; a full check only if forced."""
    parameters = plan.spec.parameters
    words = [FSCK, "-T", "-t", parameters["fstype"], parameters["device"], "-a"]
    if parameters.get("fsck") == "always" and parameters["fstype"] in _EXT:
        words.append("-f")
    return [
        ("Description", "s", f"{plan.key.service}: check of {parameters['device']}"),
        ("Slice", "s", plan.slice),
        ("Environment", "as", [f"{n}={value}" for n, value in helper_environment(plan).items()]),
        ("Type", "s", "oneshot"),
        ("ExecStart", "a(sasb)", [[FSCK, words, False]]),
        ("SuccessExitStatus", "(aiai)", _OK),
        ("TimeoutStartUSec", "t", plan.spec.start_timeout_ms * 1000),
        ("StartLimitIntervalUSec", "t", 0),
    ]


async def prepare(manager: Manager, plan: Plan, unit: str) -> str | None:
    """Run it to its end; return why the resource cannot be started, None when it can.

    Raises:
        BusError: systemd cannot be reached; doing it once more is harmless.
    """
    has_begun = False
    while True:
        status = await manager.status(unit)
        if status.job:
            await manager.job_result(job_path(status.job), _JOB_LOOK_S)
        elif status.active == "failed":
            reason = await _why_failed(manager, plan, status)
            await manager.call("ResetFailedUnit", "s", [unit])
            if has_begun:
                return reason
        elif not status.is_down:
            await asyncio.sleep(_LOOK_AGAIN_S)
        elif has_begun:
            return None
        else:
            has_begun = await _begin(manager, plan, unit)


async def _begin(manager: Manager, plan: Plan, unit: str) -> bool:
    try:
        job = await manager.start_transient(unit, definition(plan))
    except BusError as error:
        if error.name != UNIT_EXISTS:
            raise
        await asyncio.sleep(_LOOK_AGAIN_S)
        return False
    await manager.job_result(job, _JOB_LOOK_S)
    return True


async def _why_failed(manager: Manager, plan: Plan, status: UnitStatus) -> str:
    properties = await manager.type_properties(status.name, "ExecMainStatus", "Result")
    code = properties.get("ExecMainStatus")
    words = _STATUSES.get(code) if isinstance(code, int) else None
    device = plan.spec.parameters["device"]
    found = words or f"fsck ended with status {code} (Result {properties.get('Result')})"
    return f"{device} is not mounted: {found}; see 'journalctl -u {status.name}'"


def _is_checked(spec: ResourceSpec) -> bool:
    when = spec.parameters.get("fsck", "auto")
    has_no_journal = spec.parameters["fstype"] in _WITHOUT_JOURNAL
    return when == "always" or (when == "auto" and has_no_journal)
