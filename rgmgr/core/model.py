# SPDX-License-Identifier: Apache-2.0
"""Agreed state: what every member of an installed epoch knows alike.

`ClusterState` changes only by agreed messages (`messages.py`), so two members with the same
epoch and `applied` count have the same digest. What one member alone knows is in `local.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.spec import (
    ClusterSpec,
    Deed,
    FenceStep,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)


@dataclass(frozen=True, slots=True, order=True)
class RingId:
    """One totem membership. Source: `struct cpg_ring_id`."""

    node: NodeId
    seq: int


class NodeStatus(Enum):
    """What the cluster knows of a configured node."""

    UNSEEN = "unseen"  # not seen since the cluster formed: may run anything
    ONLINE = "online"
    LEAVING = "leaving"  # asked to go: gives its services away, gets none
    LEFT = "offline"  # said goodbye: runs nothing
    DETACHED = "detached"  # its daemon is gone, the node is not: services go on
    UNCLEAN = "unclean"  # left without proof that it is down
    FENCED = "fenced"  # proven down


class ServiceState(Enum):
    """States with rgmanager's words. Source: rgmanager `RG_STATE_*`."""

    STOPPED = "stopped"
    STARTING = "starting"
    STARTED = "started"
    STOPPING = "stopping"
    FAILED = "failed"
    RECOVERABLE = "recoverable"
    RECOVERING = "recovering"
    DISABLED = "disabled"

    @property
    def code(self) -> int:
        """rgmanager's number, as clustat shows and returns it."""
        return _STATE_CODES[self]


_STATE_CODES = {
    ServiceState.STOPPED: 110,
    ServiceState.STARTING: 111,
    ServiceState.STARTED: 112,
    ServiceState.STOPPING: 113,
    ServiceState.FAILED: 114,
    ServiceState.RECOVERABLE: 117,
    ServiceState.RECOVERING: 118,
    ServiceState.DISABLED: 119,
}


class After(Enum):
    """What a stop is for: where the service goes once it is stopped."""

    STOP = "stop"
    DISABLE = "disable"
    RESTART = "restart"  # start again on the same node
    RELOCATE = "relocate"  # start on `target`, or on the best other node
    FAILBACK = "failback"  # `target` is better; start on the best node there is by then
    RECOVER = "recover"  # apply the recovery policy
    REPAIR = "repair"  # only what is broken and what is below it; start that again here
    SETTLE = "settle"  # start wherever the domain says
    MIGRATE = "migrate"  # no stop: take it to `target` while it runs


