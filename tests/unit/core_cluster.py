# SPDX-License-Identifier: Apache-2.0
"""Real cores on a perfect network that a test drives by hand: messages arrive when it says so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.actions import (
    Action,
    CancelTimer,
    Exit,
    FenceNode,
    MigrateResource,
    Multicast,
    Record,
    Reply,
    SaveState,
    SetTimer,
    StartResource,
    StopResource,
    SwitchOn,
    TestPaths,
)
from rgmgr.core.events import (
    Delivered,
    Event,
    FenceEnded,
    ProbeFinished,
    QuorumChanged,
    Requested,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStayed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
    StateSaved,
    SwitchOnEnded,
    TestEnded,
    TimerFired,
    ViewChanged,
)
from rgmgr.core.local import State
from rgmgr.core.machine import begin, step
from rgmgr.core.messages import FenceOrder, FenceRequest, Message, Request, Verb
from rgmgr.core.model import (
    ClusterState,
    FenceCase,
    FencePath,
    Node,
    PathState,
    RingId,
    Service,
)
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FencingSpec,
    NodeSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)

WEB = ServiceName("web")
N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)


def tree() -> tuple[ResourceSpec, ...]:
    """Return an address with a server below it."""
    server = ResourceSpec(
        name=ResourceName("nginx"), type="systemd", parameters={"unit": "nginx.service"}
    )
    vip = ResourceSpec(
        name=ResourceName("vip"),
        type="ip",
        parameters={"address": "10.0.0.100/24"},
        children=(server,),
    )
    return (vip,)


def web(**changes: object) -> ServiceSpec:
    """Return the service of these tests."""
    return replace(ServiceSpec(name=WEB, domain="prefer", resources=tree()), **changes)  # type: ignore[arg-type]


def spec(*services: ServiceSpec, nodes: int = 3, **fencing: object) -> ClusterSpec:
    """Return a configuration with an ordered domain over all nodes."""
    ids = [NodeId(i) for i in range(1, nodes + 1)]
    steps = ((FenceStep(device="ipmi"),),)
    devices = {"ipmi": FenceDevice(name="ipmi", agent="fence_ipmi")}
    return ClusterSpec(
        name="alpha",
        version=1,
        digest="d1",
        nodes={n: NodeSpec(name=f"node{n}", fence=steps) for n in ids},
        services=services or (web(),),
        domains={
            "prefer": FailoverDomain(
                name="prefer", ordered=True, priorities={n: int(n) for n in ids}
            )
        },
        fencing=replace(FencingSpec(devices=devices), **fencing),  # type: ignore[arg-type]
    )


@dataclass
class Cluster:
    """N cores. `broken_starts` and `broken_stops` hold (node, resource) that fail."""

    spec: ClusterSpec = field(default_factory=spec)
    auto_fence: bool = True
    states: dict[NodeId, State] = field(default_factory=dict)
    disks: dict[NodeId, ClusterState] = field(default_factory=dict)
    units: dict[NodeId, set[str]] = field(default_factory=dict)
    actions: list[tuple[NodeId, Action]] = field(default_factory=list)
    timers: dict[tuple[NodeId, str], int] = field(default_factory=dict)
    broken_starts: set[tuple[NodeId, str]] = field(default_factory=set)
    broken_stops: set[tuple[NodeId, str]] = field(default_factory=set)
    unwelcome: set[tuple[NodeId, str]] = field(default_factory=set)  # takes no migration of it
    full: set[NodeId] = field(default_factory=set)  # whose disk takes nothing
    slow: set[str] = field(default_factory=set)  # resources whose jobs last until `hurry`
    held: list[tuple[NodeId, Action]] = field(default_factory=list)
    auto_restore: bool = True
    found: dict[tuple[NodeId, NodeId], PathState] = field(default_factory=dict)  # tester, victim
    now_ms: int = 10_000
    ring: int = 0
    lives: int = 0
    mail: deque[tuple[NodeId, Message]] = field(default_factory=deque)
    local: deque[tuple[NodeId, Event]] = field(default_factory=deque)

    def boot(self, *nodes: NodeId) -> None:
        """Start daemons that find on their nodes what is in `units`."""
        for node in nodes:
            self.lives += 1
            self.states[node] = begin(
                me=node,
                incarnation=self.lives,
                boot_id=f"boot-{node}-{self.lives}",
                spec=self.spec,
                saved=self.disks.get(node),
            )
            self._probe(node)

    def restart_daemon(self, node: NodeId) -> None:
        """Replace the daemon; its units stay."""
        boot_id = self.states[node].local.boot_id
        self.kill(node)
        self.boot(node)
        state = self.states[node]
        self.states[node] = replace(state, local=replace(state.local, boot_id=boot_id))

    def kill(self, node: NodeId) -> None:
        """The daemon is gone."""
        del self.states[node]
        self.timers = {k: v for k, v in self.timers.items() if k[0] != node}

    def view(
        self, *members: NodeId, ring_nodes: tuple[NodeId, ...] = (), quorate: bool | None = None
    ) -> None:
        """Give these members a new view, and quorum when they are a majority."""
        self.ring += 4
        ring = RingId(min(members), self.ring)
        verdict = 2 * len(members) > len(self.spec.nodes) if quorate is None else quorate
        nodes = tuple(sorted(ring_nodes or members))
        for node in members:
            self.feed(
                node, ViewChanged(ring=ring, ring_nodes=nodes, members=tuple(sorted(members)))
            )
            self.feed(node, QuorumChanged(ring, verdict))
        self.settle(members)

    def feed(self, node: NodeId, event: Event) -> tuple[Action, ...]:
        """Hand one event to one core and let the world react."""
        outcome = step(self.states[node], event, self.now_ms)
        self.states[node] = outcome.state
        for action in outcome.actions:
            self.actions.append((node, action))
            self._react(node, action)
        return outcome.actions

    def settle(self, members: tuple[NodeId, ...] | None = None) -> None:
        """Deliver everything to these members (all by default) until nothing moves."""
        group = members or tuple(sorted(self.states))
        while self.mail or self.local:
            if self.local:
                node, event = self.local.popleft()
                if node in self.states:
                    self.feed(node, event)
                continue
            sender, message = self.mail.popleft()
            for node in group if sender in group else ():
                self.feed(node, Delivered(sender, message))

    def hurry(self) -> None:
        """End the jobs of slow resources."""
        held, self.held, self.slow = self.held, [], set()
        for node, action in held:
            self._react(node, action)
        self.settle()

    def run(self, duration_ms: int) -> None:
        """Let time pass, firing timers."""
        end_ms = self.now_ms + duration_ms
        self.settle()
        while self.timers:
            (node, key), due_ms = min(self.timers.items(), key=lambda item: (item[1], item[0]))
            if due_ms > end_ms:
                break
            self.now_ms = due_ms
            del self.timers[node, key]
            self.feed(node, TimerFired(key))
            self.settle()
        self.now_ms = end_ms

    def ask(self, node: NodeId, verb: Verb, target: NodeId | None = None) -> Reply | None:
        """Send a request and return its answer, None when there is none yet."""
        number = len(self.actions) + 1
        request = Request(number=number, verb=verb, service=WEB, target=target)
        self.feed(node, Requested(request))
        self.settle()
        return self.reply(node, number)

    def ask_fence(
        self, node: NodeId, order: FenceOrder, victim: NodeId | None = None, because: str = ""
    ) -> Reply | None:
        """Ask about fencing and return the answer, None when there is none yet."""
        number = len(self.actions) + 1
        request = FenceRequest(
            number=number, order=order, node=victim, by="alice", wall_s=77, because=because
        )
        self.feed(node, Requested(request))
        self.settle()
        return self.reply(node, number)

    def reply(self, node: NodeId, number: int) -> Reply | None:
        """Return the answer to a request, None when there is none yet."""
        replies = [a for n, a in self.actions if n == node and isinstance(a, Reply)]
        return next((r for r in replies if r.number == number), None)

    def node(self, node: NodeId, seen_by: NodeId = N2) -> Node:
        """Return the record of a node as that one has it."""
        return self.states[seen_by].cluster.nodes[node]

    def cases(self, seen_by: NodeId = N2) -> tuple[FenceCase, ...]:
        """Return the history of fencing as that node has it."""
        return self.states[seen_by].cluster.cases

    def service(self, node: NodeId = N2) -> Service:
        """Return the record as this node has it."""
        return self.states[node].cluster.services[WEB]

    def took(self, kind: type[Action]) -> list[tuple[NodeId, Action]]:
        """Return who took actions of this kind, in order."""
        return [(node, action) for node, action in self.actions if isinstance(action, kind)]

    def records(self, node: NodeId = N2) -> list[str]:
        """Return the journal of a node."""
        return [a.event for n, a in self.actions if n == node and isinstance(a, Record)]

    def _probe(self, node: NodeId) -> None:
        for service in self.spec.services:
            active = tuple(ResourceName(u) for u in sorted(self.units.get(node, ())))
            self.feed(node, ServiceProbed(service=service.name, active=active))
        self.feed(node, ProbeFinished())

    def _react(self, node: NodeId, action: Action) -> None:  # noqa: C901, PLR0912 - one arm per kind
        match action:
            case Multicast(message=message):
                self.mail.append((node, message))
            case StartResource() | StopResource() | MigrateResource() if (
                action.resource.name in self.slow
            ):
                self.held.append((node, action))
            case MigrateResource():
                self.local.append((node, self._migrate(node, action)))
            case StartResource():
                self.local.append((node, self._start(node, action)))
            case StopResource():
                self.local.append((node, self._stop(node, action)))
            case FenceNode() if self.auto_fence:
                self.local.append((node, self.fence_result(action)))
            case SwitchOn() if self.auto_restore:
                done = SwitchOnEnded(node=action.node, victim=action.victim, fault="")
                self.local.append((node, done))
            case TestPaths():
                self.local.append((node, self._test(node, action)))
            case SaveState(state=state) if node not in self.full:
                self.disks[node] = state
                self.local.append((node, StateSaved(state.epoch, state.applied)))
            case SetTimer(key=key, after_ms=after_ms):
                self.timers[node, key] = self.now_ms + after_ms
            case CancelTimer(key=key):
                self.timers.pop((node, key), None)
            case Exit():
                self.timers = {k: v for k, v in self.timers.items() if k[0] != node}
            case _:
                pass

    def fence_result(self, action: FenceNode, *, is_confirmed: bool = True) -> FenceEnded:
        """Return how an attempt ends; a confirmed one has switched the node off."""
        if is_confirmed:
            self.units.pop(action.node, None)
        return FenceEnded(
            node=action.node,
            victim=action.victim,
            attempt=action.attempt,
            is_confirmed=is_confirmed,
            detail="ipmi",
            switched_off=action.methods[0] if is_confirmed and action.methods else (),
            wall_s=99,
        )

    def _test(self, node: NodeId, action: TestPaths) -> TestEnded:
        return TestEnded(
            tuple(
                FencePath(
                    node=target.node,
                    method=0,
                    step=0,
                    device="ipmi",
                    state=self.found.get((node, target.node), PathState.WORKS),
                    detail="",
                )
                for target in action.targets
            )
        )

    def _start(self, node: NodeId, action: StartResource) -> Event:
        name = action.resource.name
        if (node, name) in self.broken_starts:
            return ResourceStartFailed(
                service=action.service, resource=name, op=action.op, reason="exit status 1"
            )
        self.units.setdefault(node, set()).add(name)
        return ResourceStarted(service=action.service, resource=name, op=action.op)

    def _stop(self, node: NodeId, action: StopResource) -> Event:
        name = action.resource.name
        if (node, name) in self.broken_stops:
            return ResourceStopFailed(
                service=action.service, resource=name, op=action.op, reason="busy"
            )
        if not action.is_kept:
            self.units.get(node, set()).discard(name)
        return ResourceStopped(service=action.service, resource=name, op=action.op)

    def _migrate(self, node: NodeId, action: MigrateResource) -> Event:
        service, name, op = action.service, action.resource.name, action.op
        if (node, name) in self.broken_stops:
            return ResourceStopFailed(service=service, resource=name, op=op, reason="no answer")
        is_here = name in self.units.get(node, set())
        if is_here and (action.target is None or (action.target, name) in self.unwelcome):
            return ResourceStayed(service=service, resource=name, op=op, reason="no route")
        self.units.get(node, set()).discard(name)
        if is_here and action.target is not None:
            self.units.setdefault(action.target, set()).add(name)
        return ResourceStopped(service=service, resource=name, op=op)


def formed(**changes: object) -> Cluster:
    """Return three nodes in one epoch with the service running on node1."""
    cluster = Cluster(**changes)  # type: ignore[arg-type]
    nodes = tuple(sorted(cluster.spec.nodes))
    cluster.boot(*nodes)
    cluster.view(*nodes)
    return cluster
