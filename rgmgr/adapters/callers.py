# SPDX-License-Identifier: Apache-2.0
"""Who asks on the bus, and whether he may operate the cluster."""

from __future__ import annotations

import grp
import os

import structlog

from rgmgr.adapters.bus import BUS_DESTINATION, BUS_PATH, Bus
from rgmgr.errors import BusError

log = structlog.get_logger(__name__)


class NotAllowedError(Exception):
    """The caller is neither root nor an operator, or nobody can tell who he is."""


async def operator_uid(bus: Bus, caller: str, group: str) -> int | None:
    """Return the uid of a caller who may operate: root, or a member of the group.

    The groups come from the bus, which took them from the kernel when the caller connected:
    asking the name service for them could block this whole daemon.

    Raises:
        NotAllowedError: he may not.
    """
    try:
        (answer,) = await bus.call(
            BUS_DESTINATION,
            BUS_PATH,
            BUS_DESTINATION,
            "GetConnectionCredentials",
            "s",
            [caller],
        )
    except BusError as error:
        raise NotAllowedError(f"cannot tell who asks: {error}") from error
    uid, groups = _credentials(answer)
    if uid in (0, os.geteuid()) or _group_id(group) in groups:
        return uid
    log.warning("request.refused", sender=caller, uid=uid, reason="not an operator")
    raise NotAllowedError(f"uid {uid} is neither root nor in group {group!r}")


def _credentials(answer: object) -> tuple[int | None, tuple[int, ...]]:
    """Return uid and groups of an a{sv}; a bus that tells no groups gives none away."""
    fields = answer if isinstance(answer, dict) else {}
    uid, groups = fields.get("UnixUserID"), fields.get("UnixGroupIDs")
    gids = tuple(groups) if isinstance(groups, list) else ()
    return (uid if isinstance(uid, int) else None), gids


def _group_id(name: str) -> int | None:
    """Return the id of a group; one that does not exist has no members."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
