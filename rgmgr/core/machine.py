# SPDX-License-Identifier: Apache-2.0
"""The core: one event in, the next state and this member's share of the work out.

Start reading here. `step` is a pure function; agreed messages alone change `State.cluster`, and
after every event the rest follows from the state: jobs, fencing, timers, saving (`_follow_up`).
"""

from __future__ import annotations

from collections.abc import Callable

from domains.model import NodeId
from rgmgr.core import (
    clockwork,
    departure,
    desk,
    durable,
    evidence,
    executor,
    failback,
    fence_share,
    health,
    jobs,
    lease,
    operations,
    outbox,
    rebooting,
    stop_again,
    sync,
    watchdog,
)
from rgmgr.core.actions import Severity
from rgmgr.core.events import (
    ConfigLoaded,
    CorosyncLost,
    Delivered,
    Event,
    FenceEnded,
    LinksLooked,
    PingEnded,
    ProbeFinished,
    QuorumChanged,
    Requested,
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStayed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
    ShutdownRequested,
    StateSaved,
    SwitchOnEnded,
    TestEnded,
    TimerFired,
    ViewChanged,
    WatchdogArmed,
)
from rgmgr.core.invariants import check_actions, check_cluster
from rgmgr.core.local import LocalState, State, Step, Turn
from rgmgr.core.membership import with_spec
from rgmgr.core.messages import (
    PROTOCOL_MAX,
    PROTOCOL_MIN,
    Ack,
    Body,
    ConfigProposed,
    HealthSettled,
    Hello,
    Install,
    JoinDelayOver,
    Operation,
    Tick,
)
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import InvariantViolation


def begin(
    *,
    me: NodeId,
    incarnation: int,
    boot_id: str,
    spec: ClusterSpec,
    saved: ClusterState | None,
    protocols: tuple[int, int] = (PROTOCOL_MIN, PROTOCOL_MAX),
    watchdog_ms: int = 0,
    is_armed: bool = False,
) -> State:
    """Return the state of a daemon that has just begun.

    `incarnation` is random, above 0, new at each start. `saved` is what its disk holds, None when
    it holds nothing; then `spec`, the file's, counts at once. Else it is proposed to the others: to
    drop a node that may still run something is for all to refuse. `protocols`: the oldest and the
    newest that this version speaks. `watchdog_ms`: the timeout of this node's watchdog, 0 for none;
    `is_armed`: an earlier life of the daemon has armed it.
    """
    # as saved: a service that runs here still has the tree that it was started with
    cluster = saved or with_spec(ClusterState(spec=spec), spec)
    local = LocalState(
        me=me,
        incarnation=incarnation,
        boot_id=boot_id,
        own_spec=spec,
        protocols=protocols,
        watchdog_ms=watchdog_ms,
        is_armed=is_armed,
    )
    return State(cluster, local)


def step(state: State, event: Event, now_ms: int) -> Step:
    """Return the next state and the actions, in order, that this member takes.

    `now_ms` is this node's monotonic clock. Raises InvariantViolation for a state that must not
    be: the caller logs it, acts no more and ends the process.
    """
    if state.local.is_over:
        return Step(state, ())
    turn = Turn(state, now_ms)
    _handle(turn, event)
    if _stays_quiet(turn):
        turn.quiet_gate = state.quiet_gate
        clockwork.tick_on(turn)
    elif not _is_idle_tick(state, event, now_ms):
        _follow_up(turn)
    outcome = turn.step()
    broken = () if turn.cluster is state.cluster else check_cluster(turn.cluster, state.cluster)
    if turn.actions:
        broken += check_actions(outcome.state, outcome.actions)
    if broken:
        raise InvariantViolation("; ".join(broken))
    return outcome


def _stays_quiet(turn: Turn) -> bool:
    """Tell whether nothing follows because nothing did from the same state.

    A gate that has closed since lets no more follow than one that was open. Most events are such.
    """
    gate = turn.before.quiet_gate
    is_ours = turn.fired_key is None or turn.fired_key == clockwork.TICK
    is_same = gate is not None and is_ours and clockwork.is_as_before(turn)
    return is_same and (gate is True or not lease.gate_is_open(turn))


