# SPDX-License-Identifier: Apache-2.0
"""What one member alone knows: its view, its units, its own unfinished work.

Local state never enters a decision about agreed state; it may only hold this member's own share
of the actions back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Action, Record, Severity
from rgmgr.core.events import Shutdown, ViewChanged
from rgmgr.core.evolve import evolve
from rgmgr.core.messages import (
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    AnyRequest,
    Hello,
    Operation,
)
from rgmgr.core.model import ClusterState, RingId
from rgmgr.core.spec import ClusterSpec, ResourceName, ResourceSpec


class JobKind(Enum):
    """What the executor does with a service here."""

    START = "start"
    STOP = "stop"
    MIGRATE = "migrate"  # its stops are migrations
    MEND = "mend"  # parts of a service that is up go down, and up again unless they are off


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One service being worked on here, a resource at a time: all stops, then all starts."""

    kind: JobKind
    op: int
    stops: tuple[ResourceSpec, ...] = ()  # still to do, the present one first
    starts: tuple[ResourceSpec, ...] = ()  # likewise
    done: tuple[ResourceSpec, ...] = ()  # started so far, in order
    is_waiting: bool = False  # for the answer to the present step
    faults: tuple[str, ...] = ()  # that fail the whole job
    lapses: tuple[str, ...] = ()  # that cost a part only
    failed: tuple[ResourceName, ...] = ()  # what did not come up, or down, in such a part
    stays: str = ""  # why a migration has left all as it was
    since: tuple[int, int] = (0, 0)  # epoch and `applied` when the job was made

    @property
    def step(self) -> ResourceSpec | None:
        """Return the present step; None: all is done."""
        return next((each[0] for each in (self.stops, self.starts) if each), None)


class Rest(Enum):
    """How far a frozen service of this node is left alone."""

    ASLEEP = "asleep"  # nobody looks after it
    WAKING = "waking"  # not frozen any more; what is active of it is being found out


@dataclass(frozen=True, slots=True)
class Sent:
    """An operation of ours that may have to be sent again."""

    operation: Operation
    applied_at: int = 0  # where it was applied in this epoch; 0: not yet


@dataclass(frozen=True, slots=True)
class Waiting:
    """An operator's request that this member has to answer."""

    request: AnyRequest
    accepted_op: int | None = None  # None: not yet delivered


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of one thing that is pinged."""

    is_under_way: bool = False
    streak: int = 0  # answers in a row; below zero: silences
    is_lost: bool | None = None  # None: neither has lasted long enough


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalState:
    """See the module; every field has a safe default for a daemon that has just begun."""

    me: NodeId
    incarnation: int
    boot_id: str
    own_spec: ClusterSpec  # of the file on this node
    protocols: tuple[int, int] = (PROTOCOL_MIN, PROTOCOL_MAX)  # the oldest and newest spoken here
    protocol: int = PROTOCOL_MIN  # the one of the present epoch: what is newer must wait

    view: ViewChanged | None = None
    quorum_ring: RingId | None = None
    is_quorate: bool = False

    is_probed: bool = False
    hellos: dict[NodeId, Hello] = field(default_factory=dict)
    has_sent_install: bool = False
    is_sync_overdue: bool = False  # somebody's HELLO did not come in time
    view_epoch: int = 0  # the latest that began in the present view, with us or without
    is_installed: bool = False
    is_live: bool = False  # an epoch was installed in this life
    acks: dict[NodeId, int] = field(default_factory=dict)  # applied, in the present epoch
    is_known: bool = False  # since we joined a majority has had on disk that we take part
    saved: ClusterState | None = None  # durable part last asked to be saved
    saved_at: int = 0  # `applied` when the durable part last changed in this epoch

    sequence: int = 0
    sent: tuple[Sent, ...] = ()
    clock_offset_ms: int = 0

    jobs: dict[ServiceName, Job] = field(default_factory=dict)
    active: dict[ServiceName, tuple[ResourceName, ...]] = field(default_factory=dict)
    doubtful: dict[ServiceName, tuple[ResourceName, ...]] = field(default_factory=dict)
    faults: dict[ServiceName, str] = field(default_factory=dict)
    reported: dict[ServiceName, tuple[int, bool]] = field(default_factory=dict)  # op, was running
    resting: dict[ServiceName, Rest] = field(default_factory=dict)
    fencing: dict[NodeId, tuple[int, int]] = field(default_factory=dict)  # case, attempt
    restoring: dict[NodeId, int] = field(default_factory=dict)  # case
    answered: frozenset[NodeId] = frozenset()  # of `fencing` and `restoring`: those that are over
    testing: int | None = None  # operators' test being answered; None: no test is going on
    tested: int = 0  # the latest one that was answered
    has_tested: bool = False  # in this life
    watchdog_ms: int = 0  # promised to the others; 0: none
    is_arming: bool = False
    is_armed: bool = False
    emergency: str = ""  # why services must stop at once; empty: they need not
    is_overdue: bool = False  # quorum's verdict for the present ring did not come in time

    probes: dict[str, Probe] = field(default_factory=dict)  # by the name of what is pinged

    waiting: dict[int, Waiting] = field(default_factory=dict)
    shutdown: Shutdown | None = None
    said: tuple[str, ...] = ()  # one-time messages already sent in this life
    is_over: bool = False
    timers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What ticks tell. Apart from the rest, which most of them leave as it is."""

    count: int = 0  # ticks sent
    sent_ms: int = 0  # when the one was sent that is on its way; 0: none is
    seen_ms: int | None = None  # when the latest one that came back was sent
    minute: int = -1  # of the day, as our latest tick told it; -1: not known
    heard_ms: dict[NodeId, int] = field(default_factory=dict)  # this epoch's latest tick of each
    applied_by: dict[NodeId, int] = field(default_factory=dict)  # in this epoch, by each


