# SPDX-License-Identifier: Apache-2.0
"""What members tell each other, in the total order of one CPG group.

`Hello` and `Install` make an epoch (see `sync.py`); an `Operation` changes the agreed state and
is valid in its own epoch only; `Ack` and `Tick` change nothing agreed. Bytes: `rgmgr.wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.model import ClusterState, FencePath, LinkSight, Proof, RingId
from rgmgr.core.spec import ClusterSpec, FenceStep, ResourceName

PROTOCOL_MIN = 2
PROTOCOL_MAX = 2
"""What this version speaks: words and rules alike (ADR 24)."""


class Health(Enum):
    """How much of a service really runs on a node, as systemd reports it."""

    NONE = "none"
    PARTIAL = "partial"
    RUNNING = "running"


EMERGENCY_OP = -1
"""Number of a stop that no agreed record asks for: this node lost its right to run services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one node says of one service on itself; services with nothing there are left out."""

    service: ServiceName
    health: Health
    op: int  # the transition its executor works on or has just ended; 0: none
    is_busy: bool  # a start or stop is going on, so `health` may change
    missing: tuple[ResourceName, ...] = ()  # when partial: what of the tree is not surely up


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Sent by each member at each view; counts only for exactly that view."""

    ring: RingId
    members: tuple[NodeId, ...]
    incarnation: int
    boot_id: str
    epoch: int
    epoch_ring_seq: int
    applied: int
    is_live: bool  # the state was agreed in this life of the daemon, not read from disk
    digest: str
    config_version: int  # of the file on this node
    config_digest: str
    claims: tuple[Claim, ...]
    protocol_min: int = PROTOCOL_MIN
    protocol_max: int = PROTOCOL_MAX
    state_boot_id: str = ""  # of the sender, when its state was agreed
    ended: dict[NodeId, str] = field(default_factory=dict)  # boots proven over; empty: one unknown
    watchdog_ms: int = 0  # it is armed whenever the sender holds anything; 0: no promise
    agreed_version: int = 0  # of the configuration in its state
    agreed_nodes: tuple[NodeId, ...] = ()  # that this configuration has


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One member of a new epoch: who it is and what really runs there."""

    node: NodeId
    incarnation: int
    boot_id: str
    is_live: bool  # it was in an epoch before, in this life of its daemon
    claims: tuple[Claim, ...]
    watchdog_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Begins an epoch. This message is the cut: the same place for every member."""

    ring: RingId
    ring_nodes: tuple[NodeId, ...]
    view: tuple[NodeId, ...]  # the members of the view it was made for
    enrolments: tuple[Enrolment, ...]  # who is in: those that said hello
    epoch: int
    at_ms: int  # cluster time
    digest: str  # of the state it builds on
    state: ClusterState | None  # carried when some member's digest differs
    protocol: int = PROTOCOL_MAX
    wall_ms: int = 0  # the sender's wall clock, for display; 0: not told


class Verb(Enum):
    """What an operator can ask of a service."""

    ENABLE = "enable"
    DISABLE = "disable"
    STOP = "stop"
    RESTART = "restart"
    RELOCATE = "relocate"
    MIGRATE = "migrate"  # relocate it while it runs
    CONVALESCE = "convalesce"
    FREEZE = "freeze"  # the cluster leaves the service as it is, whatever becomes of it
    UNFREEZE = "unfreeze"
    RETRY = "retry"  # try again now what has started nowhere
    CONFIRM = "confirm"  # the takeover of a service whose owner was lost
    REFUSE = "refuse"  # that takeover


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An operator asked. `number` is the asking member's own."""

    number: int
    verb: Verb
    service: ServiceName
    target: NodeId | None = None  # None: let the failover domain choose
    by: str = ""  # who asked, as far as the daemon can tell
    because: str = ""  # in the operator's words


@dataclass(frozen=True, slots=True)
class ServiceStarted:
    """The owner brought the tree up, but for these non-critical parts."""

    service: ServiceName
    op: int
    off: tuple[ResourceName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStartFailed:
    """A start stopped at its first failing resource."""

    service: ServiceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True)
class ServiceStopped:
    """The node holds nothing of the service any more. Also ends a clean-up."""

    service: ServiceName
    op: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStopFailed:
    """Something of the service may still be there."""

    service: ServiceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStayed:
    """A migration came to nothing: the owner has the service up as before."""

    service: ServiceName
    op: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFailed:
    """Resources of a running service failed by themselves; none named: all of it failed."""

    service: ServiceName
    op: int
    reason: str
    resources: tuple[ResourceName, ...] = ()
    unstartable: tuple[ResourceName, ...] = ()  # those that were to come up again and did not


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceDue:
    """The delay before the next attempt at fencing a lost node is over."""

    node: NodeId
    victim: int
    attempt: int  # those made so far


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFenced:
    """Proof that a lost node is down."""

    node: NodeId
    victim: int
    proof: Proof
    switched_off: tuple[FenceStep, ...] = ()  # what may be switched on again
    wall_s: int = 0  # the sender's wall clock, for display


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRestored:
    """A fenced node was switched on again, or that was given up."""

    node: NodeId
    victim: int
    fault: str  # empty: it is on