class ProofKind(Enum):
    """Why a node is believed to be down, strongest first."""

    FENCED = "proven"  # an agent's device said: off
    REBOOTED = "rebooted"  # it came back with another boot id
    TIMED = "timed"  # its watchdog must have fired by now
    HUMAN = "human"  # somebody said so
    NONE = "none"  # fencing is switched off by configuration

    @property
    def guarantee(self) -> str:
        """What it is worth: proven, timed, human or none."""
        return ProofKind.FENCED.value if self is ProofKind.REBOOTED else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why a lost node counts as down."""

    kind: ProofKind
    at_ms: int  # cluster time
    by: NodeId
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One configured node in the agreed state."""

    status: NodeStatus = NodeStatus.UNSEEN
    incarnation: int = 0  # of its daemon; 0: never seen
    boot_id: str = ""
    sequence: int = 0  # last operation applied from this incarnation
    lost_epoch: int = 0  # the epoch that first lacked it
    joined_epoch: int = 0  # the epoch since which it takes part; its daemon may be another
    watchdog_ms: int = 0  # resets it this long after it was fed last; 0: it promised none
    victim: int = 0  # number of the present fencing case; 0: none
    is_weighed: bool = False  # `delay_ms` holds all that is waited for before the first attempt
    delay_ms: int = 0
    is_due: bool = False  # the delay before the next attempt is over
    may_return: bool = False  # only its silence is against it, and no device acts on it
    is_ordered: bool = False  # by an operator: neither delay nor budget hold it up
    stays_off: bool = False  # an operator does not want it switched on again
    withheld: str = ""  # why no attempt is made until an operator orders one; empty: they go on
    fencer: NodeId | None = None  # set: an attempt is going on
    attempt: int = 0
    last_fault: str = ""  # of the latest failed attempt
    proof: Proof | None = None
    to_restore: tuple[FenceStep, ...] = ()  # switched off, and not yet on again
    restorer: NodeId | None = None  # who switches it on
    to_unfence: tuple[FenceStep, ...] = ()  # paths that were cut, to be opened once it has rebooted
    is_cut_off: bool = False  # it has, and they are being opened: it gets no services before
    lost: tuple[str, ...] | None = None  # of what is pinged, as it told last; None: not told yet
    ills: tuple[str, ...] | None = None  # of that, what counts by now; None: nothing yet


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceTrial:
    """One attempt at fencing, in the history of its case."""

    by: NodeId
    begun_ms: int  # cluster time, like the next
    ended_ms: int = 0  # 0: it goes on, or nobody heard how it ended
    result: str = ""  # what confirmed, or why nothing did


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A service that a lost node had, in the history of its case."""

    service: ServiceName
    back_ms: int = 0  # cluster time; 0: it is not back
    back_on: NodeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSight:
    """A link of corosync to a lost node as one survivor saw it, in the history of its case."""

    by: NodeId
    link: int
    is_up: bool
    first_ms: int  # cluster time of the look that first found it so; 0: it was never otherwise
    before_ms: int = 0  # of the last look that found it the other way; 0: there was none
    losses: int = 0  # how often it was lost since the survivor's corosync started


@dataclass(frozen=True, slots=True, kw_only=True)
class FenceCase:
    """The history of one case: a loss of a node and what was done about it."""

    number: int  # `Node.victim` while it is open
    node: NodeId
    cause: str
    opened_ms: int  # cluster time, like the other two
    begun_ms: int = 0  # of the first attempt; 0: none
    ended_ms: int = 0
    attempts: int = 0
    is_ordered: bool = False
    by: NodeId | None = None  # who made the latest attempt, or heard the human
    outcome: str = ""  # a word of `ProofKind`, or CALLED_OFF; empty: open
    detail: str = ""
    wall_s: int = 0  # wall clock of whoever brought the proof, for display; 0: not told
    epoch: int = 0  # in which it was opened
    members: tuple[NodeId, ...] = ()  # who was there to see it
    trials: tuple[FenceTrial, ...] = ()  # the latest TRIALS_MAX
    outages: tuple[Outage, ...] = ()  # known once it is proven down
    ring_seq: int = 0  # of the ring of that epoch
    sights: tuple[LinkSight, ...] = ()  # by who told, in the order in which they did


CALLED_OFF = "called off"
CASES_MAX = 50
TRIALS_MAX = 5


class PathState(Enum):
    """What the latest test of a fence path found."""

    WORKS = "works"
    FAILS = "fails"
    LIES = "lies"  # the device calls a running member off: another plug, or a dead one


@dataclass(frozen=True, slots=True, kw_only=True)
class FencePath:
    """One device of one method of one node, as one member found it when it tried."""

    node: NodeId
    method: int  # index among the methods of the node
    step: int  # index among the steps of the method
    device: str
    state: PathState
    detail: str = ""  # what the device or its agent said
    since_ms: int = 0  # cluster time from which on it has been in this state
    at_ms: int = 0  # cluster time of the latest test


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTest:
    """What one member knows of the fence paths to the others."""

    number: int = 0  # of the operators' test that it answers; 0: none was asked for yet
    paths: tuple[FencePath, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was done about one failure of a service; kept as long as it may count."""

    deed: Deed
    at_ms: int  # cluster time


class AwaitKind(Enum):
    """Why a service waits for a node, and what else ends that."""

    DELAY = "delay"  # the node was lost; until its time is up
    CONFIRM = "confirm"  # the node was lost; until an administrator confirms the takeover
    ALERT = "alert"  # the node was lost; until an administrator enables the service
    REFUSED = "refused"  # the node was lost, and an administrator refused the takeover
    RETURN = "return"  # the node was shut down; until its time is up
    STAY = "stay"  # the node was shut down


