# SPDX-License-Identifier: Apache-2.0
"""Everything the core can ask for: one frozen dataclass each, imperative."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import Message
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import FenceDevice, FenceStep, PingSpec, ResourceSpec


@dataclass(frozen=True, slots=True)
class Multicast:
    """Send to every member, oneself included, in agreed order."""

    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class StartResource:
    """Bring one resource up; answered by ResourceStarted or ResourceStartFailed with `op`.

    Starting what is already up and verified is a success. `after` names the resources of the
    same service that are up and must stop later than this one.
    """

    service: ServiceName
    resource: ResourceSpec
    op: int
    after: tuple[ResourceSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StopResource:
    """Take one resource down; answered by ResourceStopped or ResourceStopFailed with `op`.

    Stopping what is not there is a success. `is_kept`: another service here uses it, so let go of
    it, and leave it up.
    """

    service: ServiceName
    resource: ResourceSpec
    op: int
    is_kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrateResource:
    """Bring one resource to another node while it runs.

    Answered with `op` by ResourceStopped (nothing of it is here), ResourceStayed (it runs here as
    before) or ResourceStopFailed (nobody can tell). One that is not here has gone there. Without a
    target nothing is sent: what is under way is waited for, and then it is said what is here.
    """

    service: ServiceName
    resource: ResourceSpec
    op: int
    target: NodeId | None
    target_name: str  # empty without a target


@dataclass(frozen=True, slots=True)
class SuspendChecks:
    """Look no more after a service: whatever becomes of it is no failure."""

    service: ServiceName


@dataclass(frozen=True, slots=True)
class ResumeChecks:
    """Look after a service again; answered by ServiceProbed with what is active of it."""

    service: ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskLease:
    """What is to be held on a shared disk while a node is fenced; sides never share a node."""

    device: str
    cluster: str
    side: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceNode:
    """Run these fence methods in order until one is confirmed; answered by FenceEnded.

    A method is confirmed when every step's agent exits 0 for `off`. With `tie_breaker` nothing is
    switched unless one of these addresses answers.
    """

    node: NodeId
    node_name: str
    victim: int
    attempt: int
    methods: tuple[tuple[FenceStep, ...], ...]
    devices: dict[str, FenceDevice] = field(default_factory=dict)
    timeout_ms: int
    tie_breaker: tuple[str, ...] = ()
    lease: DiskLease | None = None  # who does not get it switches nothing
    watchdog_wait_ms: int = 0  # after which its watchdog has reset it; 0: it promised none


@dataclass(frozen=True, slots=True, kw_only=True)
class EndFence:
    """End what is left of fencing this node: its case is closed, a late `off` would hit it.

    Not answered; ending what is not under way is fine.
    """

    node: NodeId


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchOn:
    """Switch a fenced node on again, device by device; answered by SwitchOnEnded.

    A later FenceNode for the same node ends it without an answer.
    """

    node: NodeId
    node_name: str
    victim: int
    steps: tuple[FenceStep, ...]
    devices: dict[str, FenceDevice] = field(default_factory=dict)
    timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTarget:
    """A node whose fence paths are to be tested. The plug of a member must read on."""

    node: NodeId
    node_name: str
    is_member: bool
    methods: tuple[tuple[FenceStep, ...], ...]
    watchdog_wait_ms: int = 0  # see FenceNode


@dataclass(frozen=True, slots=True)
class SendPing:
    """Ask once whether it is reached from here; answered by PingEnded."""

    ping: PingSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class TestPaths:
    """Ask every device of every method, switching nothing; answered by TestEnded."""

    __test__ = False  # no collection of tests

    targets: tuple[PathTarget, ...]
    devices: dict[str, FenceDevice] = field(default_factory=dict)
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class ArmWatchdog:
    """Start this node's watchdog; answered by WatchdogArmed."""


@dataclass(frozen=True, slots=True)
class FeedWatchdog:
    """Let the watchdog count from its beginning, unless the proof is too old; not answered."""

    proven_ms: int  # this node's monotonic clock when the tick was sent that came back


@dataclass(frozen=True, slots=True)
class DisarmWatchdog:
    """Stop the watchdog: nothing is held here; not answered."""


@dataclass(frozen=True, slots=True)
class RebootNode:
    """Reboot this node at once, stopping nothing: what runs here may run here no longer."""

    reason: str


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Set or move a timer; answered by TimerFired."""

    key: str
    after_ms: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Forget a timer; one that is not set is fine."""

    key: str


@dataclass(frozen=True, slots=True)
class SaveState:
    """Make this durable (atomic, fsynced); answered by StateSaved with its epoch."""

    state: ClusterState


class Answer(Enum):
    """How a request ended; the values are rgmanager's result codes."""

    DONE = 0
    FAILED = -1
    ABORTED = -2
    UNKNOWN_SERVICE = -4
    TRY_AGAIN = -6
    NOT_ALLOWED = -7
    INVALID = -8
    NO_QUORUM = -9
    ALREADY_RUNNING = -10
    FROZEN = -11
    NODE_OFFLINE = -12
    ON_ORIGINAL_OWNER = -17


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer the operator's request of this number."""

    number: int
    answer: Answer
    text: str  # one sentence: what happened or why not
    owner: NodeId | None  # where the service runs now


class Severity(Enum):
    """How much an operator should care."""

    DEBUG = "debug"
    INFO = "info"  # something changed
    WARNING = "warning"  # an operator may need to act
    ERROR = "error"  # protection or a service was lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the journal: `noun.past_participle` and plain values."""

    event: str
    severity: Severity = Severity.INFO
    fields: dict[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exit:
    """End the daemon: leave the group first, then end the process with this status."""

    status: int
    reason: str


Action = (
    Multicast
    | StartResource
    | StopResource
    | MigrateResource
    | SuspendChecks
    | ResumeChecks
    | FenceNode
    | EndFence
    | SwitchOn
    | TestPaths
    | SendPing
    | ArmWatchdog
    | FeedWatchdog
    | DisarmWatchdog
    | RebootNode
    | SetTimer
    | CancelTimer
    | SaveState
    | Reply
    | Record
    | Exit
)
