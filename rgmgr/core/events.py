# SPDX-License-Identifier: Apache-2.0
"""Everything that can reach the core: one frozen dataclass each, past tense.

`Delivered` carries agreed messages; all others are local events, which change only local state
and may ask for a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import AnyRequest, Message
from rgmgr.core.model import FencePath, ProofKind, RingId
from rgmgr.core.spec import ClusterSpec, FenceStep, ResourceName


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewChanged:
    """CPG told a new membership. `members` are daemons in the group, `ring_nodes` live nodes."""

    ring: RingId
    ring_nodes: tuple[NodeId, ...]
    members: tuple[NodeId, ...]
    left: tuple[NodeId, ...] = ()
    joined: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class QuorumChanged:
    """votequorum's verdict for one ring."""

    ring: RingId
    is_quorate: bool


@dataclass(frozen=True, slots=True)
class CorosyncLost:
    """The connection to corosync broke: membership and quorum are unknown."""

    reason: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message of the group, in agreed order. `sender` comes from corosync, not from the text."""

    sender: NodeId
    message: Message


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A timer that the core set has expired."""

    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceProbed:
    """What really runs of one service here: at start, and after systemd was out of reach.

    A service that is no longer configured is told too, with what is active of it. `doubtful`: what
    of that is there and does not run, such as a virtual machine that may be coming in.
    """

    service: ServiceName
    active: tuple[ResourceName, ...]
    doubtful: tuple[ResourceName, ...] = ()


@dataclass(frozen=True, slots=True)
class ProbeFinished:
    """Every service was probed once; only now may this node say hello."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStarted:
    """The unit is up and verified."""

    service: ServiceName
    resource: ResourceName
    op: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStartFailed:
    """The unit did not come up."""

    service: ServiceName
    resource: ResourceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStopped:
    """The unit is down and nothing is left of it."""

    service: ServiceName
    resource: ResourceName
    op: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStopFailed:
    """The unit may still hold something."""

    service: ServiceName
    resource: ResourceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStayed:
    """It was not migrated: it runs here as before."""

    service: ServiceName
    resource: ResourceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFailed:
    """A unit that was up went down without being asked."""

    service: ServiceName
    resource: ResourceName
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceEnded:
    """All devices of one method, or none, confirmed that the node is off."""

    node: NodeId
    victim: int
    attempt: int
    is_confirmed: bool
    detail: str  # the method that succeeded, or why each failed
    kind: ProofKind = ProofKind.FENCED  # of a confirmation
    switched_off: tuple[FenceStep, ...] = ()  # what may be switched on again
    wall_s: int = 0  # wall clock, for display


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchOnEnded:
    """The devices of a fenced node were told to switch it on."""

    node: NodeId
    victim: int
    fault: str  # empty: all of them did


@dataclass(frozen=True, slots=True)
class PingEnded:
    """A ping was answered, or was not in time; likewise a link that is there, or is not."""

    name: str
    is_answered: bool


@dataclass(frozen=True, slots=True)
class TestEnded:
    """Every fence path that was to be tested was tried once."""

    __test__ = False  # no collection of tests

    paths: tuple[FencePath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """A link of corosync from this node to another. Times of this node's monotonic clock."""

    node: NodeId
    link: int
    is_up: bool
    first_ms: int  # of the look that first found it so; 0: it was never otherwise
    before_ms: int  # of the last look that found it the other way; 0: there was none
    losses: int


@dataclass(frozen=True, slots=True)
class LinksLooked:
    """This node has looked at its links to the others."""

    links: tuple[LinkState, ...]


@dataclass(frozen=True, slots=True)
class WatchdogArmed:
    """This node's watchdog counts from now on."""


@dataclass(frozen=True, slots=True)
class StateSaved:
    """The durable state that the core asked to save is on disk; numbers of that state."""

    epoch: int
    applied: int


@dataclass(frozen=True, slots=True)
class Requested:
    """An operator of this node asked; answered by `Reply` with the same number."""

    request: AnyRequest


class Shutdown(Enum):
    """Why the daemon ends."""

    STOP = "stop"  # give the services away, then go
    RESTART = "restart"  # leave the services alone: we are back in a moment


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """SIGTERM, with what systemd is doing with our unit."""

    kind: Shutdown


@dataclass(frozen=True, slots=True)
class ConfigLoaded:
    """cluster.toml of this node was read again and is free of problems."""

    spec: ClusterSpec


Event = (
    ViewChanged
    | QuorumChanged
    | CorosyncLost
    | Delivered
    | TimerFired
    | ServiceProbed
    | ProbeFinished
    | ResourceStarted
    | ResourceStartFailed
    | ResourceStopped
    | ResourceStopFailed
    | ResourceStayed
    | ResourceFailed
    | FenceEnded
    | SwitchOnEnded
    | TestEnded
    | PingEnded
    | LinksLooked
    | WatchdogArmed
    | StateSaved
    | Requested
    | ShutdownRequested
    | ConfigLoaded
)
