# SPDX-License-Identifier: Apache-2.0
"""The cluster.toml of a lab for which none is given: fencing by IPMI and a web server."""

from collections.abc import Sequence

from rgmgr.lab.layout import BMC_USER, CLUSTER, PREFIX_LENGTH, SERVICE_ADDRESS, NodePlan


def render(nodes: Sequence[NodePlan]) -> str:
    """Return the configuration: service ``web`` prefers the nodes in their order.

    It stays where it is when a better node returns, so that a failover can be looked at.
    """
    members = ", ".join(f"{node.name} = {node.number}" for node in nodes)
    parts = [
        render_cluster(nodes),
        f"[domain.prefer-node1]\nordered = true\nnofailback = true\nmembers = {{ {members} }}\n",
        _service(),
    ]
    return "\n".join(parts)


def render_cluster(nodes: Sequence[NodePlan]) -> str:
    """Return the part without services: the nodes, each fenced by its BMC."""
    parts = [f'[cluster]\nname = "{CLUSTER}"\nversion = 1\n']
    parts += [
        f'[[node]]\nname = "{node.name}"\nfence = [[{{ device = "{node.bmc_name}" }}]]\n'
        for node in nodes
    ]
    parts += ['[fencing]\npost_fail_delay = "0s"\npost_join_delay = "6s"\n']
    parts += [_device(node) for node in nodes]
    return "\n".join(parts)


def _device(node: NodePlan) -> str:
    return f"""\
[fencing.device.{node.bmc_name}]
agent = "fence_ipmi"
ip = "{node.bmc_address}"
username = "{BMC_USER}"
password = "secret:{node.bmc_name}"
"""


def _service() -> str:
    return f"""\
[[service]]
name = "web"
domain = "prefer-node1"
recovery = "restart"
max_restarts = 3
restart_expire_time = "5min"

  [[service.resource]]
  type = "ip"
  name = "vip"
  address = "{SERVICE_ADDRESS}/{PREFIX_LENGTH}"

    [[service.resource.resource]]
    type = "systemd"
    name = "nginx"
    unit = "nginx.service"
"""
