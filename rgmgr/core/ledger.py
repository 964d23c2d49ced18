# SPDX-License-Identifier: Apache-2.0
"""The agreed state while one agreed event changes it.

Every function that changes agreed state takes a `Ledger`; none may look at local state, so all
members write the same. Collects the journal lines that the change
deserves, and keeps them as history.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Record, Severity
from rgmgr.core.evolve import changed, replace
from rgmgr.core.model import (
    FACT_CHARS_MAX,
    HISTORY_MAX,
    ClusterState,
    Decision,
    Node,
    Service,
    ServiceState,
)

WORKING = (ServiceState.STARTING, ServiceState.STOPPING, ServiceState.RECOVERABLE)
"""States in which the owner has something to do."""


class Ledger:
    """A `ClusterState` under change; read `state` when done. `before`: as it was to begin with."""

    def __init__(self, state: ClusterState) -> None:
        self.before = state
        self.state = state
        self.records: list[Record] = []
        self._own: dict[ServiceName, Service] = {}
        self._touched: dict[ServiceName, None] | None = None  # in `_own`; None: not known

    def changed(self) -> list[ServiceName]:
        """Return the services whose records are not what they were to begin with."""
        before, now = self.before.services, self.state.services
        if now is not self._own or self._touched is None:
            return changed(before, now)
        return [name for name in self._touched if now[name] is not before.get(name)]

    def note(
        self, event: str, severity: Severity = Severity.INFO, **fields: str | int | None
    ) -> None:
        """Add a journal line, which is kept in the history as well."""
        self.records.append(Record(event=event, severity=severity, fields=fields))
        ahead_ms = self.state.wall_ahead_ms
        decision = Decision(
            at_ms=self.state.now_ms,
            wall_s=(self.state.now_ms + ahead_ms) // 1000 if ahead_ms else 0,
            event=event,
            facts={k: str(v)[:FACT_CHARS_MAX] for k, v in fields.items() if v is not None},
        )
        history = (*self.state.history, decision)[-HISTORY_MAX:]
        self.state = replace(self.state, history=history)

    def name(self, node: NodeId | None) -> str | None:
        """Return a node's name for a journal line."""
        return None if node is None else self.state.spec.node_name(node)

    def take_op(self) -> int:
        """Return a fresh number for a transition or a fencing case."""
        number = self.state.next_op
        self.state = replace(self.state, next_op=number + 1)
        return number

    def put_node(self, node_id: NodeId, node: Node) -> None:
        """Write a node's record."""
        self.state = replace(self.state, nodes={**self.state.nodes, node_id: node})

    def put(self, service: Service) -> None:
        """Write a service's record as it is."""
        services = self.state.services
        if self._own is not services:  # one copy for all that this event changes
            self._touched = {} if services is self.before.services else None
            self._own = dict(services)
            self.state = replace(self.state, services=self._own)
        self._own[service.spec.name] = service
        if self._touched is not None:
            self._touched[service.spec.name] = None

    def move(self, service: Service, to: ServiceState) -> Service:
        """Write a record in its new state, with a fresh number where the owner has to act."""
        op = self.take_op() if to in WORKING else service.op
        moved = replace(service, state=to, op=op, since_ms=self.state.now_ms)
        self.put(moved)
        return moved

    def renew(self, service: Service) -> None:
        """Write a record with a fresh number: its owner has something to do, whatever its state."""
        self.put(replace(service, op=self.take_op()))

    def drop(self, name: ServiceName) -> None:
        """Forget a service that is no longer configured."""
        services = {n: s for n, s in self.state.services.items() if n != name}
        self.state = replace(self.state, services=services)
