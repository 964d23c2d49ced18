# SPDX-License-Identifier: Apache-2.0
"""A lease on a shared disk, taken before a fence in a race: only the side that has it may fence.

The disk is touched by `rgmgr-lease`, a process of its own: a disk that hangs holds nobody up but
that, and its answer is waited for so long only. Who gets no lease does not fence; it decides who
fences, never who is dead. One loop, no threads. Source: ADR 21.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Final

from rgmgr.core.actions import DiskLease

HELPER: Final = Path("/usr/lib/rgmgr/rgmgr-lease")
TAKE_S: Final = 15.0
"""Others' lease has expired by then, and ours is written and seen; else the disk hangs."""
END_S: Final = 2.0


class HeldLease:
    """A lease that is being held, or why it is not; `end` in any case."""

    def __init__(self, lease: DiskLease, helper: Path = HELPER, take_s: float = TAKE_S) -> None:
        self._lease = lease
        self._helper = helper
        self._take_s = take_s
        self._process: asyncio.subprocess.Process | None = None

    async def take(self) -> str:
        """Return why there is no lease; empty: it is ours, and is renewed."""
        lease = self._lease
        side = ",".join(map(str, lease.side))
        try:
            async with asyncio.timeout(self._take_s):
                self._process = await asyncio.create_subprocess_exec(
                    *(str(self._helper), lease.device, lease.cluster, side),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
                assert self._process.stdout is not None  # noqa: S101  # it is a pipe
                if await self._process.stdout.readline() == b"held\n":
                    return ""
                _, said = await self._process.communicate()
        except TimeoutError:
            return f"{lease.device}: gave no answer in {self._take_s:g} s"
        except OSError as error:
            return f"{self._helper}: {error.strerror}"
        return said.decode("utf-8", "replace").strip() or f"{lease.device}: no lease"

    async def end(self, *, is_won: bool) -> None:
        """Give the lease back where the other side is off; else let it expire."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(END_S):
                await process.communicate(b"release\n" if is_won else None)
                return
        with suppress(ProcessLookupError, TimeoutError):
            process.kill()
            async with asyncio.timeout(END_S):  # one that waits for a dead disk ends when it can
                await process.wait()
