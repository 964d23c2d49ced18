# SPDX-License-Identifier: Apache-2.0
"""Virtual machines: which run here whatever their units are, and how one is sent elsewhere.

libvirt runs them, so one may come from another node, or go there, and no unit changes. Everything
here asks virsh or the helper; nothing is believed of a unit. Source: virsh(1).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import structlog

from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd.children import run
from rgmgr.adapters.systemd.manager import Manager
from rgmgr.adapters.systemd.programs import Property
from rgmgr.adapters.systemd.resources import MARK, Plan, helper_environment
from rgmgr.adapters.systemd.throwaway import run_to_end
from rgmgr.core.actions import MigrateResource
from rgmgr.core.events import ResourceStayed, ResourceStopFailed
from rgmgr.core.promise import LEASE_MS
from rgmgr.errors import BusError

TYPE = "vm"
URI = "qemu:///system"
EXIT_STAYS = 8
NOWHERE = "-"
"""Stands for a node to the helper: send nothing, only look."""
PAUSED = "--state-paused"
"""So is one that comes in from another node."""
SPARE_S = 60
"""Beyond its time limit a migration has so much to be called off and looked at."""

_LIST_TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


async def active(plans: Iterable[Plan], *only: str) -> frozenset[str]:
    """Return the units of those machines that libvirt has up here: all, or `PAUSED` ones only."""
    machines = [made for made in plans if made.spec.type == TYPE]
    uris = dict.fromkeys(_uri(made) for made in machines)
    said = await asyncio.gather(*(_listed(uri, *only) for uri in uris))
    names_by_uri = dict(zip(uris, said, strict=True))
    return frozenset(
        made.unit
        for made in machines
        if made.spec.parameters["machine"] in names_by_uri[_uri(made)]
    )


def _uri(plan: Plan) -> str:
    return plan.spec.parameters.get("uri", URI)


async def _listed(uri: str, *only: str) -> frozenset[str]:
    """Return what libvirt has; nothing where it is not installed or does not answer."""
    words = ["virsh", "--quiet", "--connect", uri, "list", "--name", *only]
    said = await run(words, _LIST_TIMEOUT_S)
    return frozenset((said or "").split())


def begin_by_ms() -> int:
    """Return until when an order of now may be begun, in milliseconds of CLOCK_BOOTTIME.

    Later the target may have been fenced and be up again, and nobody expects the machine there.
    """
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 + LEASE_MS


async def migrate(
    manager: Manager, plan: Plan, action: MigrateResource, begin_by_ms: int
) -> ResourceStayed | ResourceStopFailed | None:
    """Send a machine to another node, or only look; None: nothing of it is here any more.

    A throw-away unit does it, which goes on when this daemon ends, and only looks when it is late.
    """
    service, resource, op = plan.key.service, plan.key.resource, action.op
    unit, is_here = names.migration_unit(service, resource), False
    try:
        ended = await run_to_end(manager, unit, _definition(plan, action.target_name, begin_by_ms))
    except BusError as error:
        reason = f"systemd does not say how {unit} ended: {error}"
    else:
        if ended is None:
            return None
        is_here = ended.code == EXIT_STAYS
        said = ended.text or f"it ended with status {ended.code} (Result {ended.result})"
        reason = f"{said}; see 'journalctl -u {unit}'"
    log.warning("resource.not_migrated", unit=str(plan.key), reason=reason)
    kept = ResourceStayed if is_here else ResourceStopFailed
    return kept(service=service, resource=resource, op=op, reason=reason)


def _definition(plan: Plan, node: str, begin_by_ms: int) -> list[Property]:
    limit_s = int(plan.spec.parameters.get("migrate_timeout", "600")) + SPARE_S
    helper = str(plan.helper)
    environment = {**helper_environment(plan), f"{MARK}BEGIN_BY_MS": str(begin_by_ms)}
    aim = f"on its way to {node}" if node else "is it on its way?"
    return [
        ("Description", "s", f"{plan.description}, {aim}"),
        ("Slice", "s", plan.slice),
        ("Environment", "as", [f"{n}={value}" for n, value in environment.items()]),
        ("Type", "s", "oneshot"),
        ("NotifyAccess", "s", "main"),
        ("ExecStart", "a(sasb)", [[helper, [helper, "migrate", node or NOWHERE], False]]),
        ("TimeoutStartUSec", "t", limit_s * 1_000_000),
        ("StartLimitIntervalUSec", "t", 0),
    ]
