# SPDX-License-Identifier: Apache-2.0
"""Short commands of other programs, run as children of the daemon."""

from __future__ import annotations

import asyncio


async def run(
    command: list[str], timeout_s: float, environment: dict[str, str] | None = None
) -> str | None:
    """Run a child and return its output; None when it failed or did not end in time."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await child.communicate()
    except TimeoutError:
        return None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return output.decode(errors="replace") if child.returncode == 0 else None