@dataclass(frozen=True, slots=True, kw_only=True)
class PathsTested:
    """The sender has tried its fence paths to all other nodes."""

    number: int  # of the operators' test that it answers
    paths: tuple[FencePath, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinksSeen:
    """How the sender sees corosync's links to a lost node. For the history; decides nothing."""

    victim: int  # number of the case
    links: tuple[LinkSight, ...]


class FenceOrder(Enum):
    """What an operator can ask about the fencing of a node."""

    FENCE = "fence"
    OFF = "off"  # fence, and leave it off
    ACK = "ack"  # it is down: an operator's word
    CANCEL = "cancel"  # no further attempt
    TEST = "test"  # try the paths now; without a node those to all nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceRequest:
    """An operator asked about fencing. `number` is the asking member's own."""

    number: int
    order: FenceOrder
    node: NodeId | None
    by: str  # who asked, as far as the daemon can tell
    wall_s: int = 0  # the asking member's wall clock, for display
    because: str = ""  # in the operator's words


class MaintenanceOrder(Enum):
    """What an operator can order of a node, or of the cluster, until it is ended."""

    STANDBY = "standby"  # the node gives its services away and gets none
    UNSTANDBY = "unstandby"
    DISARM = "disarm"  # the cluster does nothing by itself
    ARM = "arm"
    LOCK = "lock"  # no service starts
    UNLOCK = "unlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceRequest:
    """An operator ordered something that lasts. `number` is the asking member's own."""

    number: int
    order: MaintenanceOrder
    by: str  # who asked, as far as the daemon can tell
    node: NodeId | None = None  # for STANDBY and UNSTANDBY
    for_ms: int = 0  # it ends by itself after so long; 0: not by itself
    brings_back: bool = False  # the services that it moved return at its end
    because: str = ""
    wall_s: int = 0  # the asking member's wall clock, for display


@dataclass(frozen=True, slots=True, kw_only=True)
class TermOver:
    """The time of a standing order is up."""

    ends: MaintenanceOrder  # UNSTANDBY or ARM
    node: NodeId | None
    until_ms: int  # names the order: a later one has another


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceFailed:
    """One attempt brought no proof."""

    node: NodeId
    victim: int
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class GraceExpired:
    """A detached node's daemon did not come back in time."""

    node: NodeId
    incarnation: int


@dataclass(frozen=True, slots=True)
class JoinDelayOver:
    """Nodes not seen by now are fenced."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Reached:
    """What of all that is pinged the sender does not reach, by name and in configuration order."""

    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthSettled:
    """No node has told anything new for a while: what they told last counts now."""

    number: int  # of the latest report


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitOver:
    """A service has waited for its node for as long as it shall."""

    service: ServiceName
    until_ms: int  # names the wait: a later one has another


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryDue:
    """The pause before a service that starts nowhere is tried again is over."""

    service: ServiceName
    rounds: int  # those in vain so far


@dataclass(frozen=True, slots=True, kw_only=True)
class FailbackDue:
    """A service may go to a better node now: the delay is over and the window is open."""

    service: ServiceName
    owner: NodeId
    since_ms: int  # which of the intentions is meant


@dataclass(frozen=True, slots=True)
class Leaving:
    """The sender will go: give its services away."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender runs nothing any more and goes."""


@dataclass(frozen=True, slots=True)
class ConfigProposed:
    """The sender's cluster.toml is newer than the agreed configuration."""

    spec: ClusterSpec


AnyRequest = Request | FenceRequest | MaintenanceRequest
"""What an operator can ask."""


def words_of(request: AnyRequest) -> dict[str, str]:
    """Return who asked, and why, as far as that was said."""
    said = {"user": request.by, "because": request.because}
    return {name: words for name, words in said.items() if words}


Body = (
    Request
    | ServiceStarted
    | ServiceStartFailed
    | ServiceStopped
    | ServiceStopFailed
    | ServiceStayed
    | ServiceFailed
    | FenceDue
    | NodeFenced
    | FenceFailed
    | GraceExpired
    | JoinDelayOver
    | Leaving
    | Goodbye
    | ConfigProposed
    | FenceRequest
    | PowerRestored
    | PathsTested
    | FailbackDue
    | Reached
    | HealthSettled
    | MaintenanceRequest
    | TermOver
    | AwaitOver
    | RetryDue
    | LinksSeen
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A change of the agreed state; applied once, in its epoch or, sent again, in a later one."""

    epoch: int
    incarnation: int
    sequence: int  # per incarnation, from 1
    first_epoch: int  # the epoch in which it was first sent
    at_ms: int  # cluster time
    body: Body


@dataclass(frozen=True, slots=True)
class Ack:
    """The sender has made the durable part of the state up to here safe on its disk."""

    epoch: int
    applied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Proves to its own sender that the ring turns, and to the others that it is not stuck."""

    incarnation: int
    count: int
    epoch: int
    applied: int  # what every member has applied need not be sent again
    wall_ms: int = 0  # the sender's wall clock; this and the next two are for display only
    config_version: int = 0  # of the file on its node
    config_digest: str = ""
    minute: int = -1  # of the sender's day, by its own clock and time zone; -1: not told


Message = Hello | Install | Operation | Ack | Tick
