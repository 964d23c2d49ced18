# SPDX-License-Identifier: Apache-2.0
"""Who looks over the shoulder of every simulated daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rgmgr.core.actions import Action
from rgmgr.core.events import Event
from rgmgr.core.local import State
from rgmgr.core.messages import AnyRequest

if TYPE_CHECKING:
    from rgmgr.sim.daemon import Daemon
    from rgmgr.sim.host import Host


class Observer(Protocol):
    """Sees everything a daemon does; used for checks and for the story."""

    def began(self, host: Host) -> None:
        """A daemon was started."""

    def stepped(self, host: Host, event: Event, before: State) -> None:
        """The core took one event; `host.daemon.state` is what came out."""

    def acts(self, host: Host, action: Action) -> None:
        """An action is about to be carried out."""

    def asked(self, host: Host, request: AnyRequest) -> None:
        """An operator asked a daemon that is there."""

    def ended(self, host: Host, daemon: Daemon, reason: str) -> None:
        """A daemon is gone."""
