# SPDX-License-Identifier: Apache-2.0
"""What the core hears without delay: messages of the group, and its timers.

Nearly all that an idle daemon does is done here, some ten times a second: so each is handled in the
turn of the loop that brought it, and members keep step (`core.lease.is_cue`).
"""

from __future__ import annotations

import structlog

from rgmgr.adapters.corosync import GroupMember, MessageReceived
from rgmgr.adapters.timers import Timers
from rgmgr.core.clockwork import TICK
from rgmgr.core.events import TimerFired
from rgmgr.core.lease import EARLY_MS, is_cue
from rgmgr.errors import WireError, WireFault
from rgmgr.runtime.pump import Pump
from rgmgr.runtime.ticks import Ticks
from rgmgr.runtime.translate import delivered

log = structlog.get_logger("rgmgrd")


class Hearing:
    """Brings messages and timers to the pump. Until there is one, nothing is heard."""

    def __init__(self) -> None:
        self.ticks = Ticks()
        self.timers = Timers(self._expired)
        self._pump: Pump | None = None

    def begin(self, pump: Pump) -> None:
        """Hear for this core from now on."""
        self._pump = pump

    def take(self, received: MessageReceived) -> None:
        """Take a message; it is handled by `drain`."""
        try:
            event = delivered(received)
        except WireError as error:
            _drop(received.sender, error)
            return
        pump = self._pump
        if pump is None:
            return
        self.ticks.heard(event)
        pump.add(event)
        if is_cue(pump.state, event):
            self.timers.hasten(TICK, EARLY_MS)

    def drain(self) -> None:
        """Handle all that came together."""
        if self._pump is not None:
            self._pump.drain()

    def _expired(self, event: TimerFired) -> None:
        if self._pump is not None:
            self._pump.add(event)
            self._pump.drain()


def _drop(sender: GroupMember, error: WireError) -> None:
    """Say what could not be read; what we must understand and do not is an error."""
    is_severe = error.fault is WireFault.NOT_UNDERSTOOD
    write = log.error if is_severe else log.warning
    write("message.dropped", node=sender.node, pid=sender.pid, reason=str(error))