@dataclass(frozen=True, slots=True)
class State:
    """All a member knows.

    `quiet_gate`: nothing followed from it when that was last looked at, with the gate open, or
    closed, and nothing will from an event that leaves it so (`machine.step`); None: something may.
    That is no knowledge, so it counts in no comparison.
    """

    cluster: ClusterState
    local: LocalState
    pulse: Pulse = field(default_factory=Pulse)
    quiet_gate: bool | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one event: the next state, and this member's share of the work in order."""

    state: State
    actions: tuple[Action, ...]


class Turn:
    """One event being handled: the state as it changes and the actions so far."""

    def __init__(self, state: State, now_ms: int) -> None:
        self.before = state
        self.cluster = state.cluster
        self.local = state.local
        self.pulse = state.pulse
        self.now_ms = now_ms
        self.actions: list[Action] = []
        self.fired_key: str | None = None  # the timer that this event is
        self.quiet_gate: bool | None = None  # see `State`

    def do(self, *actions: Action) -> None:
        """Ask for actions, in this order."""
        self.actions.extend(actions)

    def note(
        self, event: str, severity: Severity = Severity.INFO, **fields: str | int | None
    ) -> None:
        """Write a journal line."""
        self.do(Record(event=event, severity=severity, fields=fields))

    def update(self, **changes: object) -> None:
        """Change fields of the local state."""
        self.local = evolve(self.local, changes)

    def beat(self, **changes: object) -> None:
        """Change fields of the pulse."""
        self.pulse = evolve(self.pulse, changes)

    def is_news(self, topic: str, value: object) -> bool:
        """Tell whether this was not the last thing said of a topic, and remember it as said."""
        word = f"{topic} {value}"
        if word in self.local.said:
            return False
        others = tuple(w for w in self.local.said if not w.startswith(f"{topic} "))
        self.update(said=(*others, word))
        return True

    @property
    def cluster_ms(self) -> int:
        """Cluster time, as far as this member knows."""
        return self.now_ms + self.local.clock_offset_ms

    def step(self) -> Step:
        """Return the outcome."""
        return Step(
            State(self.cluster, self.local, self.pulse, self.quiet_gate), tuple(self.actions)
        )
