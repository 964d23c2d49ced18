# SPDX-License-Identifier: Apache-2.0
"""Reboots this node at once: no unit is stopped, no file system unmounted.

systemctl, forced twice, asks the kernel itself, in a container too, and needs neither D-Bus nor
PID 1. Where that fails the kernel's SysRq is asked. Source: systemctl(1), kernel sysrq.rst.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog

COMMAND = ("systemctl", "reboot", "--force", "--force")
SYSRQ = Path("/proc/sysrq-trigger")
TIMEOUT_S = 5.0

log = structlog.get_logger(__name__)


async def reboot(
    reason: str,
    *,
    command: Sequence[str] = COMMAND,
    sysrq: Path = SYSRQ,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Reboot; returns only when neither way works, which is written to the journal."""
    fault = await _by_command(command, timeout_s)
    other = _by_sysrq(sysrq)
    log.error("node.reboot_failed", reason=reason, command=fault, sysrq=other)


def _by_sysrq(sysrq: Path) -> str:
    try:
        sysrq.write_text("b", encoding="ascii")
    except OSError as error:
        return str(error)
    return "nothing happened"


async def _by_command(command: Sequence[str], timeout_s: float) -> str:
    """Run the command and wait for the end of everything; return why it did not come."""
    try:
        process = await asyncio.create_subprocess_exec(*command)
    except OSError as error:
        return str(error)
    try:
        async with asyncio.timeout(timeout_s):
            status = await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"no end after {timeout_s:g} s"
    await asyncio.sleep(timeout_s if status == 0 else 0)  # it has said yes: the kernel is at it
    return f"exit status {status}"
