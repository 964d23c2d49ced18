# SPDX-License-Identifier: Apache-2.0
"""Snapshots and a daemon to show them to the commands, shared by the tests of view and CLI."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.cli.client import DaemonError, Outcome, Terms
from rgmgr.core.model import (
    ClusterState,
    Node,
    NodeStatus,
    Proof,
    ProofKind,
    Service,
    ServiceState,
)
from rgmgr.core.spec import ClusterSpec, FencingSpec, NodeSpec, ServiceSpec
from rgmgr.history_view import History
from rgmgr.links import CorosyncView
from rgmgr.present import Present
from rgmgr.view import Standing, Status, snapshot
from tests.unit.cli_links import sound

NODE1, NODE2, NODE3 = NodeId(1), NodeId(2), NodeId(3)
WEB, MAIL, DB = ServiceName("web"), ServiceName("mail"), ServiceName("db")
NOW_MS = 1_000_000

DOMAIN = FailoverDomain(name="prefer-node1", priorities={NODE1: 1, NODE2: 2}, ordered=True)
SPEC = ClusterSpec(
    name="alpha",
    version=3,
    digest="d",
    nodes={n: NodeSpec(name=f"node{n}") for n in (NODE1, NODE2, NODE3)},
    services=(
        ServiceSpec(name=WEB, resources=(), domain="prefer-node1"),
        ServiceSpec(name=MAIL, resources=()),
        ServiceSpec(name=DB, resources=()),
    ),
    domains={"prefer-node1": DOMAIN},
)
UNFENCED_SPEC = ClusterSpec(
    name=SPEC.name,
    version=SPEC.version,
    digest=SPEC.digest,
    nodes=SPEC.nodes,
    services=SPEC.services,
    domains=SPEC.domains,
    fencing=FencingSpec(unsafe_disabled=True),
)

NODES = {
    NODE1: Node(status=NodeStatus.ONLINE, incarnation=1),
    NODE2: Node(status=NodeStatus.ONLINE, incarnation=1),
    NODE3: Node(
        status=NodeStatus.UNCLEAN,
        incarnation=1,
        victim=7,
        fencer=NODE1,
        attempt=2,
        last_fault="ipmi1: timed out",
        proof=Proof(kind=ProofKind.FENCED, at_ms=400_000, by=NODE2, detail="ipmi1"),
    ),
}
SERVICES = {
    WEB: Service(
        spec=SPEC.services[0],
        state=ServiceState.STARTED,
        owner=NODE1,
        last_owner=NODE2,
        since_ms=NOW_MS - 200_000,
        restarts=2,
        frozen=True,
    ),
    MAIL: Service(
        spec=SPEC.services[1],
        state=ServiceState.STARTED,
        owner=NODE3,
        since_ms=NOW_MS - 900_000,
    ),
    DB: Service(
        spec=SPEC.services[2],
        state=ServiceState.FAILED,
        last_owner=NODE2,
        since_ms=NOW_MS - 5_000,
        fault="data: umount timed out",
    ),
}
CLUSTER = ClusterState(
    spec=SPEC, epoch=12, applied=40, now_ms=NOW_MS, nodes=NODES, services=SERVICES, has_formed=True
)
STANDING = Standing(
    me=NODE1,
    is_connected=True,
    is_quorate=True,
    is_installed=True,
    ring_nodes=(NODE1, NODE2),
    now_ms=NOW_MS,
)
NO_QUORUM = Standing(
    me=NODE1, is_connected=True, is_quorate=False, is_installed=False, ring_nodes=(NODE1,)
)
JOINING = Standing(
    me=NODE1,
    is_connected=True,
    is_quorate=True,
    is_installed=False,
    ring_nodes=(NODE1, NODE2),
    note="waiting for HELLO of node2",
)


def troubled() -> Status:
    """Node3 is unclean with a service on it, another service failed to stop."""
    return snapshot(CLUSTER, STANDING, SPEC)


def healthy() -> Status:
    """Everything is where it should be, and node3 said goodbye."""
    nodes = {**NODES, NODE3: Node(status=NodeStatus.LEFT)}
    services = {
        name: Service(
            spec=service.spec, state=ServiceState.STARTED, owner=NODE1, since_ms=NOW_MS - 720_000
        )
        for name, service in SERVICES.items()
    }
    cluster = ClusterState(
        spec=SPEC, epoch=12, now_ms=NOW_MS, nodes=nodes, services=services, has_formed=True
    )
    return snapshot(cluster, STANDING, SPEC)


def inquorate() -> Status:
    return snapshot(CLUSTER, NO_QUORUM, SPEC)


def unfenced() -> Status:
    return snapshot(None, JOINING, UNFENCED_SPEC)


@dataclass
class FakeDaemon:
    """Shows one snapshot, answers every request alike, and remembers what was asked."""

    shown: Status
    outcome: Outcome | DaemonError = field(default_factory=lambda: Outcome(0, "done", "node1"))
    asked: list[tuple[str, str, str, float]] = field(default_factory=list)
    seen: CorosyncView = field(default_factory=sound)
    told: Present | None = None
    decided: History = field(default_factory=lambda: History(decisions=()))
    later: list[Status] = field(default_factory=list)
    ordered: list[Terms] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def present(self) -> Present:
        assert self.told is not None
        return self.told

    def status(self) -> Status:
        return self.shown

    def corosync(self) -> CorosyncView:
        return self.seen

    def history(self) -> History:
        return self.decided

    def wait_for_change(self, timeout_s: float) -> None:
        """Show the next snapshot; the end of patience comes at once."""
        if timeout_s and self.later:
            self.shown = self.later.pop(0)
        elif timeout_s:
            raise KeyboardInterrupt

    def order(self, order: str, node: str, terms: Terms, timeout_s: float) -> Outcome:
        self.ordered.append(terms)
        return self.request(order, "", node, timeout_s)

    def request(
        self, verb: str, service: str, node: str, timeout_s: float, because: str = ""
    ) -> Outcome:
        self.asked.append((verb, service, node, timeout_s))
        self.reasons.append(because)
        if isinstance(self.outcome, DaemonError):
            raise self.outcome
        return self.outcome

    def fence(self, order: str, node: str, timeout_s: float, because: str = "") -> Outcome:
        return self.request(f"fence {order}", "", node, timeout_s, because)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[FakeDaemon]:
        yield self


@dataclass
class AbsentDaemon:
    """Cannot be reached."""

    error: DaemonError

    @contextlib.contextmanager
    def __call__(self) -> Iterator[FakeDaemon]:
        raise self.error
        yield  # makes it a generator
