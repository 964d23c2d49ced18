# SPDX-License-Identifier: Apache-2.0
"""Asks whether an address answers ICMP echo requests: a hint for ties and for human errors.

An answer proves that something there is alive; silence proves nothing. Runs the system's `ping`,
which may open such sockets. One loop, no threads. Source: ping(8) of iputils.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

PATIENCE_MS: Final = 3_000


async def reaches(address: str) -> bool:
    """Tell whether an echo request is answered in time; False for anything else."""
    # with both -c and -w it goes on until that many answers came
    arguments = ("-n", "-q", "-c", "1", "-i", "0.3", "-w", str(PATIENCE_MS // 1000))
    try:
        process = await asyncio.create_subprocess_exec(
            "ping",
            *arguments,
            "--",
            address,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(2 * PATIENCE_MS / 1000):
            return await process.wait() == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
