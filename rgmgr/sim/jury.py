# SPDX-License-Identifier: Apache-2.0
"""The checks that follow agreed states and what members say: one place to ask them all.

The watch tells what happened; each check has its own module and its own invariant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domains.model import NodeId
from rgmgr.core.actions import Multicast
from rgmgr.core.events import Event
from rgmgr.core.local import State
from rgmgr.core.messages import Install, Operation
from rgmgr.core.model import ClusterState
from rgmgr.errors import InvariantViolation
from rgmgr.sim.bounds import check_agreed, check_local
from rgmgr.sim.engine import Engine
from rgmgr.sim.evictions import welcomed_too_early
from rgmgr.sim.excuses import Excuses
from rgmgr.sim.host import Host
from rgmgr.sim.leftovers import Active, Leftovers
from rgmgr.sim.moves import Moves
from rgmgr.sim.part_windows import PartWindows
from rgmgr.sim.shares import Shares
from rgmgr.sim.windows import Windows, installed

CALLS_PER_SECOND_MAX = 400
"""For each node, and an eighth of it for each service there: more than the busiest second has."""


class Jury:
    """I8 to I13, as far as they can be seen while a world runs."""

    def __init__(
        self,
        engine: Engine,
        active: Active,
        excuses: Excuses,
        violate: Callable[[str, str], None],
    ) -> None:
        self.moves = Moves(violate)
        self.shares = Shares(excuses, violate)
        self._windows = Windows(violate)
        self._part_windows = PartWindows(violate)
        self._leftovers = Leftovers(engine, active, excuses, violate)
        self._engine = engine
        self._calls_made = 0
        self._calls_max = 0
        self._violate = violate

    def begin(self, hosts: Mapping[NodeId, Host]) -> None:
        """The world is built: look at these nodes from now on."""
        self._leftovers.begin(hosts)
        services = max((len(host.spec.services) for host in hosts.values()), default=0)
        self._calls_max = CALLS_PER_SECOND_MAX * len(hosts) * (8 + services) // 8
        self._count_later()

    def _count_later(self) -> None:
        self._engine.after(1_000, self._count)

    def _count(self) -> None:
        """End a world whose members keep each other busy without end (I13)."""
        calls = self._engine.calls_made - self._calls_made
        self._calls_made = self._engine.calls_made
        if calls > self._calls_max:
            raise InvariantViolation(f"I13: a storm of {calls} events in one second")
        self._count_later()

    def began(self, node: NodeId) -> None:
        """A daemon starts."""
        self._windows.began(node)

    def stepped(self, node: NodeId, after: State) -> None:
        """A daemon took an event that `may_differ` asks about."""
        for sentence in check_local(after):
            self._violate("I13", f"{after.cluster.spec.node_name(node)} {sentence}")

    def changed(
        self, node: NodeId, event: Event, before: State, after: State, *, is_first: bool
    ) -> None:
        """The agreed state of a member changed; `is_first`: no other member was there before."""
        install = installed(event)
        self._windows.changed(node, install, before.cluster, after.cluster)
        if is_first:
            self._changed_first(event, before.cluster, after.cluster)

    def _changed_first(self, event: Event, before: ClusterState, after: ClusterState) -> None:
        message = getattr(event, "message", None)
        cause = message if isinstance(message, Install | Operation) else None
        self.moves.changed(cause, before, after)
        self._part_windows.changed(cause, before, after)
        if isinstance(cause, Install):
            for sentence in welcomed_too_early(cause, before, after):
                self._violate("I5", sentence)
        for sentence in check_agreed(after):
            self._violate("I13", sentence)

    def says(self, host: Host, action: Multicast) -> None:
        """A member is about to send a message."""
        match action.message:
            case Install() as install:
                self._windows.sends(host.node, install)
            case Operation() as operation:
                self._leftovers.says(host, operation)
            case _:
                pass
