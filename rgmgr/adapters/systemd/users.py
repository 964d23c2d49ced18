# SPDX-License-Identifier: Apache-2.0
"""Processes that keep a mount busy: found by what they have open below it, and ended.

Looks only at links and maps in /proc, never at the mounted file system itself, which may hang. Such
a look takes a while on a busy node, so it lets others have their turn. Source: proc(5).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_SHOWN_MAX = 5
_AT_ONCE = 20  # processes looked at before others have their turn
_PID1 = 1


@dataclass(frozen=True, slots=True)
class User:
    """A process that has something open below a mount point."""

    pid: int
    command: str

    def __str__(self) -> str:
        """Render as `PID (COMMAND)`."""
        return f"{self.pid} ({self.command})"


async def users_of(mountpoint: str) -> list[User]:
    """Return who keeps a mount busy, as far as we may look at them; never PID 1 and ourselves."""
    found = []
    for number, process in enumerate(_processes()):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        pid = int(process.name)
        if pid not in (_PID1, os.getpid()) and _uses(process, mountpoint):
            found.append(User(pid, _command(process)))
    return found


def listed_users(users: list[User]) -> str:
    """Name users, not too many of them."""
    more = len(users) - _SHOWN_MAX
    return ", ".join(map(str, users[:_SHOWN_MAX])) + (f" and {more} more" if more > 0 else "")


def end_user(user: User, mountpoint: str, how: signal.Signals) -> bool:
    """Send a signal to a process that still uses the mount; its number may be another's by now."""
    try:
        handle = os.pidfd_open(user.pid)
    except OSError:
        return False
    try:
        if not _uses(Path("/proc") / str(user.pid), mountpoint):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, how)
    finally:
        os.close(handle)
    return True


def _processes() -> list[Path]:
    return list(Path("/proc").glob("[0-9]*"))


def _uses(process: Path, mountpoint: str) -> bool:
    links = [process / "cwd", process / "root", process / "exe"]
    with contextlib.suppress(OSError):
        links += list((process / "fd").iterdir())
    return any(_points_into(link, mountpoint) for link in links) or _has_mapped(process, mountpoint)


def _points_into(link: Path, folder: str) -> bool:
    with contextlib.suppress(OSError):
        target = str(link.readlink())
        return target == folder or target.startswith(folder.rstrip("/") + "/")
    return False


def _has_mapped(process: Path, mountpoint: str) -> bool:
    with contextlib.suppress(OSError):
        maps = (process / "maps").read_text(encoding="utf-8", errors="replace")
        return f" {mountpoint.rstrip('/')}/" in maps
    return False


def _command(process: Path) -> str:
    with contextlib.suppress(OSError):
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    return "?"
