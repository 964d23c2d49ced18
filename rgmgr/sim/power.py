# SPDX-License-Identifier: Apache-2.0
"""Simulated fence devices: one outlet per node, and how well it obeys.

A device may refuse, hang until the agent's time is up, switch off long after a failure was
reported, switch off and report a failure, or be out of reach from some nodes. One that says "off"
has switched off, unless it is made to lie: then `lied` is told, for no proof can be better than
its device. What an agent has begun may happen although its daemon has died meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

from domains.model import NodeId
from rgmgr.core.actions import EndFence, FenceNode, PathTarget, SwitchOn, TestPaths
from rgmgr.core.events import FenceEnded, SwitchOnEnded, TestEnded
from rgmgr.core.model import FencePath, PathState, ProofKind
from rgmgr.core.spec import WATCHDOG_AGENT
from rgmgr.sim.engine import Dice, Engine, chance
from rgmgr.sim.lease import Keeper, SharedDisk
from rgmgr.sim.pace import Pace

LATE_MS = (500, 5_000)
BOOT_AFTER_MS = (500, 3_000)


class Device(Enum):
    """How the device of one node behaves."""

    GOOD = "works"
    REFUSES = "refuses"
    HANGS = "hangs"
    LATE = "switches off too late"
    SAYS_FAILED = "switches off and says that it failed"
    LIES = "says off and does nothing"


@dataclass(slots=True, eq=False)
class Power:
    """The outlets. `switch_off` and `switch_on` act on the node at once."""

    engine: Engine
    dice: Dice
    switch_off: Callable[[NodeId, str], None]
    switch_on: Callable[[NodeId], None]
    devices: dict[NodeId, Device] = field(default_factory=dict)
    cut_off: dict[NodeId, None] = field(default_factory=dict)  # nodes that reach no device
    cut_ways: dict[tuple[NodeId, NodeId], None] = field(default_factory=dict)  # by, victim
    is_alive: Callable[[NodeId, int], bool] = lambda _node, _incarnation: True
    lied: Callable[[NodeId], None] = lambda _node: None
    is_on: Callable[[NodeId], bool] = lambda _node: True
    pace: Pace | None = None  # None: the dice say how long it takes
    shared_disk: SharedDisk = field(init=False)
    _ends: Counter[tuple[NodeId, NodeId]] = field(default_factory=Counter)  # by, victim

    def __post_init__(self) -> None:
        """Give all nodes one disk."""
        self.shared_disk = SharedDisk(self.engine, self.dice)

    def mend(self, node: NodeId) -> None:
        """Let the device of a node work from now on."""
        self.devices[node] = Device.GOOD

    def mend_all(self) -> None:
        """Let every device work and be reached from now on."""
        self.devices.clear()
        self.cut_off.clear()
        self.cut_ways.clear()

    def heed(
        self,
        by: NodeId,
        incarnation: int,
        action: FenceNode | EndFence | SwitchOn | TestPaths,
        answer: Callable[[FenceEnded | SwitchOnEnded | TestEnded], None],
    ) -> None:
        """Do what a daemon wants done with the devices."""
        match action:
            case FenceNode():
                self.fence(by, incarnation, action, answer)
            case EndFence():
                self.end(by, action.node)
            case SwitchOn():
                self.restore(by, incarnation, action, answer)
            case TestPaths():
                self.test(by, action, answer)

    def fence(
        self,
        by: NodeId,
        incarnation: int,
        action: FenceNode,
        answer: Callable[[FenceEnded], None],
    ) -> None:
        """Run the agents for one node; the answer comes in any case, if the asker lives."""
        if action.lease is None:
            self._run_agents(by, incarnation, action, answer)
            return
        side = frozenset(action.lease.side)
        keeper = Keeper(self.engine, self.shared_disk, side, lambda: self.is_alive(by, incarnation))

        def ended(event: FenceEnded) -> None:
            keeper.end(is_won=event.is_confirmed)
            answer(event)

        def decided(has_lease: bool) -> None:  # noqa: FBT001  # that is all there is to say
            if has_lease and self.is_alive(by, incarnation):
                keeper.renew()
                self._run_agents(by, incarnation, action, ended)
            else:
                self._answer_in(1, action, answer, "lease: others hold it", is_confirmed=False)

        self.shared_disk.take(side, decided)

    def _run_agents(
        self,
        by: NodeId,
        incarnation: int,
        action: FenceNode,
        answer: Callable[[FenceEnded], None],
    ) -> None:
        agents = [action.devices[method[0].device].agent for method in action.methods]
        if agents[:1] == [WATCHDOG_AGENT]:
            self._wait(action, answer)
            return
        if WATCHDOG_AGENT in agents:
            answer = self._or_wait(action, answer)
        device = self.devices.get(action.node, Device.GOOD)
        if by in self.cut_off or (by, action.node) in self.cut_ways:
            delay_ms = min(action.timeout_ms, self.dice.randint(100, 3_000))
            self._answer_in(delay_ms, action, answer, "device not reachable", is_confirmed=False)
        elif device is Device.REFUSES:
            delay_ms = self.dice.randint(50, 1_000)
            self._answer_in(delay_ms, action, answer, "agent exited with 1", is_confirmed=False)
        elif device is Device.LIES:
            self.engine.after(self.dice.randint(50, 1_000), lambda: self._lie(action, answer))
        elif device in (Device.GOOD, Device.SAYS_FAILED):
            is_confirmed = device is Device.GOOD
            self._switch(by, incarnation, action, answer, is_confirmed=is_confirmed)
        else:
            self._hang(by, incarnation, action, answer, device)

    def _or_wait(
        self, action: FenceNode, answer: Callable[[FenceEnded], None]
    ) -> Callable[[FenceEnded], None]:
        """Return who takes the answer of a device, and waits for the watchdog after a failure."""

        def take(ended: FenceEnded) -> None:
            if ended.is_confirmed:
                answer(ended)
            else:
                self._wait(action, answer)

        return take

    def _wait(self, action: FenceNode, answer: Callable[[FenceEnded], None]) -> None:
        """Let the time pass after which the watchdog of the node has fired."""
        if not action.watchdog_wait_ms:
            self._answer_in(1, action, answer, "no watchdog was promised", is_confirmed=False)
            return
        ended = replace(_ended(action, "watchdog", is_confirmed=True), switched_off=())
        timed = replace(ended, kind=ProofKind.TIMED)
        self.engine.after(action.watchdog_wait_ms, lambda: answer(timed))

    def end(self, by: NodeId, node: NodeId) -> None:
        """End the agents of one node for another; what was sent may arrive all the same."""
        self._ends[by, node] += 1

    def _switch(
        self,
        by: NodeId,
        incarnation: int,
        action: FenceNode,
        answer: Callable[[FenceEnded], None],
        *,
        is_confirmed: bool,
    ) -> None:
        """Switch off, and a little later say so, or the contrary."""
        off_ms = self.dice.randint(50, 1_500) if self.pace is None else self.pace.fence_ms(action)
        if off_ms >= action.timeout_ms:
            off_ms = action.timeout_ms // 2
        said_ms = min(action.timeout_ms, off_ms + self.dice.randint(10, 1_000))
        self._off_in(off_ms, by, incarnation, action)
        detail = "pdu" if is_confirmed else "status cannot be read"
        self._answer_in(said_ms, action, answer, detail, is_confirmed=is_confirmed)

    def _lie(self, action: FenceNode, answer: Callable[[FenceEnded], None]) -> None:
        self.lied(action.node)
        answer(_ended(action, "pdu", is_confirmed=True))

    def _hang(
        self,
        by: NodeId,
        incarnation: int,
        action: FenceNode,
        answer: Callable[[FenceEnded], None],
        device: Device,
    ) -> None:
        self._answer_in(action.timeout_ms, action, answer, "agent timed out", is_confirmed=False)
        if device is Device.LATE:
            late_ms = action.timeout_ms + self.dice.randint(*LATE_MS)
            self._off_in(late_ms, by, incarnation, action)

    def _off_in(self, delay_ms: int, by: NodeId, incarnation: int, action: FenceNode) -> None:
        """Switch off later; an agent that is ended, or its daemon dead, may not get to it."""
        goes_on = chance(self.dice, 0.5)
        ends = self._ends[by, action.node]

        def switch() -> None:
            is_wanted = self.is_alive(by, incarnation) and self._ends[by, action.node] == ends
            if not (goes_on or is_wanted):
                return
            self.switch_off(action.node, "fenced")

        self.engine.after(delay_ms, switch)

    def restore(
        self,
        by: NodeId,
        incarnation: int,
        action: SwitchOn,
        answer: Callable[[SwitchOnEnded], None],
    ) -> None:
        """Switch on again; one that is begun may end although its daemon has died meanwhile."""
        goes_on = chance(self.dice, 0.5)

        def switch() -> None:
            if not (goes_on or self.is_alive(by, incarnation)):
                return
            fault = "" if self._obeys(by, action.node) else "agent exited with 1"
            if not fault:
                self.switch_on(action.node)
            answer(SwitchOnEnded(node=action.node, victim=action.victim, fault=fault))

        self.engine.after(self.dice.randint(*BOOT_AFTER_MS), switch)

    def test(self, by: NodeId, action: TestPaths, answer: Callable[[TestEnded], None]) -> None:
        """Tell which devices answer, and whether they call a running member off."""

        def look() -> None:
            answer(TestEnded(tuple(self._path(by, target) for target in action.targets)))

        self.engine.after(self.dice.randint(20, action.timeout_ms), look)

    def _obeys(self, by: NodeId, node: NodeId) -> bool:
        is_reached = by not in self.cut_off and (by, node) not in self.cut_ways
        return is_reached and self.devices.get(node, Device.GOOD) is Device.GOOD

    def _path(self, by: NodeId, target: PathTarget) -> FencePath:
        state = PathState.WORKS if self._obeys(by, target.node) else PathState.FAILS
        if state is PathState.WORKS and target.is_member and not self.is_on(target.node):
            state = PathState.LIES
        return FencePath(node=target.node, method=0, step=0, device="pdu", state=state)

    def _answer_in(
        self,
        delay_ms: int,
        action: FenceNode,
        answer: Callable[[FenceEnded], None],
        detail: str,
        *,
        is_confirmed: bool,
    ) -> None:
        ended = _ended(action, detail, is_confirmed=is_confirmed)
        self.engine.after(delay_ms, lambda: answer(ended))


def _ended(action: FenceNode, detail: str, *, is_confirmed: bool) -> FenceEnded:
    return FenceEnded(
        node=action.node,
        victim=action.victim,
        attempt=action.attempt,
        is_confirmed=is_confirmed,
        detail=detail,
        switched_off=action.methods[0] if is_confirmed and action.methods else (),
    )
