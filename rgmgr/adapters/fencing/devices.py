# SPDX-License-Identifier: Apache-2.0
"""Fence devices: one agent at a time for each, and a test gives way to what switches.

Knows nothing of methods and of what an answer is good for: that is `runner.py`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from rgmgr.adapters.fencing.agent import AgentRun, find_agent, masked_tail
from rgmgr.adapters.fencing.options import StepError, input_of, options_of, sensitive_values
from rgmgr.core.actions import Severity
from rgmgr.core.spec import WATCHDOG_AGENT, FenceDevice, FenceStep

SECRETS_DIR: Final = Path("/etc/rgmgr/secrets.d")
AGENT_PATHS: Final = (Path("/usr/sbin"), Path("/usr/bin"), Path(sys.executable).parent)
STATUS_OFF: Final = 2
KEPT_READY: Final = frozenset({"fence_ipmi", "fence_pdu"})
"""Agents of ours of which one waits, started, to be told what to do: they do nothing when they are
told nothing, as when this process is killed. Others' default is to reboot."""

T = TypeVar("T")


class Note(Protocol):
    """Takes a line for the journal: an event name, how much it matters, and plain values."""

    def __call__(
        self, event: str, severity: Severity = Severity.INFO, /, **fields: str | int
    ) -> None:
        """Write one line."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How an agent ended. `status` None: its time ran out; negative: killed by that signal."""

    status: int | None
    text: str  # the end of its output, without secrets

    @property
    def failure(self) -> str:
        """How it failed, in words that follow the name of the action."""
        if self.status is None:
            return "gave no answer in time"
        how = f"signal {-self.status}" if self.status < 0 else f"exit status {self.status}"
        return f"failed with {how}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True, slots=True)
class Order:
    """What an agent is told besides its step."""

    node_name: str
    devices: dict[str, FenceDevice]
    timeout_ms: int
    severity: Severity = Severity.INFO  # of the line in the journal
    watchdog_wait_ms: int = 0  # after which the node's watchdog has reset it; 0: it promised none

    def device_of(self, step: FenceStep) -> FenceDevice:
        """Return the device of a step.

        Raises:
            StepError: there is none.
        """
        device = self.devices.get(step.device)
        if device is None:
            raise StepError(f"{step.device}: no such fence device is configured")
        return device


class Devices:
    """Runs agents. `on_begun` of `run` is called once an agent is about to be started."""

    def __init__(self, note: Note, secrets_dir: Path, agent_paths: tuple[Path, ...]) -> None:
        self._note = note
        self._secrets_dir = secrets_dir
        self._agent_paths = agent_paths
        self._ready: dict[Path, tuple[tuple[int, int], AgentRun]] = {}
        self._is_closed = False
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tests: defaultdict[str, set[asyncio.Task[object]]] = defaultdict(set)

    async def alone(self, device: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do something while nobody else uses the device; tests of it are broken off."""
        for test in self._tests[device]:
            test.cancel()
        async with self._locks[device]:
            return await work()

    async def test(self, device: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """Do something that gives way to all else; None: it had to."""

        async def wait_and_work() -> T:
            async with self._locks[device]:
                return await work()

        task: asyncio.Task[T] = asyncio.get_running_loop().create_task(wait_and_work())
        self._tests[device].add(task)
        try:
            await asyncio.wait([task])
            return None if task.cancelled() else task.result()
        finally:
            task.cancel()
            self._tests[device].discard(task)

    async def close(self) -> None:
        """End the agents that wait to be needed."""
        self._is_closed = True
        ready, self._ready = self._ready, {}
        for _, run in ready.values():
            await run.result(0)

    async def _started(self, agent: Path) -> AgentRun:
        """Return an agent that waits for its options: the one kept ready, if it is still good."""
        kept = self._ready.pop(agent, None)
        if kept is None:
            return AgentRun(agent)
        version, run = kept
        if run.is_waiting and version == _version(agent):
            return run
        await run.result(0)
        return AgentRun(agent)

    def _keep_ready(self, agent: Path) -> None:
        """Pay for the next start before it matters."""
        if agent.name in KEPT_READY and agent not in self._ready and not self._is_closed:
            with suppress(OSError):
                self._ready[agent] = (_version(agent), AgentRun(agent))

    async def run(
        self,
        order: Order,
        step: FenceStep,
        verb: str,
        on_begun: Callable[[], None] = lambda: None,
    ) -> Ran:
        """Run the agent of a step; every reason not to is a `StepError`."""
        device = order.device_of(step)
        timeout_ms = order.timeout_ms
        try:
            agent = find_agent(device.agent, self._agent_paths)
            options = options_of(device, step, self._secrets_dir)
            if device.agent == WATCHDOG_AGENT:
                options |= _wait_of(order, verb)
                timeout_ms += order.watchdog_wait_ms
            lines = input_of(options | {"action": verb, "nodename": order.node_name})
            on_begun()
            began = time.monotonic()
            run = await self._started(agent)
        except (StepError, OSError) as failure:
            raise StepError(f"{step.device}: {failure}") from failure
        status = await _told(run, lines, timeout_ms / 1000)
        self._keep_ready(agent)
        ran = Ran(status, masked_tail(run.output, sensitive_values(device, step, options)))
        self._note(
            "fence.agent_ended",
            order.severity,
            node=order.node_name,
            device=step.device,
            agent=device.agent,
            action=verb,
            status="timeout" if status is None else status,
            duration_ms=round((time.monotonic() - began) * 1000),
            detail=ran.text,
        )
        return ran


def _wait_of(order: Order, verb: str) -> dict[str, str]:
    """Tell the agent how long to wait; without a promise no time proves anything."""
    if verb == "off" and not order.watchdog_wait_ms:
        raise StepError(f"{order.node_name} has promised no watchdog, so time proves nothing")
    return {"wait": f"{order.watchdog_wait_ms / 1000:.3f}"}


async def _told(run: AgentRun, lines: bytes, timeout_s: float) -> int | None:
    """Tell an agent what to do and return its exit status; None: time ran out."""
    try:
        run.tell(lines)
    except OSError as failure:
        await run.result(0)
        raise StepError(str(failure)) from failure
    return await run.result(timeout_s)


def _version(agent: Path) -> tuple[int, int]:
    """Return what differs once another agent was installed."""
    found = agent.stat()
    return found.st_ino, found.st_mtime_ns
