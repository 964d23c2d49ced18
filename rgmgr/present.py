# SPDX-License-Identifier: Apache-2.0
"""What a forecast starts from besides the agreed state: this node's surroundings and past times.

Owns the schema of the second half of `Manager1.Present`; the first is the agreed state itself.
Pure. Times of units and fences are medians of what really happened, or are missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import msgspec

from domains.model import NodeId, ServiceName
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    NodeSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes away; a new field does not raise it."""

FILE_SYSTEM = "fstype"
"""The one parameter that a forecast needs: whether several nodes may mount it at once."""

DELAY = "delay"
"""The one fence option that a forecast needs; all others may be secrets and stay at home."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long something took, of the latest few times."""

    median_ms: int
    worst_ms: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What one member knows beside the agreed state. `now_ms` is cluster time.

    `detection_ms`: what corosync needs to notice a lost node (token and consensus), 0: unknown.
    `measured`: by `start_of`, `stop_of` and `fence_of`; what never happened is missing.
    """

    schema: int = SCHEMA_VERSION
    me: NodeId
    is_installed: bool
    is_quorate: bool
    ring_nodes: tuple[NodeId, ...]
    now_ms: int
    detection_ms: int = 0
    is_two_node: bool = False
    tie_breaker: str = ""  # lowest, arbiter; empty: nothing decides between two halves
    measured: dict[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Present:
    """The agreed state and the surroundings of the member that tells it."""

    cluster: ClusterState
    around: Surroundings


def start_of(service: ServiceName, resource: ResourceName | None = None) -> str:
    """Return the key of the start of a resource, or of a whole service."""
    return f"start {service}/{resource}" if resource else f"start {service}"


def stop_of(service: ServiceName, resource: ResourceName | None = None) -> str:
    """Return the key of the stop of a resource, or of a whole service."""
    return f"stop {service}/{resource}" if resource else f"stop {service}"


def fence_of(node: str) -> str:
    """Return the key of a node's fencing, from the first attempt to the proof."""
    return f"fence {node}"


def without_secrets(spec: ClusterSpec) -> ClusterSpec:
    """Return a configuration without parameters of resources and options of fence devices.

    A forecast needs none of them but the delays of fencing and types of file systems.
    """
    fencing = replace(
        spec.fencing, devices={n: _bare_device(d) for n, d in spec.fencing.devices.items()}
    )
    return replace(
        spec,
        fencing=fencing,
        nodes={n: _bare_node(node) for n, node in spec.nodes.items()},
        services=tuple(map(_bare_service, spec.services)),
    )


def told_to_readers(cluster: ClusterState) -> ClusterState:
    """Return an agreed state that everybody may read who may read the status."""
    services = {
        name: replace(record, spec=_bare_service(record.spec))
        for name, record in cluster.services.items()
    }
    return replace(cluster, spec=without_secrets(cluster.spec), services=services)


def encode_surroundings(around: Surroundings) -> str:
    """Return the surroundings as JSON."""
    return msgspec.json.encode(around).decode()


def decode_surroundings(text: str) -> Surroundings:
    """Read what `encode_surroundings` wrote; fields of a newer version are skipped.

    Raises:
        ValueError: it is not that, or of a schema that this version cannot read.
    """
    around = msgspec.json.decode(text, type=Surroundings)
    if around.schema != SCHEMA_VERSION:
        msg = f"surroundings have schema {around.schema}, this version reads {SCHEMA_VERSION}"
        raise ValueError(msg)
    return around


def _bare_service(service: ServiceSpec) -> ServiceSpec:
    return replace(service, resources=tuple(map(_bare_resource, service.resources)))


def _bare_resource(resource: ResourceSpec) -> ResourceSpec:
    children = tuple(map(_bare_resource, resource.children))
    parameters = {n: v for n, v in resource.parameters.items() if n == FILE_SYSTEM}
    return replace(resource, parameters=parameters, children=children)


def _bare_device(device: FenceDevice) -> FenceDevice:
    return replace(device, options=_bare(device.options))


def _bare_node(node: NodeSpec) -> NodeSpec:
    return replace(node, fence=tuple(tuple(map(_bare_step, method)) for method in node.fence))


def _bare_step(step: FenceStep) -> FenceStep:
    return replace(step, options=_bare(step.options))


def _bare(options: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in options.items() if key == DELAY}
