# SPDX-License-Identifier: Apache-2.0
"""Names, numbers and paths of the lab: pure, so that everything else agrees on them.

Nothing here touches the machine. ``PREFIX`` is in front of every network namespace, bridge and
cgroup that the lab makes; what has it is the lab's, what has it not is never touched.
"""

from dataclasses import dataclass
from pathlib import Path

PREFIX = "rglab"
MANAGEMENT = f"{PREFIX}-mgmt"  # the namespace of bridge, BMCs and clients
BRIDGE = f"{PREFIX}0"
CLUSTER = "lab"
NODES_MAX = 32
# The shared disk. No udev runs in a container, so systemd refuses mount units of anything below
# /dev ("device unsupported"): a service's file system must use the second name.
DISK_DEVICE = "/dev/rglab-disk"
DISK_FOR_UNITS = "/srv/rglab-disk"

MANAGEMENT_ADDRESS = "10.78.0.1"
MANAGEMENT_ADDRESS6 = "fd78::1"
SERVICE_ADDRESS = "10.78.0.100"
# Free for services: nodes have .11 to .42, the PDU .90, BMCs .101 to .132, the bridge .1.
SERVICE_ADDRESSES = (SERVICE_ADDRESS, *(f"10.78.0.{last}" for last in range(200, 250)))
PREFIX_LENGTH = 24
PREFIX_LENGTH6 = 64

BMC_USER = "fence"
PDU_NAME = "pdu"  # of its host name, secret and cgroup
PDU_ADDRESS = "10.78.0.90"


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What a node is called and where it is found; follows from its number alone."""

    number: int  # 1 to NODES_MAX; also corosync's node id

    @property
    def name(self) -> str:
        """The host name, and the name in corosync's node list."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """The address of the node's eth0."""
        return f"10.78.0.{10 + self.number}"

    @property
    def address6(self) -> str:
        """The unique local IPv6 address of the node's eth0."""
        return f"fd78::{10 + self.number}"

    @property
    def bmc_name(self) -> str:
        """The name of the fence device, of its secret and of its cgroup."""
        return f"ipmi{self.number}"

    @property
    def bmc_address(self) -> str:
        """Where the BMC answers IPMI, on UDP port 623."""
        return f"10.78.0.{100 + self.number}"

    @property
    def mac(self) -> str:
        """The hardware address of eth0: the same after each boot, so that no cache is wrong."""
        return f"02:72:67:6c:00:{self.number:02x}"

    @property
    def namespace(self) -> str:
        """The network namespace that the node runs in."""
        return f"{PREFIX}-{self.name}"

    @property
    def port(self) -> str:
        """The bridge's end of the node's cable."""
        return f"port-{self.name}"

    @property
    def machine(self) -> str:
        """What systemd-nspawn calls the container."""
        return f"{PREFIX}-{self.name}"


def plan(count: int) -> tuple[NodePlan, ...]:
    """Return the first ``count`` nodes.

    Raises:
        ValueError: ``count`` is not between 1 and ``NODES_MAX``.
    """
    if not 1 <= count <= NODES_MAX:
        raise ValueError(f"a lab has 1 to {NODES_MAX} nodes, got {count}")
    return tuple(NodePlan(number) for number in range(1, count + 1))


def pair(first: str, second: str) -> tuple[str, str]:
    """Return two node names in the order that names their common cable."""
    return (first, second) if first <= second else (second, first)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are under the lab's directory."""

    directory: Path

    @property
    def root(self) -> Path:
        """The Debian tree under all nodes: costly to make, kept between runs."""
        return self.directory / "root"

    @property
    def app(self) -> Path:
        """The layer with rgmgr itself, made anew by each ``up``."""
        return self.run / "app"

    @property
    def run(self) -> Path:
        """All that belongs to one run; ``down`` removes it."""
        return self.directory / "run"

    @property
    def state(self) -> Path:
        """What this run consists of, as JSON."""
        return self.run / "lab.json"

    @property
    def lock(self) -> Path:
        """Held while a lab is made or removed."""
        return self.directory / "lock"

    @property
    def power(self) -> Path:
        """The program that switches nodes."""
        return self.run / "bin" / "power"

    @property
    def disk(self) -> Path:
        """The image behind the shared disk of all nodes."""
        return self.run / "disk.img"

    @property
    def cuts(self) -> Path:
        """The pairs of nodes that do not hear each other, one pair to a line."""
        return self.run / "cuts"

    def node(self, name: str) -> Path:
        """Return the directory of a node."""
        return self.run / name

    def upper(self, name: str) -> Path:
        """Return the layer that a node writes to."""
        return self.node(name) / "upper"

    def bmc(self, name: str) -> Path:
        """Return the directory of a node's BMC."""
        return self.node(name) / "bmc"
