# SPDX-License-Identifier: Apache-2.0
"""What can happen to a cluster: one frozen dataclass each, with its time, and the script of them.

A script says everything that happens to a simulated cluster from outside. It is data: drawn from
a seed (`draw.py`), written by hand, or cut down to find which of its faults matter. Every fault
with `for_ms` ends by itself; after the last one the world is made whole again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import FenceOrder, Verb
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.sim.power import Device
from rgmgr.sim.systemd import Mood


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLoss:
    """A node loses power, and boots when it has it again."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonCrash:
    """rgmgrd dies: at once, or in the middle of the next actions it carries out."""

    at_ms: int
    node: NodeId
    for_ms: int
    amid: int | None = None  # actions still done by then; None: at once


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonPause:
    """rgmgrd stands still (SIGSTOP); its units do not."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonStop:
    """An administrator stops rgmgrd, and starts it later."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonRestart:
    """An administrator restarts rgmgrd."""

    at_ms: int
    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class CorosyncCrash:
    """corosync dies and is started again."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorosyncPause:
    """corosync stands still."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePause:
    """corosync and rgmgrd of a node stand still together; its services go on."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The network falls apart."""

    at_ms: int
    sides: tuple[tuple[NodeId, ...], ...]
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowNetwork:
    """Messages take long, each by its own measure."""

    at_ms: int
    delay_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTrouble:
    """The fence device of a node misbehaves."""

    at_ms: int
    node: NodeId
    device: Device
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesUnreachable:
    """A node reaches no fence device."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitTrouble:
    """A unit misbehaves on one node."""

    at_ms: int
    node: NodeId
    service: ServiceName
    resource: ResourceName
    mood: Mood
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDeath:
    """A unit that is up dies, wherever that is."""

    at_ms: int
    service: ServiceName
    resource: ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDisk:
    """A node's disk is clogged."""

    at_ms: int
    node: NodeId
    delay_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """An operator asks on some node; nothing happens when no daemon runs there."""

    at_ms: int
    node: NodeId
    verb: Verb
    service: ServiceName
    target: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskFence:
    """An operator asks about the fencing of a node; he never lies about one being off."""

    at_ms: int
    node: NodeId
    order: FenceOrder
    victim: NodeId


class Moment(Enum):
    """When an ambush strikes."""

    INSTALL = "begins an epoch"
    FENCE = "begins to fence"
    FENCED = "says that a node is down"
    START = "starts a unit"
    STOP = "stops a unit"
    SAVE = "saves its state"


Strike = PowerLoss | DaemonCrash | DaemonPause | CorosyncCrash | CorosyncPause | Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambush:
    """A fault that waits for the worst moment: when `node` next does this; for a while."""

    at_ms: int
    node: NodeId
    moment: Moment
    strike: Strike  # its own time is ignored
    for_ms: int


Fault = (
    PowerLoss
    | DaemonCrash
    | DaemonPause
    | DaemonStop
    | DaemonRestart
    | CorosyncCrash
    | CorosyncPause
    | NodePause
    | Partition
    | SlowNetwork
    | DeviceTrouble
    | DevicesUnreachable
    | UnitTrouble
    | UnitDeath
    | SlowDisk
    | Ask
    | AskFence
    | Ambush
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A cluster and all that happens to it; faults in order of time.

    `seed` feeds the dice of the world: delays, orders, losses.
    """

    seed: int
    spec: ClusterSpec
    faults: tuple[Fault, ...]

    @property
    def end_ms(self) -> int:
        """When the last fault is over."""
        return max((f.at_ms + duration_ms(f) for f in self.faults), default=0)


def duration_ms(fault: Fault) -> int:
    """How long a fault lasts; 0 for one that is a moment."""
    match fault:
        case DaemonRestart() | UnitDeath() | Ask() | AskFence():
            return 0
        case Ambush():
            return fault.for_ms + duration_ms(fault.strike)
        case _:
            return fault.for_ms


def in_words(fault: Fault, spec: ClusterSpec) -> str:
    """Say what happens, in the words of an administrator."""
    match fault:
        case Partition():
            sides = " | ".join(
                ",".join(spec.node_name(node) for node in side) for side in fault.sides
            )
            return f"the network falls apart: {sides}"
        case SlowNetwork():
            return f"the network is slow: up to {fault.delay_ms} ms"
        case UnitDeath():
            return f"{fault.service}/{fault.resource} dies"
        case Ask():
            name = spec.node_name(fault.node)
            to = f" to {spec.node_name(fault.target)}" if fault.target else ""
            return f"an operator asks {name}: {fault.verb.value} {fault.service}{to}"
        case Ambush():
            node = spec.node_name(fault.node)
            return f"when {node} next {fault.moment.value}: {in_words(fault.strike, spec)}"
        case _:
            return f"{spec.node_name(fault.node)} {_WORDS[type(fault)].format(fault)}"


_WORDS: dict[type, str] = {
    PowerLoss: "loses power",
    DaemonCrash: "loses its rgmgrd (after so many actions more: {0.amid})",
    DaemonPause: "has its rgmgrd stand still",
    DaemonStop: "is told to stop rgmgrd",
    DaemonRestart: "is told to restart rgmgrd",
    CorosyncCrash: "loses its corosync",
    CorosyncPause: "has its corosync stand still",
    NodePause: "has corosync and rgmgrd stand still",
    DeviceTrouble: "has a fence device that {0.device.value}",
    DevicesUnreachable: "reaches no fence device",
    UnitTrouble: "has {0.service}/{0.resource}, which {0.mood.value}",
    AskFence: "is asked by an operator: fence {0.order.value}, node {0.victim}",
    SlowDisk: "has a disk that is slow by {0.delay_ms} ms",
}
"""What each fault of one node is, after the name of the node."""