def _is_idle_tick(state: State, event: Event, now_ms: int) -> bool:
    """Tell whether nothing can follow, as from most of what an idle cluster hears.

    A tick can only open the gate, and only one's own can.
    """
    if not (isinstance(event, Delivered) and isinstance(event.message, Tick)):
        return False
    if jobs.is_about_to_migrate(state.local):
        return False
    return event.sender != state.local.me or lease.gate_is_open(Turn(state, now_ms))


def _handle(turn: Turn, event: Event) -> None:  # noqa: C901, PLR0912  # one arm per kind
    match event:
        case Delivered():
            _delivered(turn, event)
        case ViewChanged():
            sync.view_changed(turn, event)
            lease.send_tick(turn)
        case QuorumChanged(ring=ring, is_quorate=is_quorate):
            sync.quorum_changed(turn, ring, is_quorate=is_quorate)
        case CorosyncLost(reason=reason):
            sync.corosync_lost(turn, reason)
        case TimerFired(key=key):
            _timer_fired(turn, key)
        case ServiceProbed():
            executor.probed(turn, event)
        case ProbeFinished():
            sync.probed(turn)
        case (
            ResourceStarted()
            | ResourceStartFailed()
            | ResourceStopped()
            | ResourceStopFailed()
            | ResourceStayed()
        ):
            executor.step_ended(turn, event)
        case ResourceFailed():
            executor.resource_failed(turn, event)
        case FenceEnded():
            fence_share.fence_ended(turn, event)
        case SwitchOnEnded():
            fence_share.switch_on_ended(turn, event)
        case TestEnded():
            fence_share.test_ended(turn, event)
        case PingEnded():
            health.ended(turn, event)
        case LinksLooked():
            evidence.looked(turn, event)
        case WatchdogArmed():
            watchdog.armed(turn)
        case StateSaved(epoch=epoch, applied=applied):
            durable.saved(turn, epoch, applied)
        case Requested(request=request):
            desk.requested(turn, request)
        case ShutdownRequested(kind=kind):
            departure.begin(turn, kind)
        case ConfigLoaded(spec=spec):
            said = tuple(word for word in turn.local.said if not word.startswith("config "))
            turn.update(own_spec=spec, said=said)  # refused once, it may be taken now


def _delivered(turn: Turn, event: Delivered) -> None:
    match event.message:
        case Tick() as tick:  # first, for most messages are ticks
            lease.heard_tick(turn, event.sender, tick)
            if event.sender == turn.local.me:
                watchdog.feed(turn)
        case Hello() as hello:
            sync.heard_hello(turn, event.sender, hello)
        case Install() as install:
            sync.heard_install(turn, install)
        case Operation() as operation:
            operations.heard(turn, event.sender, operation)
        case Ack() as ack:
            sync.heard_ack(turn, event.sender, ack)


def _timer_fired(turn: Turn, key: str) -> None:
    if clockwork.fired(turn, key):
        _ON_TIMER[key.partition(":")[0]](turn, key)


def _quorum_overdue(turn: Turn) -> None:
    turn.update(is_overdue=True)
    sync.declare_emergency(turn, "no quorum verdict came for the present ring")


def _send_if_open(turn: Turn, body: Body | None) -> None:
    if body is not None:
        outbox.send(turn, body)


