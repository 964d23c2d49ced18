# SPDX-License-Identifier: Apache-2.0
"""The lab's network: a bridge in a namespace of its own, and the cables of the nodes.

Nothing is added to the machine's own network namespace. The nodes' namespaces and cables are made
by ``data/power`` at each boot; here are the bridge, and the faults of cables.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from rgmgr.lab.errors import LabError
from rgmgr.lab.layout import (
    BRIDGE,
    MANAGEMENT,
    MANAGEMENT_ADDRESS,
    MANAGEMENT_ADDRESS6,
    PDU_ADDRESS,
    PREFIX,
    PREFIX_LENGTH,
    PREFIX_LENGTH6,
    NodePlan,
)
from rgmgr.lab.process import attempt, command
from rgmgr.lab.render import cut_rules

BRIDGE_MAC = "02:72:67:6c:01:00"  # unlike that of any node
NAMESPACES = Path("/run/netns")


def inside(argv: Sequence[str]) -> list[str]:
    """Return the command that runs ``argv`` where bridge and BMCs are.

    With ``nsenter``: ``ip netns exec`` would unshare the mounts as well.
    """
    return ["nsenter", f"--net={NAMESPACES / MANAGEMENT}", *argv]


def create(nodes: Sequence[NodePlan], owner: Path) -> None:
    """Make the bridge, with the addresses of the client, the PDU and all BMCs.

    Args:
        nodes: the nodes to come.
        owner: the lab's directory, noted at the bridge for the next to see.
    """
    command(["ip", "netns", "add", MANAGEMENT])
    lines = [
        "link set lo up",
        f"link add {BRIDGE} address {BRIDGE_MAC} type bridge stp_state 0 mcast_snooping 0",
        f"link set {BRIDGE} alias {owner}",
        f"link set {BRIDGE} up",
        f"address add {MANAGEMENT_ADDRESS}/{PREFIX_LENGTH} dev {BRIDGE}",
        f"address add {MANAGEMENT_ADDRESS6}/{PREFIX_LENGTH6} dev {BRIDGE} nodad",
    ]
    lines += [f"address add {PDU_ADDRESS}/{PREFIX_LENGTH} dev {BRIDGE}"]
    lines += [f"address add {node.bmc_address}/{PREFIX_LENGTH} dev {BRIDGE}" for node in nodes]
    command(["ip", "-n", MANAGEMENT, "-batch", "-"], stdin="\n".join(lines) + "\n")


def owner() -> Path | None:
    """Return the directory of the lab whose bridge is there, if one is."""
    if not (NAMESPACES / MANAGEMENT).exists():
        return None
    shown = attempt(["ip", "-n", MANAGEMENT, "link", "show", "dev", BRIDGE])
    for line in shown.stdout.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "alias":
            return Path(value)
    return None


def remove() -> None:
    """Remove every namespace of the lab, and with them bridge and cables."""
    for path in sorted(NAMESPACES.glob(f"{PREFIX}-*")):
        if path.name == MANAGEMENT:
            # The kernel removes a namespace some time later; the bridge shall be gone now.
            attempt(["ip", "-n", MANAGEMENT, "link", "del", BRIDGE])
        command(["ip", "netns", "del", path.name])


def set_port(node: NodePlan, state: str) -> None:
    """Plug (``up``) or unplug (``down``) a node's cable at the bridge.

    A node that is just being switched on has no port yet; it heeds the file ``cut`` once it has.
    """
    argv = ["ip", "-n", MANAGEMENT, "link", "set", node.port, state]
    done = attempt(argv)
    if done.returncode != 0 and "Cannot find device" not in done.stderr:
        raise LabError(f"`{' '.join(argv)}` failed: {done.stderr.strip()}")


def set_cuts(pairs: Sequence[tuple[NodePlan, NodePlan]]) -> None:
    """Let these pairs of nodes not reach each other, and all others do."""
    rules = cut_rules([(first.port, second.port) for first, second in pairs])
    command(inside(["nft", "-f", "-"]), stdin=rules)


def run(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Run a program as a client of the cluster, beside the bridge."""
    return attempt(inside(argv), timeout=timeout)
