# SPDX-License-Identifier: Apache-2.0
"""What can happen to a cluster: one frozen dataclass each, with its time, and the script of them.

A script says all that happens to a simulated cluster from outside. It is data: drawn from a seed
(`draw.py`), written by hand, or cut down to the faults that matter. Every fault with `for_ms` ends
by itself; after the last one the world is made whole. All fields are plain. Names: `words.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import FenceOrder, MaintenanceOrder, Verb
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.sim.disk import Damage, DiskMood
from rgmgr.sim.edits import Edit
from rgmgr.sim.moments import Moment
from rgmgr.sim.phases import Mood
from rgmgr.sim.power import Device
from rgmgr.sim.votes import TieBreaker


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
    """Messages take long, each by its own measure; or all to one node, each as long."""

    at_ms: int
    delay_ms: int
    for_ms: int
    node: NodeId | None = None  # None: all that is sent to anybody


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


@dataclass(frozen=True, slots=True, kw_only=True)
class AskMaintenance:
    """An operator orders standby of a node, or locks or disarms the cluster, or ends that."""

    at_ms: int
    node: NodeId
    order: MaintenanceOrder
    victim: NodeId | None = None  # the node that is to be in standby, or not any more
    for_ms: int = 0
    brings_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksCut:
    """Some ways of the network fail: what `from` sends does not reach `to`.

    One way only, or both; a bridge (one node hears two parts) and a ring of majorities are sets
    of these. Nodes go together only when all of them hear each other both ways.
    """

    at_ms: int
    ways: tuple[tuple[NodeId, NodeId], ...]  # (from, to)
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFlaps:
    """The network of a node fails for `out_ms`, every `every_ms`."""

    at_ms: int
    node: NodeId
    every_ms: int
    out_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkHeals:
    """The network is whole again, whatever cut it: a merge at this very moment."""

    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SendsHeld:
    """corosync takes no message from a node's rgmgrd, and then all of them in one burst."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowQuorum:
    """Verdicts of quorum come up to so much later, or never when the ring has gone meanwhile."""

    at_ms: int
    delay_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSuspend:
    """A whole node stands still, its units too, and goes on where it was."""

    at_ms: int
    node: NodeId
    for_ms: int
    does_clock_stop: bool = False  # a guest whose clock does not show that it was away


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShutdown:
    """An administrator shuts a node down: rgmgrd ends, then corosync, then all else; boots later.

    Whatever runs longer than the time that systemd grants is killed.
    """

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CorosyncRestart:
    """An administrator restarts corosync: rgmgrd is stopped before, and started after it."""

    at_ms: int
    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDaemon:
    """rgmgrd gets so little of the processor that each event waits up to `delay_ms`."""

    at_ms: int
    node: NodeId
    delay_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJump:
    """The wall clock of a node jumps, forwards or back: nothing may change."""

    at_ms: int
    node: NodeId
    by_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """rgmgrd of a node is restarted as another version, which speaks these protocols."""

    at_ms: int
    node: NodeId
    protocol_min: int
    protocol_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnreachable:
    """A node does not reach the fence device of one other node."""

    at_ms: int
    node: NodeId
    victim: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAnswer:
    """A node gets no answer from anything that is pinged."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStoppedByHand:
    """An administrator stops a unit on one node behind the cluster's back."""

    at_ms: int
    node: NodeId
    service: ServiceName
    resource: ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStartedByHand:
    """An administrator starts a unit on one node, be it the right one or not."""

    at_ms: int
    node: NodeId
    service: ServiceName
    resource: ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowSystemd:
    """systemd of a node answers late, each time by up to `delay_ms`."""

    at_ms: int
    node: NodeId
    delay_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemdLost:
    """rgmgrd of a node has no connection to systemd: its news are missed, its orders wait."""

    at_ms: int
    node: NodeId
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskTrouble:
    """The disk of a node takes no state file, or does not give it either."""

    at_ms: int
    node: NodeId
    trouble: DiskMood
    for_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StateDamaged:
    """The state file of a node is spoilt, gone or an older one; noticed at the next start."""

    at_ms: int
    node: NodeId
    damage: Damage


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """cluster.toml of this version is put on some nodes.

    `version` names the text: the newest older one with `edit` applied to `service` or `node`.
    The same version with another edit is another text, as two administrators make them.
    """

    at_ms: int
    nodes: tuple[NodeId, ...]
    version: int
    edit: Edit
    service: ServiceName | None = None
    node: NodeId | None = None
    is_loaded: bool = True  # False: it counts from the next start of rgmgrd on


ProcessFault = (
    DaemonCrash
    | DaemonPause
    | DaemonStop
    | DaemonRestart
    | SlowDaemon
    | Upgrade
    | CorosyncCrash
    | CorosyncPause
    | CorosyncRestart
)
"""What befalls a process of one node."""

NodeFault = (
    PowerLoss
    | NodePause
    | NodeSuspend
    | NodeShutdown
    | ClockJump
    | ConfigChange
    | Ask
    | AskFence
    | AskMaintenance
)
"""What befalls a node as a whole, or is asked of it."""

NetworkFault = (
    Partition | LinksCut | NetworkFlaps | NetworkHeals | SlowNetwork | SendsHeld | SlowQuorum
)
"""What befalls the network."""

DeviceFault = (
    DeviceTrouble | DeviceUnreachable | DevicesUnreachable | SlowDisk | DiskTrouble | StateDamaged
) | NoAnswer
"""What befalls fence devices, disks, and what is pinged."""

UnitFault = (
    UnitTrouble | UnitDeath | UnitStoppedByHand | UnitStartedByHand | SlowSystemd | SystemdLost
)
"""What befalls units and systemd."""

Strike = ProcessFault | NodeFault | NetworkFault | DeviceFault | UnitFault
"""Everything that can happen at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambush:
    """A fault that waits for the worst moment: when `node` next does this; for a while."""

    at_ms: int
    node: NodeId
    moment: Moment
    strike: Strike  # its own time is ignored
    for_ms: int


Fault = Strike | Ambush

MOMENTS = (
    DaemonRestart,
    Upgrade,
    CorosyncRestart,
    ClockJump,
    NetworkHeals,
    UnitDeath,
    UnitStoppedByHand,
    UnitStartedByHand,
    StateDamaged,
    ConfigChange,
    Ask,
    AskFence,
    AskMaintenance,
)
"""Faults without a length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A cluster and all that happens to it; faults in order of time.

    `seed` feeds the dice of the world; None: no chance, and everything takes its shortest time.
    `is_two_node`, `tie_breaker`: as in corosync.conf. `keeps_step`: ticks go when another's come.
    """

    seed: int | None
    spec: ClusterSpec
    faults: tuple[Fault, ...]
    is_two_node: bool = False
    tie_breaker: TieBreaker = TieBreaker.NONE
    keeps_step: bool = False

    @property
    def end_ms(self) -> int:
        """When the last fault is over."""
        return max((f.at_ms + duration_ms(f) for f in self.faults), default=0)


def duration_ms(fault: Fault) -> int:
    """How long a fault lasts; 0 for one that is a moment."""
    more_ms = duration_ms(fault.strike) if isinstance(fault, Ambush) else 0
    return 0 if isinstance(fault, MOMENTS) else fault.for_ms + more_ms
