# SPDX-License-Identifier: Apache-2.0
"""Runs fence agents and says whether a device confirmed that a node is off.

Entry point: `FenceRunner.start`. Must not decide who is fenced, nor when to try again: the core
does. Rules kept here, from the Fence Agent API and from what agents were seen to do:

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
* One run at a time for each device; victims are fenced in parallel.

`REBOOT` switches on again what was switched off, in the background; that decides nothing. It is
left out after a timeout, because an `off` that is still under way would hit the booting node.

One loop, no threads. Source: Fence Agent API, fenced(8).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from domains.model import NodeId
from rgmgr.adapters.fencing.agent import AgentRun, find_agent, masked_tail
from rgmgr.adapters.fencing.options import StepError, input_of, options_of, sensitive_values
from rgmgr.core.actions import FenceNode, Severity
from rgmgr.core.events import FenceEnded
from rgmgr.core.spec import FenceStep, FenceVerb

SECRETS_DIR: Final = Path("/etc/rgmgr/secrets.d")
AGENT_PATHS: Final = (Path("/usr/sbin"), Path("/usr/bin"), Path(sys.executable).parent)
POWER_ON_ATTEMPTS: Final = 3
POWER_ON_PAUSE_MS: Final = 5_000
STATUS_OFF: Final = 2


class Note(Protocol):
    """Takes a line for the journal: an event name, how much it matters, and plain values."""

    def __call__(
        self, event: str, severity: Severity = Severity.INFO, /, **fields: str | int
    ) -> None:
        """Write one line."""


@dataclass(frozen=True, slots=True)
class _Ran:
    """How an agent ended. `status` None: its time ran out; negative: killed by that signal."""

    status: int | None
    text: str  # the end of its output, without secrets


@dataclass(slots=True, eq=False)
class _Fence:
    """One running `FenceNode`."""

    action: FenceNode
    has_begun: bool = False  # an agent was started
    has_timed_out: bool = False
    switched_off: list[FenceStep] = field(default_factory=list)


class FenceRunner:
    """Runs `FenceNode` actions; each is answered by exactly one `FenceEnded`.

    Args:
        emit: takes the answers.
        note: takes lines for the journal; they never contain a secret.
        secrets_dir: where `secret:NAME` is read from, at each use.
        agent_paths: directories searched for agents, in this order.
        power_on_pause_ms: between attempts to switch on again.
    """

    def __init__(
        self,
        emit: Callable[[FenceEnded], None],
        note: Note,
        *,
        secrets_dir: Path = SECRETS_DIR,
        agent_paths: tuple[Path, ...] = AGENT_PATHS,
        power_on_pause_ms: int = POWER_ON_PAUSE_MS,
    ) -> None:
        self._emit = emit
        self._note = note
        self._secrets_dir = secrets_dir
        self._agent_paths = agent_paths
        self._power_on_pause_s = power_on_pause_ms / 1000
        self._lock_by_device: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._fence_by_task: dict[asyncio.Task[None], _Fence] = {}
        self._latest: dict[NodeId, _Fence] = {}
        self._power_on_tasks: set[asyncio.Task[None]] = set()

    def start(self, action: FenceNode) -> asyncio.Task[None]:
        """Begin to fence a node. The task ends once `FenceEnded` is emitted.

        An exception of the task is a bug; who starts it watches it.
        """
        fence = _Fence(action)
        self._latest[action.node] = fence  # whoever still switches this node on stops now
        name = f"fence {action.node_name}"
        task = asyncio.get_running_loop().create_task(self._fence(fence), name=name)
        self._fence_by_task[task] = fence
        task.add_done_callback(self._forget)
        return task

    def cancel(self, node: NodeId) -> bool:
        """Call off the fencing of a node; False if an agent was started already, or none runs.

        A fence that was called off is answered, too, without confirmation.
        """
        waiting = [
            (task, fence)
            for task, fence in self._fence_by_task.items()
            if fence.action.node == node and not fence.has_begun and not task.done()
        ]
        for task, fence in waiting:
            task.cancel()
            self._end(fence, "called off before an agent was started", is_confirmed=False)
            del self._fence_by_task[task]
        return bool(waiting)

    async def power_on_finished(self) -> None:
        """Wait until nothing is being switched on any more."""
        while self._power_on_tasks:
            await asyncio.wait(self._power_on_tasks)

    async def close(self) -> None:
        """Kill what runs; nothing more is emitted."""
        tasks = [*self._fence_by_task, *self._power_on_tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._fence_by_task.pop(task, None)

    def _end(self, fence: _Fence, detail: str, *, is_confirmed: bool) -> None:
        self._emit(
            FenceEnded(
                node=fence.action.node,
                victim=fence.action.victim,
                attempt=fence.action.attempt,
                is_confirmed=is_confirmed,
                detail=detail,
            )
        )

    async def _fence(self, fence: _Fence) -> None:
        """Try the methods in order until all devices of one have confirmed."""
        failures = []
        for number, method in enumerate(fence.action.methods, start=1):
            try:
                confirmations = [await self._switch_off(fence, step) for step in method]
            except StepError as failure:
                failures.append(f"method {number}: {failure}")
                continue
            if confirmations:
                self._end(fence, f"method {number}: {'; '.join(confirmations)}", is_confirmed=True)
                self._begin_power_on(fence)
                return
            failures.append(f"method {number}: has no device")
        reason = "; ".join(failures) or "no fence method is configured for this node"
        self._end(fence, reason, is_confirmed=False)

    async def _switch_off(self, fence: _Fence, step: FenceStep) -> str:
        """Return how the device confirmed, or raise `StepError`."""
        async with self._lock_by_device[step.device]:
            ran = await self._run_step(fence, step, "off")
            if ran.status is None:
                fence.has_timed_out = True
                return await self._ask_status(fence, step)
        if ran.status != 0:
            raise StepError(f"{step.device}: off {_failure_of(ran)}")
        fence.switched_off.append(step)
        return f"{step.device}: {ran.text or 'off'}"

    async def _ask_status(self, fence: _Fence, step: FenceStep) -> str:
        """Ask the device what an `off` without an answer has done."""
        after = f"off gave no answer in {fence.action.timeout_ms} ms"
        ran = await self._run_step(fence, step, "status")
        if ran.status != STATUS_OFF:
            found = "the device says it is on" if ran.status == 0 else f"status {_failure_of(ran)}"
            raise StepError(f"{step.device}: {after}, then {found}")
        fence.switched_off.append(step)
        return f"{step.device}: {after}, but the device says it is off"

    def _begin_power_on(self, fence: _Fence) -> None:
        node = fence.action.node_name
        if fence.action.verb is not FenceVerb.REBOOT:
            return
        if fence.has_timed_out:
            reason = "an off without an answer may still arrive; switch it on by hand"
            self._note("fence.power_on_skipped", Severity.WARNING, node=node, reason=reason)
            return
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._power_on_all(fence), name=f"power on {node}")
        self._power_on_tasks.add(task)
        task.add_done_callback(self._power_on_tasks.discard)

    async def _power_on_all(self, fence: _Fence) -> None:
        for step in fence.switched_off:
            await self._power_on(fence, step)

    async def _power_on(self, fence: _Fence, step: FenceStep) -> None:
        fields = {"node": fence.action.node_name, "device": step.device}
        reason = ""
        for attempt in range(1, POWER_ON_ATTEMPTS + 1):
            if attempt > 1:
                await asyncio.sleep(self._power_on_pause_s)
            try:
                async with self._lock_by_device[step.device]:
                    if self._latest[fence.action.node] is not fence:
                        return  # the node is being fenced again
                    ran = await self._run_step(fence, step, "on")
            except StepError as failure:
                reason = str(failure)
                continue
            if ran.status == 0:
                self._note("fence.power_restored", **fields, attempt=attempt)
                return
            reason = f"on {_failure_of(ran)}"
        self._note("fence.power_on_failed", Severity.WARNING, **fields, reason=reason)

    async def _run_step(self, fence: _Fence, step: FenceStep, verb: str) -> _Ran:
        """Run the agent of a step; every reason not to is a `StepError`."""
        action = fence.action
        device = action.devices.get(step.device)
        if device is None:
            raise StepError(f"{step.device}: no such fence device is configured")
        try:
            agent = find_agent(device.agent, self._agent_paths)
            options = options_of(device, step, self._secrets_dir)
            lines = input_of(options | {"action": verb, "nodename": action.node_name})
            fence.has_begun = True
            began = time.monotonic()
            run = AgentRun(agent, lines)
        except (StepError, OSError) as failure:
            raise StepError(f"{step.device}: {failure}") from failure
        status = await run.result(action.timeout_ms / 1000)
        ran = _Ran(status, masked_tail(run.output, sensitive_values(device, step, options)))
        self._note(
            "fence.agent_ended",
            node=action.node_name,
            device=step.device,
            agent=device.agent,
            action=verb,
            status="timeout" if status is None else status,
            duration_ms=round((time.monotonic() - began) * 1000),
            detail=ran.text,
        )
        return ran


def _failure_of(ran: _Ran) -> str:
    if ran.status is None:
        return "gave no answer in time"
    how = f"signal {-ran.status}" if ran.status < 0 else f"exit status {ran.status}"
    return f"failed with {how}" + (f": {ran.text}" if ran.text else "")
