# SPDX-License-Identifier: Apache-2.0
"""Whether this node reaches what it should: an address that answers, a link that is there.

Asks once and tells once; how often, and what follows, is the core's. Source: ping(8), sysfs
`class/net/*/carrier`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from rgmgr.adapters import ping
from rgmgr.core.actions import SendPing
from rgmgr.core.events import PingEnded

NET = Path("/sys/class/net")


class Reach:
    """Carries `SendPing` out; each is answered by one event."""

    def __init__(
        self,
        emit: Callable[[PingEnded], None],
        *,
        reaches: Callable[[str], Awaitable[bool]] = ping.reaches,
        net: Path = NET,
    ) -> None:
        self._emit = emit
        self._reaches = reaches
        self._net = net

    async def ask(self, action: SendPing) -> None:
        """Ask for one of them."""
        target = action.ping
        if target.address:
            is_answered = await self._reaches(target.address)
        else:
            await asyncio.sleep(0)
            is_answered = self._has_link(target.interface)
        self._emit(PingEnded(target.name, is_answered))

    def _has_link(self, interface: str) -> bool:
        """Tell whether an interface is up and has a link; one that is not there has none."""
        try:
            carrier = (self._net / interface / "carrier").read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):  # down, or not there
            return False
        return carrier.strip() == "1"
