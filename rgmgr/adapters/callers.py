# SPDX-License-Identifier: Apache-2.0
"""Who asks on the bus, what his role is, and whether he asks too much."""

from __future__ import annotations

import grp
import os
import time
from collections import OrderedDict

import structlog

from rgmgr.adapters.bus import BUS_DESTINATION, BUS_PATH, Bus
from rgmgr.adapters.throttle import CALLERS_MAX, Throttle
from rgmgr.errors import BusError

OPERATOR_GROUP = "rgmgr-operator"
READER_GROUP = "rgmgr-reader"

log = structlog.get_logger(__name__)

Credentials = tuple[int | None, tuple[int, ...]]


class NotAllowedError(Exception):
    """The caller's role does not include it, or nobody can tell who he is."""


class Callers:
    """The callers of one bus connection.

    A name on the bus is never used twice, and its groups are those that it connected with, so what
    the bus said of a caller is remembered. Asking the name service for his groups instead could
    block this whole daemon.

    Args:
        bus: of the callers.
        operators: whose members may operate, besides root.
        readers: whose members may look, besides those.
    """

    def __init__(
        self, bus: Bus, operators: str = OPERATOR_GROUP, readers: str = READER_GROUP
    ) -> None:
        self._bus = bus
        self._operators = operators
        self._readers = readers
        self._known: OrderedDict[str, Credentials] = OrderedDict()
        self._throttle = Throttle(time.monotonic)

    def is_too_much(self, caller: str) -> bool:
        """Count one more call; tell whether this caller asks more than is good for the others."""
        return self._throttle.is_too_much(caller)

    async def operator_uid(self, caller: str) -> int | None:
        """Return the uid of a caller who may operate: root, or a member of the group.

        Raises:
            NotAllowedError: he may not.
        """
        return await self._uid(caller, (self._operators,))

    async def reader_uid(self, caller: str) -> int | None:
        """Return the uid of a caller who may look: an operator, or a member of the readers.

        Raises:
            NotAllowedError: he may not.
        """
        return await self._uid(caller, (self._operators, self._readers))

    async def _uid(self, caller: str, groups: tuple[str, ...]) -> int | None:
        uid, gids = await self._credentials(caller)
        if uid in (0, os.geteuid()) or any(_group_id(group) in gids for group in groups):
            return uid
        named = " or ".join(repr(group) for group in groups)
        log.warning("request.refused", sender=caller, uid=uid, reason=f"not in group {named}")
        raise NotAllowedError(f"uid {uid} is neither root nor in group {named}")

    async def _credentials(self, caller: str) -> Credentials:
        if caller in self._known:
            return self._known[caller]
        try:
            (answer,) = await self._bus.call(
                BUS_DESTINATION,
                BUS_PATH,
                BUS_DESTINATION,
                "GetConnectionCredentials",
                "s",
                [caller],
            )
        except BusError as error:
            raise NotAllowedError(f"cannot tell who asks: {error}") from error
        self._known[caller] = found = _read(answer)
        if len(self._known) > CALLERS_MAX:
            self._known.popitem(last=False)
        return found


def _read(answer: object) -> Credentials:
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
