# SPDX-License-Identifier: Apache-2.0
"""What a forecast takes for granted: times that were never measured, and what no file says.

Only what plays a part in this very forecast is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from domains.model import ServiceName
from rgmgr.core.model import ClusterState, NodeStatus, ServiceState
from rgmgr.core.recovery import STOPPING_STATES
from rgmgr.core.spec import ResourceName
from rgmgr.core.unproven import UNPROVEN
from rgmgr.present import Present, Span, fence_of, start_of, stop_of
from rgmgr.sim.forecast import Forecast
from rgmgr.sim.plan import Step
from rgmgr.sim.stage import (
    ASSUMED_FENCE_MS,
    ASSUMED_UNIT_MS,
    TWO_NODES,
    assumed_detection_ms,
    typical_fence_ms,
)

KeyOf = Callable[[ServiceName, ResourceName | None], str]


def assumptions(present: Present, found: Forecast, *, is_live: bool) -> tuple[str, ...]:
    """Return a sentence for each assumption."""
    cluster = present.cluster
    measured = present.around.measured if is_live else {}
    detection_ms = present.around.detection_ms if is_live else 0
    notes = []
    if under_way := _under_way(cluster):
        notes.append(f"what is under way now has come to its end before: {', '.join(under_way)}")
    if any(step.kind in ("lost", "forbidden") for step in found.steps) and not detection_ms:
        after_ms = assumed_detection_ms(len(cluster.spec.nodes))
        notes.append(
            f"a lost node is noticed after {after_ms / 1000:.1f} s, by corosync's default timers"
        )
    if not is_live and len(cluster.spec.nodes) == TWO_NODES:
        notes.append("corosync.conf has two_node: 1")
    fenced = {step.node for step in found.steps if step.kind == "fence"}
    if untried := [name for name in sorted(fenced) if fence_of(name) not in measured]:
        typical_ms = typical_fence_ms(cluster.spec, measured)
        after = (
            f"{typical_ms / 1000:.1f} s, as that of other nodes, and the configured delay"
            if typical_ms
            else f"{ASSUMED_FENCE_MS / 1000:.0f} s and the configured delay"
        )
        notes.append(f"fencing of {', '.join(untried)} was not measured yet: {after}")
    for kind, words, key_of in (("start", "starts", start_of), ("stop", "stops", stop_of)):
        if unknown := _unmeasured(cluster, found.steps, kind, key_of, measured):
            each = f"{ASSUMED_UNIT_MS / 1000:.0f} s for each resource"
            notes.append(f"{words} of {', '.join(unknown)} were not measured yet: {each}")
    return tuple(notes)


def _under_way(cluster: ClusterState) -> list[str]:
    nodes = [
        f"{cluster.spec.node_name(n)} is {node.status.value}"
        for n, node in sorted(cluster.nodes.items())
        if node.status in (*UNPROVEN, NodeStatus.LEAVING)
    ]
    moving = (*STOPPING_STATES, ServiceState.STARTING, ServiceState.RECOVERING)
    services = [
        f"{name} is {record.state.value}"
        for name, record in cluster.services.items()
        if record.state in moving
    ]
    return nodes + services


def _unmeasured(
    cluster: ClusterState,
    steps: Iterable[Step],
    kind: str,
    key_of: KeyOf,
    measured: dict[str, Span],
) -> list[str]:
    """Return the services of which some resource has neither a time of its own nor a share."""
    found: dict[ServiceName, None] = {}
    for step in steps:
        name = ServiceName(step.service)
        if step.kind != kind or key_of(name, None) in measured:
            continue
        if not all(key_of(name, ResourceName(r)) in measured for r in step.resources):
            found[name] = None
    order = [*cluster.services, *found]
    return [str(name) for name in sorted(found, key=order.index)]
