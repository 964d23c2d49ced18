# SPDX-License-Identifier: Apache-2.0
"""Carries actions out: each goes to the one adapter that can do it. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from rgmgr.adapters.fencing import FenceRunner
from rgmgr.adapters.journal import Journal
from rgmgr.adapters.reach import Reach
from rgmgr.adapters.reboot import reboot
from rgmgr.adapters.store import Store
from rgmgr.adapters.systemd import Systemd
from rgmgr.adapters.timers import Timers
from rgmgr.adapters.watchdog import Watchdog
from rgmgr.core.actions import (
    Action,
    ArmWatchdog,
    CancelTimer,
    DisarmWatchdog,
    EndFence,
    Exit,
    FeedWatchdog,
    FenceNode,
    MigrateResource,
    Multicast,
    RebootNode,
    Record,
    Reply,
    ResumeChecks,
    SaveState,
    SendPing,
    SetTimer,
    StartResource,
    StopResource,
    SuspendChecks,
    SwitchOn,
    TestPaths,
)
from rgmgr.core.messages import AnyRequest, Message


class Desk:
    """Requests on their way: a number for each, and who waits for its answer."""

    def __init__(self) -> None:
        self._count = 0
        self._waiting: dict[int, asyncio.Future[Reply]] = {}

    def open(self, request: AnyRequest) -> tuple[AnyRequest, asyncio.Future[Reply]]:
        """Return the request with its number and the future of its answer."""
        self._count += 1
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[self._count] = answer
        return replace(request, number=self._count), answer

    def answer(self, reply: Reply) -> None:
        """Hand an answer to whoever still waits for it."""
        waiting = self._waiting.pop(reply.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(reply)


class Dispatcher:
    """Sends each action to its adapter."""

    def __init__(  # noqa: PLR0913  # an adapter each
        self,
        *,
        send: Callable[[Message], None],
        systemd: Systemd,
        fences: FenceRunner,
        reach: Reach,
        watchdog: Watchdog,
        store: Store,
        timers: Timers,
        desk: Desk,
        journal: Journal,
        tasks: asyncio.TaskGroup,
        end: Callable[[Exit], None],
    ) -> None:
        self._send = send
        self._systemd = systemd
        self._fences = fences
        self._reach = reach
        self._watchdog = watchdog
        self._store = store
        self._timers = timers
        self._desk = desk
        self._journal = journal
        self._tasks = tasks
        self._end = end

    def __call__(self, action: Action) -> None:  # noqa: C901, PLR0912  # one arm per kind
        """Carry out one action; none of them waits."""
        match action:
            case Multicast(message=message):
                self._send(message)
            case StartResource():
                self._systemd.start(action)
            case StopResource():
                self._systemd.stop(action)
            case MigrateResource():
                self._systemd.migrate(action)
            case SuspendChecks(service=service):
                self._systemd.suspend(service)
            case ResumeChecks(service=service):
                self._systemd.resume(service)
            case FenceNode() | EndFence() | SwitchOn() | TestPaths():
                self._fence(action)
            case SendPing():
                self._tasks.create_task(self._reach.ask(action), name="ping")
            case ArmWatchdog():
                self._tasks.create_task(self._watchdog.arm(), name="watchdog is armed")
            case FeedWatchdog(proven_ms=proven_ms):
                self._watchdog.feed(proven_ms)
            case DisarmWatchdog():
                self._watchdog.disarm()
            case RebootNode(reason=reason):
                self._tasks.create_task(reboot(reason), name="reboot")
            case SetTimer(key=key, after_ms=after_ms):
                self._timers.set(key, after_ms)
            case CancelTimer(key=key):
                self._timers.cancel(key)
            case SaveState(state=state):
                self._tasks.create_task(self._store.save(state), name="save")
            case Reply():
                self._desk.answer(action)
            case Record():
                self._journal.write(action)
            case Exit():
                self._end(action)

    def _fence(self, action: FenceNode | EndFence | SwitchOn | TestPaths) -> None:
        match action:
            case FenceNode():
                self._tasks.create_task(_watch(self._fences.start(action)), name="fence")
            case EndFence():
                self._fences.end(action.node)
            case SwitchOn():
                self._tasks.create_task(_watch(self._fences.switch_on(action)), name="switch on")
            case TestPaths():
                self._tasks.create_task(_watch(self._fences.test(action)), name="fence test")


async def _watch(task: asyncio.Task[None]) -> None:
    """Let a bug in the task end the daemon; one that was called off is fine."""
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
