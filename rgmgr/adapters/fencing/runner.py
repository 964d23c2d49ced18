# SPDX-License-Identifier: Apache-2.0
"""Fences nodes, switches them on again, and tests the paths to them, by their fence methods.

Entry points: `start`, `switch_on`, `test`. Must not decide who is fenced, nor when to try again:
the core does. Rules kept here, from the Fence Agent API and from what agents were seen to do:

* Only exit status 0 of `off` is a confirmation. After a timeout the state is unknown, so the
  device is asked for its `status`: exit status 2, the device's own word that the plug is off,
  confirms as well, since `off` itself rests on the same answer. Silence confirms nothing.
* An agent gets its options on standard input, secrets only there, and a fresh environment. It
  runs in its own session; at its end the whole group is killed, and after a failure also what left
  the group (found by a mark in the environment), for a forgotten helper may switch power later.
* A node's step overrides its device, unlike in fenced. `action` and `nodename` are ours; options
  that would print secrets (`verbose`, `debug_file`) are left out, false booleans too, since many
  agents only look whether an option is present.
* One outlet for each agent run: agents reported success for lists with an outlet still on.
* One run at a time for each device; victims are fenced in parallel; a test gives way.

What was switched off is named in the answer, so that it can be switched on again; nothing is named
after a timeout, because an `off` that is still under way would hit the booting node.

One loop, no threads. Source: Fence Agent API, fenced(8).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from domains.model import NodeId
from rgmgr.adapters.fencing.devices import (
    AGENT_PATHS,
    SECRETS_DIR,
    STATUS_OFF,
    Devices,
    Note,
    Order,
)
from rgmgr.adapters.fencing.disk_lease import HELPER, HeldLease
from rgmgr.adapters.fencing.options import StepError
from rgmgr.core.actions import FenceNode, PathTarget, Severity, SwitchOn, TestPaths
from rgmgr.core.events import FenceEnded, SwitchOnEnded, TestEnded
from rgmgr.core.model import FencePath, PathState, ProofKind
from rgmgr.core.spec import WATCHDOG_AGENT, FenceStep

POWER_ON_ATTEMPTS: Final = 3
POWER_ON_PAUSE_MS: Final = 5_000
PROOF_BY_AGENT: Final = {
    WATCHDOG_AGENT: ProofKind.TIMED,
    "fence_meatware": ProofKind.HUMAN,
}
"""Agents whose success is worth less than the word of a device that switches power."""
WITHOUT_STATUS: Final = frozenset({"fence_kdump"})
"""Agents that only know whether they work at all."""
_STRONGEST_FIRST: Final = (ProofKind.FENCED, ProofKind.TIMED, ProofKind.HUMAN)

Reaches = Callable[[str], Awaitable[bool]]


@dataclass(slots=True, eq=False)
class _Fence:
    """One running `FenceNode`."""

    action: FenceNode
    order: Order
    has_begun: bool = False  # an agent was started
    has_timed_out: bool = False
    switched_off: list[FenceStep] = field(default_factory=list)

    def note_begun(self) -> None:
        self.has_begun = True


class FenceRunner:
    """Runs `FenceNode`, `SwitchOn` and `TestPaths`; each is answered by one event.

    Args:
        emit: takes the answers.
        note: takes lines for the journal; they never contain a secret.
        reaches: tells whether an address answers; decides ties.
        secrets_dir: where `secret:NAME` is read from, at each use.
        agent_paths: directories searched for agents, in this order.
        power_on_pause_ms: between attempts to switch on again.
        lease_helper: takes and holds a lease on a disk.
    """

    def __init__(
        self,
        emit: Callable[[FenceEnded | SwitchOnEnded | TestEnded], None],
        note: Note,
        *,
        reaches: Reaches,
        secrets_dir: Path = SECRETS_DIR,
        agent_paths: tuple[Path, ...] = AGENT_PATHS,
        power_on_pause_ms: int = POWER_ON_PAUSE_MS,
        lease_helper: Path = HELPER,
    ) -> None:
        self._emit = emit
        self._note = note
        self._reaches = reaches
        self._devices = Devices(note, secrets_dir, agent_paths)
        self._lease_helper = lease_helper
        self._power_on_pause_s = power_on_pause_ms / 1000
        self._fence_by_task: dict[asyncio.Task[None], _Fence] = {}
        self._latest: dict[NodeId, FenceNode] = {}
        self._others: set[asyncio.Task[None]] = set()

    def start(self, action: FenceNode) -> asyncio.Task[None]:
        """Begin to fence a node. The task ends once `FenceEnded` is emitted.

        An exception of the task is a bug; who starts it watches it.
        """
        self._latest[action.node] = action  # whoever still switches this node on stops now
        order = Order(
            action.node_name,
            action.devices,
            action.timeout_ms,
            watchdog_wait_ms=action.watchdog_wait_ms,
        )
        fence = _Fence(action, order)
        name = f"fence {action.node_name}"
        task = asyncio.get_running_loop().create_task(self._fence(fence), name=name)
        self._fence_by_task[task] = fence
        task.add_done_callback(self._forget)
        return task

    def switch_on(self, action: SwitchOn) -> asyncio.Task[None]:
        """Begin to switch a node on; answered by `SwitchOnEnded` unless it is fenced again."""
        latest = self._latest.get(action.node)
        return self._begin(self._switch_on(action, latest), f"switch on {action.node_name}")

    def test(self, action: TestPaths) -> asyncio.Task[None]:
        """Begin to ask all devices; answered by `TestEnded`."""
        return self._begin(self._test(action), "test fence paths")

    def end(self, node: NodeId) -> None:
        """End the fencing of a node, its agent too; nothing is emitted for it any more."""
        for task, fence in list(self._fence_by_task.items()):
            if fence.action.node != node or task.done():
                continue
            task.cancel()
            if fence.has_begun:
                reason = "an off that was already sent may still arrive"
                name = fence.action.node_name
                self._note("fence.attempt_ended", Severity.WARNING, node=name, reason=reason)

    async def close(self) -> None:
        """Kill what runs; nothing more is emitted."""
        tasks = [*self._fence_by_task, *self._others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._devices.close()

    def _begin(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        assert isinstance(task, asyncio.Task)  # noqa: S101  # it is made of a coroutine
        task.set_name(name)
        self._others.add(task)
        task.add_done_callback(self._others.discard)
        return task

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._fence_by_task.pop(task, None)

    def _fail(self, fence: _Fence, reason: str) -> None:
        self._emit(_ended(fence.action, reason, is_confirmed=False))

    def _confirm(self, fence: _Fence, method: tuple[FenceStep, ...], detail: str) -> None:
        if fence.has_timed_out:
            node = fence.action.node_name
            reason = "an off without an answer may still arrive; switch it on by hand"
            self._note("fence.power_on_skipped", Severity.WARNING, node=node, reason=reason)
        ended = replace(
            _ended(fence.action, detail, is_confirmed=True),
            kind=_kind_of(fence.order, method),
            switched_off=() if fence.has_timed_out else tuple(fence.switched_off),
            wall_s=int(time.time()),
        )
        self._emit(ended)

    async def _fence(self, fence: _Fence) -> None:
        """Try the methods in order, where that is ours to do."""
        tie_breaker = fence.action.tie_breaker
        if tie_breaker and not await self._wins_tie(tie_breaker):
            names = ", ".join(tie_breaker)
            self._fail(fence, f"tie breaker: {names} does not answer here, so others may fence")
            return
        if fence.action.lease is None:
            await self._try_methods(fence)
            return
        held = HeldLease(fence.action.lease, self._lease_helper)
        is_won = False
        try:
            if refusal := await held.take():
                self._fail(fence, f"lease: {refusal}")
                return
            is_won = await self._try_methods(fence)
        finally:
            await held.end(is_won=is_won)

    async def _try_methods(self, fence: _Fence) -> bool:
        """Tell whether all devices of one method have confirmed."""
        failures = []
        for number, method in enumerate(fence.action.methods, start=1):
            try:
                confirmations = [await self._switch_off(fence, step) for step in method]
            except StepError as failure:
                failures.append(f"method {number}: {failure}")
                continue
            if confirmations:
                self._confirm(fence, method, f"method {number}: {'; '.join(confirmations)}")
                return True
            failures.append(f"method {number}: has no device")
        self._fail(
            fence,
            "; ".join(failures)
            or "no fence method is configured for this node, or none can be trusted",
        )
        return False

    async def _wins_tie(self, addresses: tuple[str, ...]) -> bool:
        return any(await asyncio.gather(*(self._reaches(address) for address in addresses)))

    async def _switch_off(self, fence: _Fence, step: FenceStep) -> str:
        """Return how the device confirmed, or raise `StepError`."""

        async def off_or_asked() -> str:
            ran = await self._devices.run(fence.order, step, "off", fence.note_begun)
            if ran.status is None:
                fence.has_timed_out = True
                return await self._ask_status(fence, step)
            if ran.status != 0:
                raise StepError(f"{step.device}: off {ran.failure}")
            return f"{step.device}: {ran.text or 'off'}"

        if fence.order.device_of(step).agent == WATCHDOG_AGENT:  # for any number of nodes at once
            return await off_or_asked()
        confirmation = await self._devices.alone(step.device, off_or_asked)
        fence.switched_off.append(step)
        return confirmation

    async def _ask_status(self, fence: _Fence, step: FenceStep) -> str:
        """Ask the device what an `off` without an answer has done."""
        after = f"off gave no answer in {fence.action.timeout_ms} ms"
        ran = await self._devices.run(fence.order, step, "status")
        if ran.status != STATUS_OFF:
            found = "the device says it is on" if ran.status == 0 else f"status {ran.failure}"
            raise StepError(f"{step.device}: {after}, then {found}")
        return f"{step.device}: {after}, but the device says it is off"

    async def _switch_on(self, action: SwitchOn, latest: FenceNode | None) -> None:
        order = Order(action.node_name, action.devices, action.timeout_ms)

        def is_overtaken() -> bool:
            return self._latest.get(action.node) is not latest

        faults = [await self._power_on(order, step, is_overtaken) for step in action.steps]
        if not is_overtaken():
            fault = "; ".join(filter(None, faults))
            self._emit(SwitchOnEnded(node=action.node, victim=action.victim, fault=fault))

    async def _power_on(
        self, order: Order, step: FenceStep, is_overtaken: Callable[[], bool]
    ) -> str:
        """Return why a device did not switch on; empty when it did."""
        fault = ""

        async def on() -> str:
            if is_overtaken():
                return ""
            ran = await self._devices.run(order, step, "on")
            return "" if ran.status == 0 else f"{step.device}: on {ran.failure}"

        for attempt in range(POWER_ON_ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._power_on_pause_s)
            try:
                fault = await self._devices.alone(step.device, on)
            except StepError as failure:
                fault = str(failure)
            if not fault:
                return ""
        return fault

    async def _test(self, action: TestPaths) -> None:
        tests = [
            self._test_step(action, target, method, number)
            for target in action.targets
            for method, steps in enumerate(target.methods)
            for number, _ in enumerate(steps)
        ]
        found = await asyncio.gather(*tests)
        self._emit(TestEnded(tuple(path for path in found if path is not None)))

    async def _test_step(
        self, action: TestPaths, target: PathTarget, method: int, number: int
    ) -> FencePath | None:
        """Ask one device for the state of one plug; None when a fence needed the device."""
        step = target.methods[method][number]
        order = Order(target.node_name, action.devices, action.timeout_ms, Severity.DEBUG)

        async def ask() -> tuple[PathState, str]:
            try:
                agent = order.device_of(step).agent
                if agent == WATCHDOG_AGENT and target.is_member and not target.watchdog_wait_ms:
                    text = f"{target.node_name} has promised no watchdog; see its journal"
                    return PathState.FAILS, text
                # a human or a watchdog has no plug whose state could be asked for
                is_indirect = agent in PROOF_BY_AGENT or agent in WITHOUT_STATUS
                ran = await self._devices.run(order, step, "monitor" if is_indirect else "status")
            except StepError as failure:
                return PathState.FAILS, str(failure)
            if ran.status == STATUS_OFF and target.is_member:
                text = f"says that {target.node_name} is off, which runs: is it the right plug?"
                return PathState.LIES, text
            if ran.status in (0, STATUS_OFF):
                return PathState.WORKS, ""
            return PathState.FAILS, f"status {ran.failure}"

        found = await self._devices.test(step.device, ask)
        if found is None:
            return None
        state, detail = found
        return FencePath(
            node=target.node,
            method=method,
            step=number,
            device=step.device,
            state=state,
            detail=detail,
        )


def _ended(action: FenceNode, detail: str, *, is_confirmed: bool) -> FenceEnded:
    return FenceEnded(
        node=action.node,
        victim=action.victim,
        attempt=action.attempt,
        is_confirmed=is_confirmed,
        detail=detail,
    )


def _kind_of(order: Order, method: tuple[FenceStep, ...]) -> ProofKind:
    """Return what the success of a method is worth: as much as its weakest device."""
    kinds = [PROOF_BY_AGENT.get(order.device_of(step).agent, ProofKind.FENCED) for step in method]
    return max(kinds, key=_STRONGEST_FIRST.index)