_ON_TIMER: dict[str, Callable[[Turn, str], None]] = {
    clockwork.TICK: lambda turn, _key: lease.send_tick(turn),
    "sync": lambda turn, _key: sync.overdue(turn),
    "quorum": lambda turn, _key: _quorum_overdue(turn),
    "goodbye": lambda turn, _key: departure.proceed(turn, is_late=True),
    "rejoin": lambda turn, _key: sync.rejoin(
        turn, "this node does not count as a member and is one"
    ),
    "join": lambda turn, _key: outbox.send(turn, JoinDelayOver(turn.cluster.epoch)),
    "fence": lambda turn, key: _send_if_open(turn, clockwork.fence_due(turn, key)),
    "test": lambda turn, _key: fence_share.begin_test(turn),
    "ping": health.begin,
    "health": lambda turn, _key: outbox.send(turn, HealthSettled(turn.cluster.health)),
    "failback": lambda turn, key: _send_if_open(turn, failback.due_now(turn, key)),
    "grace": lambda turn, key: _send_if_open(turn, clockwork.grace_expired(turn, key)),
    "await": lambda turn, key: _send_if_open(turn, clockwork.service_due(turn, key)),
    "again": stop_again.due,
    "retry": lambda turn, key: _send_if_open(turn, clockwork.service_due(turn, key)),
    "term": lambda turn, key: _send_if_open(turn, clockwork.term_over(turn, key)),
    "shield": lambda turn, _key: sync.declare_emergency(
        turn, f"{turn.local.emergency}; the cluster is not disarmed any more"
    ),
}


def _follow_up(turn: Turn) -> None:
    """Do what follows from the state, whatever the event was, and note whether it was nothing."""
    cluster, local, done = turn.cluster, turn.local, len(turn.actions)
    sync.heed_own_status(turn)
    if turn.local.emergency and turn.local.waiting:
        desk.give_up(turn, turn.local.emergency)
    departure.proceed(turn)
    rebooting.act(turn)
    may_act = lease.gate_is_open(turn)
    executor.drive(turn, may_start=may_act and watchdog.is_on_guard(turn))
    watchdog.settle(turn)
    if may_act:
        fence_share.act(turn)
        _propose_config(turn)
    _heed_foreign(turn)
    health.tell(turn)
    desk.settle_requests(turn)
    departure.proceed(turn)
    is_all_looked_at = clockwork.wind(turn)
    is_same = turn.cluster is cluster and turn.local is local
    done += turn.fired_key is not None  # that timer was set again
    # safety: what else time or the disks of others could bring about is looked at each time
    is_shielded = bool(local.emergency) and cluster.disarmed is not None
    is_held_up = may_act and any(not job.is_waiting for job in local.jobs.values())
    waits = bool(local.waiting) or local.shutdown is not None or is_shielded or is_held_up
    if is_same and is_all_looked_at and len(turn.actions) == done and not waits:
        turn.quiet_gate = may_act


def _heed_foreign(turn: Turn) -> None:
    """Ask for a new epoch, once in each, when something is active here that should not be.

    Or was stopped in an emergency. Only an epoch, made with our claim to it, can judge that.
    """
    local, before = turn.local, turn.before.local
    is_same = turn.cluster is turn.before.cluster and local.active is before.active
    if is_same and local.jobs is before.jobs:
        return
    found = executor.foreign(turn)
    if found and turn.is_news("foreign", turn.cluster.epoch):
        sync.rejoin(turn, f"active here and not meant to be: {', '.join(found)}")
    sync.heed_own_stops(turn)


def _note_refusal(turn: Turn, reason: str) -> None:
    """Say once that our file has to wait; it is proposed as soon as it can be taken."""
    own = turn.local.own_spec
    if turn.is_news("config held", own.version):
        turn.note(
            "config.refused",
            Severity.ERROR,
            version=own.version,
            by=turn.cluster.spec.node_name(turn.local.me),
            reason=reason,
        )


def _propose_config(turn: Turn) -> None:
    """Tell everybody when our file is newer than the agreed configuration."""
    own, agreed = turn.local.own_spec, turn.cluster.spec
    if own.version > agreed.version:
        if reason := operations.objection(turn.cluster, own):
            _note_refusal(turn, reason)
        elif turn.is_news("config proposed", f"{own.version} {turn.cluster.epoch}"):
            outbox.send(turn, ConfigProposed(own))
    is_other = own.version == agreed.version and own.digest != agreed.digest
    if is_other and turn.is_news("config mismatch", f"{own.version} {own.digest}"):
        turn.note(
            "config.mismatched",
            Severity.WARNING,
            version=own.version,
            reason="cluster.toml here differs from the agreed one of the same version; the agreed"
            " one counts until a file with a higher version is loaded",
        )