@dataclass(frozen=True, slots=True, kw_only=True)
class Await:
    """A service waits for a node: until it is back, the service starts nowhere."""

    node: NodeId
    kind: AwaitKind
    until_ms: int = 0  # cluster time; 0: it has no end of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is known of one part of a tree that fails apart from the rest (`subtrees.py`)."""

    is_off: bool = False  # given up until somebody convalesces the service or it starts anew
    restart_stamps: tuple[int, ...] = ()  # cluster times of counted restarts
    tolerance_stamps: tuple[int, ...] = ()  # cluster times of failures that were borne


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The record of one service. `op` numbers its transitions; results with another are stale."""

    spec: ServiceSpec
    state: ServiceState = ServiceState.STOPPED
    op: int = 0
    owner: NodeId | None = None
    last_owner: NodeId | None = None
    since_ms: int = 0  # cluster time of the last transition
    after: After = After.STOP  # of a stop in progress
    target: NodeId | None = None  # where an operator wants it next
    landing: NodeId | None = None  # where a migration may have brought it, whoever owns it
    failed_on: tuple[NodeId, ...] = ()  # tried in vain since the last success
    recoveries: tuple[Recovery, ...] = ()  # that count in the recovery ladder
    restarts: int = 0
    rounds: int = 0  # in which every node that could have it tried in vain
    awaits: Await | None = None
    decision: str = ""  # an administrator's, about its latest takeover: what, who and why
    is_held: bool = False  # an operator's `stop`, until the membership changes
    is_new: bool = True  # autostart not yet considered
    frozen: bool = False
    freed_epoch: int = 0  # in which it was told to be free; 0: only known from a claim
    adopted_epoch: int = 0  # in which its latest owner was found with it; 0: it was given to it
    cleanup: tuple[NodeId, ...] = ()  # nodes that must first stop left-overs
    cleanup_op: int = 0  # number of that work
    fault: str = ""  # the latest failure in words
    parts: dict[ResourceName, Part] = field(default_factory=dict)  # by the top of the part
    mending: tuple[ResourceName, ...] = ()  # parts that the owner takes down, and up unless off
    former: tuple[ResourceSpec, ...] = ()  # the tree that `spec.resources` takes the place of
    rivals: tuple[ServiceName, ...] = ()  # who may hold what the configuration has given to it

    @property
    def is_being_mended(self) -> bool:
        """Whether its owner has something to do to it while it runs."""
        return bool(self.mending or self.former)

    @property
    def keeps_tree(self) -> bool:
        """Whether something of it may be up somewhere: only this tree says how to stop that."""
        is_held = self.owner is not None or self.state is ServiceState.FAILED
        return is_held or bool(self.cleanup)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingOrder:
    """What an operator ordered of a node or of the whole cluster, until it is ended."""

    by: str  # who, as far as the daemon can tell
    because: str = ""  # in the operator's words
    epoch: int = 0  # in which it was given, or an order of the same effect that stood by then
    since_ms: int = 0  # cluster time, like the next
    until_ms: int = 0  # ends by itself then; 0: only when an operator says so
    wall_s: int = 0  # wall clock when it was given, for display; 0: not told
    services: tuple[ServiceName, ...] = ()  # that were moved away by it
    brings_back: bool = False  # at its end they return, even with nofailback


@dataclass(frozen=True, slots=True)
class Failback:
    """A running service that goes to a better node later."""

    owner: NodeId  # it leaves
    since_ms: int  # cluster time from which on the delay counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One line of the history: what all members did together, in the words of the journal."""

    at_ms: int  # cluster time
    wall_s: int  # wall clock, for display; 0: not told
    event: str
    facts: dict[str, str]


HISTORY_MAX = 300
FACT_CHARS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """Everything the members agree on."""

    spec: ClusterSpec
    epoch: int = 0
    ring_seq: int = 0  # of the ring it was installed in: the later of two equal epochs has more
    applied: int = 0
    next_op: int = 1
    now_ms: int = 0  # cluster time: the largest stamp seen
    nodes: dict[NodeId, Node] = field(default_factory=dict)
    services: dict[ServiceName, Service] = field(default_factory=dict)
    strangers: dict[ServiceName, tuple[NodeId, ...]] = field(
        default_factory=dict
    )  # who holds something of a service that has no record, by this epoch's claims
    has_formed: bool = False  # quorum was reached since this state began
    cases: tuple[FenceCase, ...] = ()  # the latest CASES_MAX, oldest first
    tests: dict[NodeId, PathTest] = field(default_factory=dict)  # by who tested
    test: int = 0  # number of the latest test that an operator asked for
    health: int = 0  # number of the latest report of a node that does not count yet; 0: none
    failbacks: dict[ServiceName, Failback] = field(default_factory=dict)  # that are put off
    standby: dict[NodeId, StandingOrder] = field(default_factory=dict)  # these run no services
    locked: StandingOrder | None = None  # no service starts
    disarmed: StandingOrder | None = None  # nothing is done to services, nobody is fenced
    history: tuple[Decision, ...] = ()  # the latest HISTORY_MAX, oldest first
    wall_ahead_ms: int = 0  # wall clock less cluster time when the epoch began; 0: not told

    def members(self) -> tuple[NodeId, ...]:
        """Nodes that take part now, lowest id first."""
        taking_part = (NodeStatus.ONLINE, NodeStatus.LEAVING)
        return tuple(sorted(n for n, node in self.nodes.items() if node.status in taking_part))

    def owned_by(self, node: NodeId) -> tuple[ServiceName, ...]:
        """Services whose record names `node` as owner, in configuration order."""
        return tuple(name for name, service in self.services.items() if service.owner == node)
