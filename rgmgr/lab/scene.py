# SPDX-License-Identifier: Apache-2.0
"""The cluster of a scenario as the lab can have it: its BMCs, and units that tell they live."""

from dataclasses import replace

from rgmgr.config.write import written
from rgmgr.core.spec import ClusterSpec, FenceDevice, FenceStep, NodeSpec, ResourceSpec
from rgmgr.core.tree import start_order
from rgmgr.lab.beats import BEAT_S
from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import BMC_USER, NodePlan

TEMPLATE = "played@.service"
BEATS = "var/lib/played"


def unit_of(service: str, resource: str) -> str:
    """Return the unit that stands for a resource."""
    return TEMPLATE.replace("@", f"@{service}-{resource}")


def template() -> str:
    """Return the unit file of all of them: it writes the time while it lives."""
    beat = f'while :; do date "+%%s%%N $$$$" >>/{BEATS}/%i; sleep {BEAT_S}; done'
    return f"""\
[Unit]
Description=Stands for %i in a scenario

[Service]
ExecStartPre=/bin/mkdir -p /{BEATS}
ExecStart=/bin/sh -c '{beat}'
"""


def cluster_toml(spec: ClusterSpec, nodes: tuple[NodePlan, ...]) -> str:
    """Return the configuration for these nodes of the lab.

    Raises:
        LabError: it has other nodes than the lab can have.
    """
    names = [node.name for node in spec.nodes.values()]
    known = [node.name for node in nodes]
    if names != known:
        raise LabError(f"the scenario has the nodes {', '.join(names)}, the lab {', '.join(known)}")
    is_fenced = not spec.fencing.unsafe_disabled
    devices = {
        node.bmc_name: FenceDevice(
            name=node.bmc_name,
            agent="fence_ipmi",
            options={
                "ip": node.bmc_address,
                "username": BMC_USER,
                "password": f"secret:{node.bmc_name}",
            },
        )
        for node in nodes
    }
    fence = {n.name: ((FenceStep(device=n.bmc_name),),) if is_fenced else () for n in nodes}
    played = replace(
        spec,
        nodes={i: NodeSpec(name=n.name, fence=fence[n.name]) for i, n in spec.nodes.items()},
        fencing=replace(spec.fencing, devices=devices if is_fenced else {}),
        services=tuple(
            replace(s, resources=tuple(_played(s.name, r) for r in s.resources))
            for s in spec.services
        ),
    )
    return written(played)


def _played(service: str, resource: ResourceSpec) -> ResourceSpec:
    return replace(
        resource,
        type="systemd",
        parameters={"unit": unit_of(service, resource.name)},
        children=tuple(_played(service, child) for child in resource.children),
    )


def beats_files(spec: ClusterSpec) -> list[tuple[str, str]]:
    """Return each service with the files, below a node's root, in which its units write."""
    return [
        (service.name, f"{BEATS}/{service.name}-{resource.name}")
        for service in spec.services
        for resource in start_order(service)
    ]
