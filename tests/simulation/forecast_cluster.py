# SPDX-License-Identifier: Apache-2.0
"""A small cluster to ask questions about, shared by the tests of forecasts and audits."""

from __future__ import annotations

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FencingSpec,
    NodeSpec,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)

ONE, TWO, THREE = NodeId(1), NodeId(2), NodeId(3)
WEB, DB = ServiceName("web"), ServiceName("db")
PREFER = FailoverDomain(name="prefer", priorities={ONE: 1, TWO: 2, THREE: 3}, ordered=True)
STAY = FailoverDomain(
    name="stay", priorities={ONE: 1, TWO: 2, THREE: 3}, ordered=True, nofailback=True
)
PINNED = FailoverDomain(name="pinned", priorities={TWO: 1}, restricted=True)


def resource(name: str, *children: ResourceSpec) -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName(name),
        type="systemd",
        parameters={"unit": f"{name}.service"},
        children=children,
    )


def service(name: ServiceName, domain: str | None = "prefer") -> ServiceSpec:
    tree = (resource("vip", resource("app")),)
    return ServiceSpec(name=name, resources=tree, domain=domain, recovery=RecoveryPolicy.RESTART)


def cluster(
    *services: ServiceSpec, nodes: int = 3, devices: tuple[str, ...] = ("pdu",), version: int = 1
) -> ClusterSpec:
    """Return a cluster whose nodes are all fenced by the first device, else by the next."""
    methods = tuple((FenceStep(device=name),) for name in devices)
    return ClusterSpec(
        name="alpha",
        version=version,
        digest=f"v{version}",
        nodes={NodeId(n): NodeSpec(name=f"node{n}", fence=methods) for n in range(1, nodes + 1)},
        services=services or (service(WEB), service(DB, "stay")),
        domains={domain.name: domain for domain in (PREFER, STAY, PINNED)},
        fencing=FencingSpec(
            devices={name: FenceDevice(name=name, agent="fence_apc_snmp") for name in devices}
        ),
    )
