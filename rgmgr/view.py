# SPDX-License-Identifier: Apache-2.0
"""What an operator may see: one frozen snapshot of the cluster, with names instead of ids.

Owns the schema behind `rgmgr status --json`, `clustat` and the D-Bus interface. Decides nothing
and renders nothing: commands turn the facts into text. Pure. `snapshot` is the entry point. What
only it needs is loaded when it is called: a command that reads a snapshot makes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from domains.model import NodeId, ServiceName
from rgmgr.fence_view import (
    CaseView,
    FencingView,
    PathView,
    ProofView,
    cases_of,
    fencing_of,
    path_text,
    paths_of,
    proof_of,
    unclean_text,
)
from rgmgr.order_view import OrderView, order_texts, view_of

if TYPE_CHECKING:
    from rgmgr.core.model import ClusterState, Service
    from rgmgr.core.spec import ClusterSpec, ResourceName, ServiceSpec

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes away; a new field does not raise it."""

NODE_UNKNOWN = "unknown"
"""Status of a node while this one shares no agreed state with anybody."""

STATE_FAILED = "failed"
STATE_UNINITIALIZED = "uninitialized"
CODE_UNINITIALIZED = 115
"""rgmanager's state of a service of which this node has no record."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """Which cluster.toml a node has read; equal files have equal digests."""

    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What this node alone knows about its own place in the cluster.

    `note` says why the node does not act yet, such as 'waiting for HELLO of node3'. `now_ms` is
    cluster time as reckoned here; the agreed state only knows the latest stamp it has seen.
    `orphans`: what runs here of services that no member knows.
    """

    me: NodeId | None
    is_connected: bool  # to corosync
    is_quorate: bool
    is_installed: bool  # in an epoch
    ring_nodes: tuple[NodeId, ...] = ()
    note: str = ""
    now_ms: int = 0
    files: Mapping[NodeId, ConfigFile] = field(default_factory=dict)
    skews_ms: Mapping[NodeId, int] = field(default_factory=dict)
    orphans: Mapping[ServiceName, tuple[ResourceName, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something an operator must not overlook. `code` is stable, `text` is for people."""

    # no-corosync, no-quorum, not-joined, disarmed, locked, standby, fencing-disabled, unclean,
    # fence-path, failed, partial, orphan
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node. `is_in_ring` is corosync's word, `is_member` whether its daemon takes part."""

    name: str
    id: int
    status: str
    is_local: bool
    is_configured: bool
    is_in_ring: bool
    is_member: bool
    services: int  # that it owns
    fencing: FencingView | None = None
    proof: ProofView | None = None
    file: ConfigFile | None = None  # None: it has not told
    skew_ms: int | None = None  # its wall clock is ahead of this node's by so much; None: not told
    paths: tuple[PathView, ...] = ()  # by method, then by who tested
    is_cut_off: bool = False  # its paths are still to be opened: it gets no services
    standby: OrderView | None = None  # set: it gets no services


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceView:
    """One service. `because` is None exactly when it waits for nothing."""

    name: str
    state: str
    code: int  # rgmanager's number of the state
    owner: str | None
    last_owner: str | None
    since_ms: int  # cluster time of the last transition
    age_ms: int  # how long ago that was
    restarts: int
    flags: tuple[str, ...]  # frozen, held, partial
    domain: str | None
    because: str | None
    fault: str  # the latest failure in words; empty: none
    off: tuple[str, ...] = ()  # parts that a partial service runs without, by their topmost


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that one member can tell. Nodes by id, services by name."""

    schema: int = SCHEMA_VERSION
    cluster: str
    config_version: int
    epoch: int
    node: str | None  # the member that answers
    is_connected: bool
    is_quorate: bool
    is_installed: bool
    is_fencing_enabled: bool
    note: str
    notices: tuple[Notice, ...]
    nodes: tuple[NodeView, ...]
    services: tuple[ServiceView, ...]
    cases: tuple[CaseView, ...] = ()  # the latest, oldest first
    locked: OrderView | None = None  # set: no service starts
    disarmed: OrderView | None = None  # set: nothing is done by the cluster itself

    def node_named(self, name: str) -> NodeView | None:
        """Return the node of exactly this name."""
        return next((node for node in self.nodes if node.name == name), None)

    def service_named(self, name: str) -> ServiceView | None:
        """Return the service of this name; rgmanager's prefix `service:` may stand before it."""
        bare = name.removeprefix("service:")
        return next((service for service in self.services if service.name == bare), None)


def snapshot(cluster: ClusterState | None, standing: Standing, spec: ClusterSpec) -> Status:
    """Return what an operator may see now.

    Without an agreed state (`cluster` is None) the configuration says which nodes and services
    there are, and nothing is known of them but who is in the ring.
    """
    agreed = cluster.spec if cluster else spec
    nodes = _nodes(cluster, standing, agreed)
    services = _services(cluster, standing, agreed)
    return Status(
        cluster=agreed.name,
        config_version=agreed.version,
        epoch=cluster.epoch if cluster else 0,
        node=None if standing.me is None else agreed.node_name(standing.me),
        is_connected=standing.is_connected,
        is_quorate=standing.is_quorate,
        is_installed=standing.is_installed,
        is_fencing_enabled=not agreed.fencing.unsafe_disabled,
        note=standing.note,
        notices=(
            *_standing_notices(standing),
            *_order_notices(cluster, standing),
            *_notices(agreed, nodes, services),
            *_orphan_notices(standing),
        ),
        nodes=nodes,
        services=services,
        cases=cases_of(cluster, _now_ms(cluster, standing)) if cluster else (),
        locked=view_of(cluster.locked, _now_ms(cluster, standing)) if cluster else None,
        disarmed=view_of(cluster.disarmed, _now_ms(cluster, standing)) if cluster else None,
    )


def encode_status(status: Status) -> str:
    """Return the snapshot as JSON."""
    return msgspec.json.encode(status).decode()


def decode_status(text: str) -> Status:
    """Read what `encode_status` wrote; fields of a newer version are skipped.

    Raises:
        ValueError: it is not a status, or one of a schema that this version cannot read.
    """
    status = msgspec.json.decode(text, type=Status)
    if status.schema != SCHEMA_VERSION:
        msg = f"status has schema {status.schema}, this version reads {SCHEMA_VERSION}"
        raise ValueError(msg)
    return status


def _nodes(
    cluster: ClusterState | None, standing: Standing, spec: ClusterSpec
) -> tuple[NodeView, ...]:
    known = {*spec.nodes, *standing.ring_nodes, *(cluster.nodes if cluster else ())}
    return tuple(_node(node, cluster, standing, spec) for node in sorted(known))


def _node(
    node: NodeId, cluster: ClusterState | None, standing: Standing, spec: ClusterSpec
) -> NodeView:
    record = cluster.nodes.get(node) if cluster else None
    members = cluster.members() if cluster and standing.is_installed else ()
    now_ms = _now_ms(cluster, standing)
    return NodeView(
        name=spec.node_name(node),
        id=node,
        status=record.status.value if record else NODE_UNKNOWN,
        is_local=node == standing.me,
        is_configured=node in spec.nodes,
        is_in_ring=node in standing.ring_nodes,
        is_member=node in members,
        services=len(cluster.owned_by(node)) if cluster else 0,
        fencing=fencing_of(record, cluster) if record and cluster else None,
        proof=proof_of(record.proof, now_ms, spec) if record else None,
        paths=paths_of(node, cluster, now_ms) if cluster else (),
        file=standing.files.get(node) if node in members else None,
        skew_ms=standing.skews_ms.get(node) if node in members else None,
        is_cut_off=record.is_cut_off if record else False,
        standby=view_of(cluster.standby.get(node), now_ms) if cluster else None,
    )


def _services(
    cluster: ClusterState | None, standing: Standing, spec: ClusterSpec
) -> tuple[ServiceView, ...]:
    obstacle = _obstacle(standing)
    if cluster is None:
        views = [_unrecorded(service, obstacle) for service in spec.services]
    else:
        now_ms = _now_ms(cluster, standing)
        views = [_service(name, cluster, now_ms, obstacle) for name in cluster.services]
    return tuple(sorted(views, key=lambda view: view.name))


def _unrecorded(spec: ServiceSpec, obstacle: str | None) -> ServiceView:
    return ServiceView(
        name=spec.name,
        state=STATE_UNINITIALIZED,
        code=CODE_UNINITIALIZED,
        owner=None,
        last_owner=None,
        since_ms=0,
        age_ms=0,
        restarts=0,
        flags=(),
        domain=spec.domain,
        because=obstacle or "this node has no record of it yet",
        fault="",
    )


def _service(
    name: ServiceName, cluster: ClusterState, now_ms: int, obstacle: str | None
) -> ServiceView:
    service = cluster.services[name]
    return ServiceView(
        name=name,
        state=service.state.value,
        code=service.state.code,
        owner=_name_or_none(service.owner, cluster.spec),
        last_owner=_name_or_none(service.last_owner, cluster.spec),
        since_ms=service.since_ms,
        age_ms=max(0, now_ms - service.since_ms),
        restarts=service.restarts,
        flags=_flags(service),
        domain=service.spec.domain,
        because=_because(service, cluster, obstacle),
        fault=service.fault,
        off=_off(service),
    )


def _off(service: Service) -> tuple[str, ...]:
    from rgmgr.core.subtrees import is_partial, tops_off  # noqa: PLC0415 - likewise

    return tops_off(service) if is_partial(service) else ()


def _flags(service: Service) -> tuple[str, ...]:
    flags = {
        "frozen": service.frozen,
        "held": service.is_held,
        "partial": bool(_off(service)),
    }
    return tuple(flag for flag, is_set in flags.items() if is_set)


def _because(service: Service, cluster: ClusterState, obstacle: str | None) -> str | None:
    """Prefer what keeps this whole node from acting; what it last knew may be out of date."""
    from rgmgr.core.model import ServiceState  # noqa: PLC0415 - see the module's docstring
    from rgmgr.core.placement import because  # noqa: PLC0415 - likewise

    if obstacle and service.state is not ServiceState.DISABLED:
        return obstacle
    return because(cluster, service.spec.name)


def _obstacle(standing: Standing) -> str | None:
    """Return why this node can neither act nor know; None when it takes part."""
    if not standing.is_connected:
        return "this node has no connection to corosync"
    if not standing.is_quorate:
        return "this node has no quorum"
    if not standing.is_installed:
        return f"this node has not joined the others yet{_detail(standing.note)}"
    return None


def _order_notices(cluster: ClusterState | None, standing: Standing) -> tuple[Notice, ...]:
    if cluster is None:
        return ()
    texts = order_texts(cluster, _now_ms(cluster, standing))
    return tuple(Notice(code, text) for code, text in texts)


def _notices(
    spec: ClusterSpec,
    nodes: tuple[NodeView, ...],
    services: tuple[ServiceView, ...],
) -> tuple[Notice, ...]:
    found: list[Notice] = []
    if spec.fencing.unsafe_disabled:
        found.append(
            Notice(
                "fencing-disabled",
                "fencing is disabled by the configuration (fencing.unsafe_disabled): a service may"
                " run on two nodes and destroy its data",
            )
        )
    found.extend(
        Notice("unclean", unclean_text(node.name, node.fencing, node.services))
        for node in nodes
        if node.fencing
    )
    found.extend(
        Notice("fence-path", text) for node in nodes if (text := path_text(node.name, node.paths))
    )
    found.extend(
        Notice("failed", f"service {service.name!r} failed to stop{_detail(service.fault)}")
        for service in services
        if service.state == STATE_FAILED
    )
    found.extend(
        Notice("partial", f"service {service.name!r} runs without {', '.join(service.off)}")
        for service in services
        if service.off
    )
    return tuple(found)


def _orphan_notices(standing: Standing) -> tuple[Notice, ...]:
    return tuple(
        Notice(
            "orphan",
            f"{', '.join(resources)} of a service {name!r} run on this node, and no configuration"
            " knows it: 'rgmgr doctor' says how to stop it",
        )
        for name, resources in sorted(standing.orphans.items())
    )


def _standing_notices(standing: Standing) -> tuple[Notice, ...]:
    stale = "what is shown below may be out of date"
    if not standing.is_connected:
        return (Notice("no-corosync", f"no connection to corosync: {stale}"),)
    if not standing.is_quorate:
        return (Notice("no-quorum", f"no quorum: this node starts nothing, and {stale}"),)
    if not standing.is_installed:
        return (Notice("not-joined", f"not joined yet{_detail(standing.note)}: {stale}"),)
    return ()


def _now_ms(cluster: ClusterState | None, standing: Standing) -> int:
    return max(cluster.now_ms if cluster else 0, standing.now_ms)


def _name_or_none(node: NodeId | None, spec: ClusterSpec) -> str | None:
    return None if node is None else spec.node_name(node)


def _detail(text: str) -> str:
    return f" ({text})" if text else ""
