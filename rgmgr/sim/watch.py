# SPDX-License-Identifier: Apache-2.0
"""The auditor: sees everything, compares it with the truth, and notes each broken promise.

Invariants are those of the design, by number. It never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import (
    Action,
    Answer,
    FenceNode,
    MigrateResource,
    Multicast,
    RebootNode,
    Record,
    Reply,
    SaveState,
    Severity,
    StartResource,
    StopResource,
)
from rgmgr.core.durable import PAIR
from rgmgr.core.events import Delivered, Event, ViewChanged
from rgmgr.core.invariants import check_cluster, check_fence
from rgmgr.core.local import State
from rgmgr.core.messages import (
    AnyRequest,
    FenceRequest,
    Goodbye,
    Hello,
    Install,
    Leaving,
    MaintenanceOrder,
    MaintenanceRequest,
    Message,
    NodeFenced,
    Operation,
    Request,
    ServiceStarted,
    ServiceStopped,
    Verb,
)
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.bonds import Stops
from rgmgr.sim.bounds import may_differ
from rgmgr.sim.bus import DETECTION_MS, DETECTION_SPREAD_MS, Bus
from rgmgr.sim.daemon import Daemon
from rgmgr.sim.engine import Engine
from rgmgr.sim.excuses import Excuses
from rgmgr.sim.host import Host
from rgmgr.sim.jury import Jury
from rgmgr.sim.moments import Moment
from rgmgr.sim.phases import ARRIVES, Phase
from rgmgr.sim.systemd import Unit
from rgmgr.sim.trace import Trace
from rgmgr.sim.tree_order import is_untouchable, order_of, unneeded

INQUORATE_MAX_MS = DETECTION_MS + DETECTION_SPREAD_MS + 250
VIOLATIONS_MAX = 5
ANSWER_MAX_MS = 60_000


Asked = TypeVar("Asked", Request, MaintenanceRequest, FenceRequest)


@dataclass(slots=True, eq=False)
class Wish(Generic[Asked]):
    """One operator's request on its way."""

    request: Asked
    incarnation: int
    asked_ms: int
    answer: Answer | None = None
    is_lost: bool = False  # its daemon died before it answered
    ended_ms: int = 0

    @property
    def is_open(self) -> bool:
        """Whether somebody still waits for the answer."""
        return self.answer is None and not self.is_lost


AnyWish = Wish[Request] | Wish[MaintenanceRequest] | Wish[FenceRequest]


