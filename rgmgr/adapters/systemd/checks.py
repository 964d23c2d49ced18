# SPDX-License-Identifier: Apache-2.0
"""Asks resources that are up whether they really work: by HTTP, by TCP, or by a command.

Each check has a task of its own, so one that hangs delays nothing else. A command runs as a
throw-away unit: systemd bounds it, keeps its output, and leaves nothing of it behind. What cannot
be asked is unknown, which is not a failure. Source: RFC 9112 for the status line.
"""

from __future__ import annotations

import asyncio
import random
import shlex
import ssl
from collections.abc import Callable, Coroutine, Sequence
from urllib.parse import urlsplit

import structlog

from rgmgr.adapters.systemd import names, programs
from rgmgr.adapters.systemd.manager import UNIT_EXISTS, Manager
from rgmgr.adapters.systemd.resources import Plan, helper_environment
from rgmgr.core.spec import CheckKind, CheckSpec
from rgmgr.errors import BusError

_STATUS_LINE_PARTS_MIN = 2
_PORTS = {"http": 80, "https": 443}
_COMMAND_GRACE_S = 5.0  # for systemd to kill a command that ran out of time

log = structlog.get_logger(__name__)


class Checks:
    """The checks of one resource that is up.

    `failed` is called by each check that fails for good, with the reason; `spawn` runs a task.
    """

    def __init__(
        self,
        manager: Manager,
        plan: Plan,
        failed: Callable[[str], None],
        spawn: Callable[[Coroutine[None, None, None], str], asyncio.Task[None]],
    ) -> None:
        self._manager = manager
        self._plan = plan
        self._failed = failed
        self._tasks = [
            spawn(self._repeat(number, check), f"check {plan.key}")
            for number, check in enumerate(plan.spec.checks)
        ]

    def end(self) -> None:
        """Ask no more."""
        for task in self._tasks:
            task.cancel()

    async def _repeat(self, number: int, check: CheckSpec) -> None:
        interval_s = check.interval_ms / 1000
        # jitter: a hundred checks that began together must not go on together
        await asyncio.sleep(interval_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        failures = 0
        while True:
            fault = await self._ask(number, check)
            failures = failures + 1 if fault else 0
            if fault:
                key = str(self._plan.key)
                log.warning("check.failed", unit=key, reason=fault, failures=failures)
            if fault and failures > check.tolerance:
                self._failed(f"check {check.kind.value} {check.target}: {fault}")
                return
            await asyncio.sleep(interval_s)

    async def _ask(self, number: int, check: CheckSpec) -> str | None:
        """Return what is wrong; None when all is well, or nobody can tell."""
        try:
            match check.kind:
                case CheckKind.COMMAND | CheckKind.MONITOR:
                    return await self._run(number, check)
                case CheckKind.TCP:
                    return await _within(check, _connect(check.target))
                case CheckKind.HTTP:
                    return await _within(check, _get(check.target, check.status))
        except BusError as error:
            log.warning("check.unknown", unit=str(self._plan.key), reason=str(error))
            return None

    async def _run(self, number: int, check: CheckSpec) -> str | None:
        unit = names.check_unit(self._plan.key.service, self._plan.key.resource, number)
        try:
            job = await self._manager.start_transient(unit, _definition(self._plan, check))
        except BusError as error:
            if error.name != UNIT_EXISTS:
                raise
            return f"{unit} of the previous time has not ended"
        result = await self._manager.job_result(job, check.timeout_ms / 1000 + _COMMAND_GRACE_S)
        return None if result in ("done", None) else f"it failed; see 'journalctl -u {unit}'"


def _definition(plan: Plan, check: CheckSpec) -> Sequence[tuple[str, str, object]]:
    words, environment, degraded = _words(plan, check)
    return [
        ("Description", "s", f"{plan.description}, check"),
        ("CollectMode", "s", "inactive-or-failed"),
        ("Type", "s", "oneshot"),
        ("ExecStart", "a(sasb)", [[words[0], words, False]]),
        ("Environment", "as", [f"{name}={value}" for name, value in environment.items()]),
        ("SuccessExitStatus", "(aiai)", [degraded, []]),
        ("TimeoutStartUSec", "t", check.timeout_ms * 1000),
        ("LogLevelMax", "i", 4),  # warnings of the command, not systemd's word on every run
    ]


def _words(plan: Plan, check: CheckSpec) -> tuple[list[str], dict[str, str], list[int]]:
    """Return a command, its environment, and the statuses above 0 that mean well, too."""
    if check.kind is not CheckKind.MONITOR:
        return shlex.split(check.target), {}, []
    if plan.helper is not None:
        return [str(plan.helper), "status"], helper_environment(plan), []
    return programs.monitor(plan.spec, check.target)


async def _within(check: CheckSpec, asking: Coroutine[None, None, str | None]) -> str | None:
    try:
        async with asyncio.timeout(check.timeout_ms / 1000):
            return await asking
    except TimeoutError:
        return f"no answer within {check.timeout_ms / 1000:g} s"
    except (OSError, ValueError) as error:  # refused, no such host, a line without end
        return str(error) or type(error).__name__


async def _connect(target: str) -> str | None:
    host, _, port = target.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
    return None


async def _get(url: str, wanted: int) -> str | None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    context = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or _PORTS[parts.scheme]
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
        writer.write(f"{request}User-Agent: rgmgr\r\nAccept: */*\r\n\r\n".encode())
        line = (await reader.readline()).decode("latin-1").strip()
    finally:
        writer.close()
    words = line.split(maxsplit=2)
    if len(words) < _STATUS_LINE_PARTS_MIN or not words[0].startswith("HTTP/"):
        return f"the answer is not HTTP: {line[:60]!r}"
    return None if words[1] == str(wanted) else f"status {words[1]}, not {wanted}"
