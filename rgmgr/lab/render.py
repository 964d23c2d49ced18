# SPDX-License-Identifier: Apache-2.0
"""The files that nodes and BMCs are configured by, as text: pure."""

from collections.abc import Sequence
from pathlib import Path

from rgmgr.config.corosync_conf import ConfNode, Plan, render
from rgmgr.lab.layout import (
    BMC_USER,
    CLUSTER,
    MANAGEMENT,
    MANAGEMENT_ADDRESS,
    PDU_ADDRESS,
    PDU_NAME,
    PREFIX_LENGTH,
    PREFIX_LENGTH6,
    NodePlan,
)


def corosync_conf(nodes: Sequence[NodePlan], *, qnetd: str = "", breaks_ties: bool = False) -> str:
    """Return ``/etc/corosync/corosync.conf``: one encrypted link, failures seen in about 2 s.

    With an arbiter, or with what else breaks ties, as ``rgmgr corosync-conf`` writes them.
    """
    listed = tuple(ConfNode(node.number, node.name, (node.address,)) for node in nodes)
    return render(Plan(nodes=listed, cluster=CLUSTER, qnetd=qnetd, breaks_ties=breaks_ties))


def hosts(nodes: Sequence[NodePlan]) -> str:
    """Return ``/etc/hosts``, the same on every node."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    lines += [f"{MANAGEMENT_ADDRESS} client", f"{PDU_ADDRESS} {PDU_NAME}"]
    for node in nodes:
        lines += [f"{node.address} {node.name}", f"{node.address6} {node.name}"]
        lines += [f"{node.bmc_address} {node.bmc_name}"]
    return "\n".join(lines) + "\n"


def page(node: NodePlan) -> str:
    """Return what the node's web server shows: whoever asks can tell who answers."""
    return f"web served by {node.name}\n"


def lan_conf(node: NodePlan, password: str) -> str:
    """Return ``lan.conf`` of the node's BMC.

    The program's path is relative: ipmi_sim hands it to a shell, and it runs where it belongs.
    """
    return f"""\
name "{node.bmc_name}"
set_working_mc 0x20
  startlan 1
    addr {node.bmc_address} 623
    priv_limit admin
    allowed_auths_callback md5
    allowed_auths_user md5
    allowed_auths_operator md5
    allowed_auths_admin md5
    guid a123456789abcdefa1234567890000{node.number:02x}
  endlan
  chassis_control "./bin/chassis {node.name}"
  user 1 false "" "" user 10 none
  user 2 true "{BMC_USER}" "{password}" admin 10 none md2 md5 straight
"""


BMC_EMU = """\
mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
sel_enable 0x20 1000 0x0a
mc_enable 0x20
"""


def snmpd_conf(community: str, program: str) -> str:
    """Return ``snmpd.conf`` of the PDU: an APC rack PDU, whose outlets are a program's."""
    return f"""\
agentAddress udp:{PDU_ADDRESS}:161
sysObjectID .1.3.6.1.4.1.318.1.3.4.5
rwcommunity {community} default
pass_persist .1.3.6.1.4.1.318.1.1.12 {program}
"""


def power_params(
    node: NodePlan,
    *,
    bridge: str,
    groups: Sequence[Path],
    lower: Sequence[Path],
    binds: Sequence[str],
) -> str:
    """Return what ``data/power`` must know of a node, as shell assignments.

    Args:
        node: the node.
        bridge: the bridge that its cable goes to.
        groups: its control groups, that of the unified hierarchy first.
        lower: the layers under the one it writes to, uppermost first.
        binds: further arguments of systemd-nspawn.
    """
    values = {
        "NAMESPACE": node.namespace,
        "PORT": node.port,
        "MAC": node.mac,
        "ADDRESS": f"{node.address}/{PREFIX_LENGTH}",
        "ADDRESS6": f"{node.address6}/{PREFIX_LENGTH6}",
        "MANAGEMENT": MANAGEMENT,
        "BRIDGE": bridge,
        "GROUP": str(groups[0]),
        "GROUPS_ALL": " ".join(map(str, groups)),
        "MACHINE": node.machine,
        "LOWER": ":".join(map(str, lower)),
        "BINDS": " ".join(binds),
    }
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def cut_rules(pairs: Sequence[tuple[str, str]]) -> str:
    """Return the nft script for the bridge: these pairs of ports do not reach each other.

    On the bridge and not in the nodes, so that a node's reboot does not mend a cable.
    """
    drops = "".join(
        f'    iifname "{a}" oifname "{b}" drop\n    iifname "{b}" oifname "{a}" drop\n'
        for a, b in pairs
    )
    return f"""\
table bridge rglab
delete table bridge rglab
table bridge rglab {{
  chain cuts {{
    type filter hook forward priority 0; policy accept;
{drops}  }}
}}
"""