class Watch:
    """Checks a world while it runs. `violations` holds one sentence each, oldest first."""

    def __init__(self, engine: Engine, bus: Bus, spec: ClusterSpec, trace: Trace) -> None:
        self.violations: list[str] = []
        self.wishes: list[Wish[Request]] = []
        self.orders: list[Wish[MaintenanceRequest]] = []
        self.fence_orders: list[Wish[FenceRequest]] = []
        self.quiet_from_ms: int | None = None  # from here on no unit may change (I8)
        self.unit_changes = 0
        self.fences = 0
        self.installs: dict[NodeId, Install] = {}
        self.ambush: Callable[[NodeId, Moment], None] = lambda _node, _moment: None
        self._engine = engine
        self._bus = bus
        self._spec = spec
        self._trace = trace
        self._active: dict[ServiceName, dict[NodeId, int]] = {}
        self._bonds = Stops(self._active)
        self._was_active: dict[int, bool] = {}
        self._agreed: dict[tuple[int, int], tuple[NodeId, ClusterState]] = {}
        self.excuses = Excuses()
        self._damaged_ms = -1
        self._dropped_ms: dict[NodeId | ServiceName, int] = {}  # when it left the configuration
        self._kept_installs: list[Install] = []  # so that no id() is used twice
        self.jury = Jury(engine, self._active, self.excuses, self.violate)

    def violate(self, invariant: str, words: str) -> None:
        """Note a broken promise."""
        if len(self.violations) < VIOLATIONS_MAX:
            sentence = f"{invariant} at {self._engine.now_ms / 1000:.3f}: {words}"
            self.violations.append(sentence)
            self._trace.tell(self._engine.now_ms, None, "*** {}", sentence)

    def name(self, node: NodeId) -> str:
        """Return a node's name."""
        return self._spec.node_name(node)

    # What the world tells.

    def unit_changed(self, node: NodeId, unit: Unit, words: str) -> None:
        """A unit changed; called after the change."""
        now_ms = self._engine.now_ms
        self.unit_changes += 1
        self._trace.tell(now_ms, node, "{}/{} {}", unit.service, unit.resource, words)
        where = self._active.setdefault(unit.service, {})
        was_active = self._was_active.get(id(unit), False)
        self._was_active[id(unit)] = unit.is_active
        where[node] = where.get(node, 0) + unit.is_active - was_active
        self.excuses.note(node, unit, is_gone=not where[node])
        self.jury.shares.changed(node, unit)
        holders = [n for n, count in sorted(where.items()) if count]
        begins = unit.phase is Phase.STARTING or words == ARRIVES
        if len(holders) > 1 and begins:
            holders = self.excuses.count_out(unit.service, holders)
        if len(holders) > 1 and begins and node in holders:  # else it is not this one's fault
            self.violate("I1", f"{unit.service} is active on {', '.join(map(self.name, holders))}")
        if self.quiet_from_ms is not None and now_ms >= self.quiet_from_ms:
            self.violate("I8", f"{unit.service}/{unit.resource} on {self.name(node)} {words}")

    def lied(self, node: NodeId) -> None:
        """A device said that this node is off, and it is on."""
        active = [service for service, where in self._active.items() if where.get(node)]
        self.excuses.lied(node, active)

    def state_damaged(self) -> None:
        """A state was lost: what was told done before may be forgotten with it."""
        self._damaged_ms = self._engine.now_ms

    def began(self, host: Host) -> None:
        """See `Observer`."""
        self.installs.pop(host.node, None)
        self.jury.began(host.node)
        self._trace.tell(self._engine.now_ms, host.node, "rgmgrd starts")

    def ended(self, host: Host, daemon: Daemon, reason: str) -> None:
        """See `Observer`."""
        self.installs.pop(host.node, None)
        self._trace.tell(self._engine.now_ms, host.node, "rgmgrd ends: {}", reason)
        for wish in self.asked_for():
            if wish.incarnation == daemon.incarnation and wish.answer is None:
                wish.is_lost, wish.ended_ms = True, self._engine.now_ms

    def asked(self, host: Host, request: AnyRequest) -> None:
        """See `Observer`."""
        daemon, now_ms = host.daemon, self._engine.now_ms
        if daemon is None:
            return
        match request:
            case Request():
                self.wishes.append(Wish(request, daemon.incarnation, now_ms))
            case MaintenanceRequest():
                self.orders.append(Wish(request, daemon.incarnation, now_ms))
            case FenceRequest():
                self.fence_orders.append(Wish(request, daemon.incarnation, now_ms))

    def stepped(self, host: Host, event: Event, before: State) -> None:
        """See `Observer`."""
        daemon = host.daemon
        if daemon is None:
            return
        if isinstance(event, ViewChanged):
            self.ambush(host.node, Moment.VIEW)
            names = ",".join(self.name(n) for n in event.members)
            ring = f"{event.ring.node}/{event.ring.seq}"
            self._trace.tell(self._engine.now_ms, host.node, "sees {} in ring {}", names, ring)
        after = daemon.state
        if not may_differ(before, after):
            return
        self.jury.stepped(host.node, after)
        if after.cluster is before.cluster:
            return
        if isinstance(event, Delivered) and isinstance(event.message, Install):
            self._note_install(host.node, event.message, after)
        if after.local.is_installed:
            self._check_agreement(host.node, event, before, after)

    def _note_install(self, node: NodeId, message: Install, after: State) -> None:
        if not after.local.is_installed or after.cluster.epoch != message.epoch:
            return  # it was for another view
        self.installs[node] = message
        if node in after.cluster.members():
            self.excuses.joined(node)
        self.ambush(node, Moment.INSTALL)
        self._kept_installs.append(message)
        for other, theirs in self.installs.items():
            is_rival = (theirs.ring, theirs.epoch) == (message.ring, message.epoch)
            if is_rival and theirs is not message:
                words = f"epoch {message.epoch} began otherwise for {self.name(other)}"
                self.violate("I6", f"{self.name(node)} is in one ring with it, and {words}")
        names = ",".join(self.name(e.node) for e in message.enrolments)
        words = "epoch {} begins with {}"
        self._trace.tell_common(self._engine.now_ms, node, words, message.epoch, names)

    def _check_agreement(self, node: NodeId, event: Event, before: State, after: State) -> None:
        message = self.installs.get(node)
        if message is None:
            return
        key = (id(message), after.cluster.applied)
        mine = after.cluster
        other, theirs = self._agreed.setdefault(key, (node, mine))
        self.jury.changed(node, event, before, after, is_first=mine is theirs)
        if mine is theirs:
            if before.cluster.epoch == 0 and _is_one_of_two(mine):
                self.state_damaged()  # what the other one was told is lost, as ADR 25 has it
            gone = before.cluster.nodes.keys() - mine.nodes.keys()
            self._dropped_ms |= dict.fromkeys(gone, self._engine.now_ms)
            forgotten = before.cluster.services.keys() - mine.services.keys()
            self._dropped_ms |= dict.fromkeys(forgotten, self._engine.now_ms)
            for problem in check_cluster(mine):
                self.violate("state", f"{self.name(node)}: {problem}")
        elif mine != theirs or list(mine.services) != list(theirs.services):
            at = f"epoch {after.cluster.epoch}, applied {after.cluster.applied}"
            self.violate("I6", f"{self.name(node)} and {self.name(other)} differ at {at}")

    def acts(self, host: Host, action: Action) -> None:  # noqa: C901  # one arm per kind
        """See `Observer`."""
        match action:
            case Record():
                self._record(host, action)
            case StartResource():
                self._starts(host, action)
            case StopResource():
                self._stops(host, action)
            case MigrateResource():
                self._migrates(host, action)
            case FenceNode():
                self._fences(host, action)
            case Reply():
                self._replies(host, action)
            case RebootNode(reason=reason):
                self._reboots(host, reason)
            case SaveState():
                self.ambush(host.node, Moment.SAVE)
            case Multicast(message=message):
                self.jury.says(host, action)
                if moment := _moment_of(message):
                    self.ambush(host.node, moment)
            case _:
                pass

    def _record(self, host: Host, action: Record) -> None:
        if action.severity is not Severity.DEBUG:
            self._trace.tell_common(self._engine.now_ms, host.node, "{}", action)

    def _check_quorum(self, host: Host, what: str) -> None:
        since_ms = self._bus.inquorate_since_ms[host.node]
        lack_ms = 0 if since_ms is None else self._engine.now_ms - since_ms
        if lack_ms > INQUORATE_MAX_MS and not host.is_dazed:
            lack = lack_ms / 1000
            self.violate("I4", f"{self.name(host.node)} {what} after {lack:.1f} s without quorum")

    def _starts(self, host: Host, action: StartResource) -> None:
        what = f"{action.service}/{action.resource.name}"
        self.ambush(host.node, Moment.START)
        self._check_quorum(host, f"starts {what}")
        self.excuses.started(action.service, host.node)
        if host.is_behind:
            return  # what has happened meanwhile still waits to be told
        before, _ = self._around(host, action)
        aside = unneeded(host, action)
        for unit in before:
            if unit.resource in aside:
                continue
            if unit.phase is not Phase.ACTIVE:
                words = f"{what} is started while {unit.resource} is {unit.phase.value}"
                self.violate("I3", f"{self.name(host.node)}: {words}")

    def _stops(self, host: Host, action: StopResource) -> None:
        what = f"{action.service}/{action.resource.name}"
        self.ambush(host.node, Moment.STOP)
        self.jury.shares.stops(host, action)
        state = host.daemon.state if host.daemon else None
        for sentence in self._bonds.step(host.node, state, action) if state else ():
            self.violate("I3", f"{self.name(host.node)}: {sentence}")
        _, after = self._around(host, action)
        aside = unneeded(host, action)
        if is_untouchable(host, action):
            self.violate("I8", f"{self.name(host.node)} stops {what}, which nothing asks for")
        for unit in after:
            if unit.resource in aside:
                continue
            if unit.is_active and not unit.has_refused and not unit.is_excused:
                words = f"{what} is stopped while {unit.resource} is {unit.phase.value}"
                self.violate("I3", f"{self.name(host.node)}: {words}")

    def _migrates(self, host: Host, action: MigrateResource) -> None:
        self.ambush(host.node, Moment.STOP)
        if action.target is not None:
            self._check_quorum(host, f"migrates {action.service} to {action.target_name}")

    def _around(
        self, host: Host, action: StartResource | StopResource
    ) -> tuple[list[Unit], list[Unit]]:
        """Return the units of the service that start before this one, and those after it."""
        services = host.daemon.state.cluster.services if host.daemon else {}
        order = order_of(services[action.service], action) if action.service in services else ()
        units = [host.systemd.unit(action.service, r.name) for r in order]
        names = [unit.resource for unit in units]
        if action.resource.name not in names:
            return [], []  # another configuration has another tree
        here = names.index(action.resource.name)
        return units[:here], units[here + 1 :]

    def _fences(self, host: Host, action: FenceNode) -> None:
        self.fences += 1
        words = "fences {}, attempt {}"
        self._trace.tell(self._engine.now_ms, host.node, words, action.node_name, action.attempt)
        self.ambush(host.node, Moment.FENCE)
        self._check_quorum(host, f"fences {action.node_name}")
        if host.daemon is not None:
            for problem in check_fence(host.daemon.state.cluster, host.node, action.node):
                self.violate("I5", f"{self.name(host.node)}: {problem}")

    def _reboots(self, host: Host, reason: str) -> None:
        self._trace.tell(self._engine.now_ms, host.node, "reboots itself: {}", reason)
        if host.node not in self.installs:
            self.violate("I4", f"{self.name(host.node)} reboots, and never had quorum in this life")

    def _replies(self, host: Host, action: Reply) -> None:
        now_ms = self._engine.now_ms
        text = f"{action.answer.name}: {action.text}"
        self._trace.tell(now_ms, host.node, "answers request {}: {}", action.number, text)
        for wish in self.asked_for():
            is_it = host.daemon is not None and wish.incarnation == host.daemon.incarnation
            if is_it and wish.request.number == action.number:
                if wish.answer is not None:
                    self.violate("answers", f"request {action.number} is answered twice")
                wish.answer, wish.ended_ms = action.answer, now_ms
                if isinstance(wish.request, Request):
                    self._check_done(host, wish.request)
                return
        self.violate("answers", f"{self.name(host.node)} answers {action.number}, never asked")

    def _check_done(self, host: Host, request: Request) -> None:
        """What was told stopped must not run on any member, unless somebody asked again (I7).

        A `stop` ends with the membership of its time, and a slow daemon hears of that later.
        """
        verb, service = request.verb, request.service
        wish = next(w for w in self.wishes if w.request is request)
        is_stop = verb in (Verb.DISABLE, Verb.STOP) and wish.answer is Answer.DONE
        is_last = not any(w.request.service == service for w in self._after(wish))
        may_have_ended = verb is Verb.STOP and host.is_behind
        if not is_stop or not is_last or may_have_ended or host.daemon is None:
            return
        members = host.daemon.state.cluster.members()
        holders = [n for n, count in sorted(self._active.get(service, {}).items()) if count]
        for node in self.excuses.count_out(service, holders):
            if node in members:
                words = f"{verb.value} {service} is told done while it is active on"
                self.violate("I7", f"{words} {self.name(node)}")

    def _after(self, wish: Wish[Request]) -> list[Wish[Request]]:
        return self.wishes[self.wishes.index(wish) + 1 :]

    def asked_for(self) -> Iterator[AnyWish]:
        """Yield everything that operators asked for."""
        yield from self.wishes
        yield from self.orders
        yield from self.fence_orders

    # What is asked at the end.

    def open_wishes(self) -> list[Wish[Request]]:
        """Return the requests about services that have neither an answer nor an excuse."""
        return [wish for wish in self.wishes if wish.is_open]

    def unanswered(self) -> list[str]:
        """Say what of all that was asked for has neither an answer nor an excuse."""
        open_ones = [wish.request for wish in self.asked_for() if wish.is_open]
        return [f"request {r.number} ({_in_words(r)}) is open" for r in open_ones]

    def must_be_in_standby(self) -> list[NodeId]:
        """Return the nodes of which the last word was a standby without end, told done (I7)."""
        last = {w.request.node: w for w in self.orders if w.request.node is not None}
        return [
            node
            for node, wish in last.items()
            if wish.request.order is MaintenanceOrder.STANDBY
            and not wish.request.for_ms
            and wish.answer is Answer.DONE
            and wish.ended_ms > max(self._damaged_ms, self._dropped_ms.get(node, -1))
            and all(w.ended_ms <= wish.asked_ms for w in self.orders if w is not wish)
        ]

    def must_be_disabled(self) -> list[ServiceName]:
        """Return the services whose last word was a `disable` that was told done (I7)."""
        return self._last_said(Verb.DISABLE, tuple(Verb))

    def must_be_frozen(self) -> list[ServiceName]:
        """Return those that were told frozen, and that nobody has asked to unfreeze since (I7)."""
        return self._last_said(Verb.FREEZE, (Verb.FREEZE, Verb.UNFREEZE))

    def _last_said(self, verb: Verb, among: tuple[Verb, ...]) -> list[ServiceName]:
        """Return the services of whose requests of some kinds this was the last, and told done.

        Only where nothing said earlier could still have been on its way.
        """
        found = []
        for service in self._spec.services:
            mine = [
                w
                for w in self.wishes
                if w.request.service == service.name and w.request.verb in among
            ]
            last = mine[-1] if mine else None
            if last is None or last.request.verb is not verb:
                continue
            is_alone = all(w.ended_ms and w.ended_ms <= last.asked_ms for w in mine[:-1])
            is_kept = last.ended_ms > max(self._damaged_ms, self._dropped_ms.get(service.name, -1))
            if last.answer is Answer.DONE and is_alone and is_kept:
                found.append(service.name)
        return found


_MOMENTS: dict[type, Moment] = {
    Hello: Moment.HELLO,
    Install: Moment.INSTALL_SENT,
    NodeFenced: Moment.FENCED,
    ServiceStarted: Moment.STARTED,
    ServiceStopped: Moment.STOPPED,
    Leaving: Moment.LEAVING,
    Goodbye: Moment.GOODBYE,
}


def _is_one_of_two(cluster: ClusterState) -> bool:
    return len(cluster.nodes) == PAIR and len(cluster.members()) == 1


def _in_words(request: AnyRequest) -> str:
    if isinstance(request, Request):
        return f"{request.verb.value} {request.service}"
    return str(request.order.value)


def _moment_of(message: Message) -> Moment | None:
    said = message.body if isinstance(message, Operation) else message
    return _MOMENTS.get(type(said))
