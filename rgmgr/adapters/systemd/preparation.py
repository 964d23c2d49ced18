# SPDX-License-Identifier: Apache-2.0
"""What must be done before a unit of ours may start: a file system is checked and repaired.

A throw-away unit in the service's slice does it, for it may take long and must be seen, and
stopped, like everything else of the service. Source: fsck(8).
"""

from __future__ import annotations

from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.manager import Manager
from rgmgr.adapters.systemd.programs import Property
from rgmgr.adapters.systemd.resources import Plan, helper_environment
from rgmgr.adapters.systemd.throwaway import run_to_end
from rgmgr.core.spec import ResourceSpec

FSCK = "/sbin/fsck"

_WITHOUT_JOURNAL = frozenset({"exfat", "ext2", "fat", "minix", "msdos", "vfat"})
_EXT = frozenset({"ext2", "ext3", "ext4"})
_CORRECTED = 1
_OK = [[_CORRECTED], []]

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
    ended = await run_to_end(manager, unit, definition(plan))
    if ended is None:
        return None
    words = _STATUSES.get(ended.code) if ended.code is not None else None
    device = plan.spec.parameters["device"]
    found = words or f"fsck ended with status {ended.code} (Result {ended.result})"
    return f"{device} is not mounted: {found}; see 'journalctl -u {ended.unit}'"


def _is_checked(spec: ResourceSpec) -> bool:
    when = spec.parameters.get("fsck", "auto")
    has_no_journal = spec.parameters["fstype"] in _WITHOUT_JOURNAL
    return when == "always" or (when == "auto" and has_no_journal)
