# SPDX-License-Identifier: Apache-2.0
"""A D-Bus daemon of our own for one test: real protocol, no root, nothing shared."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/> <allow send_destination="*" eavesdrop="true"/> <allow send_type="method_call"/>
    <allow receive_sender="*"/>
  </policy>
  <limit name="max_replies_per_connection">128</limit>
  <limit name="max_match_rules_per_connection">512</limit>
</busconfig>
"""


class PrivateBus:
    """A running dbus-daemon with the limits of a system bus."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "bus.conf"
        self.address = f"unix:path={folder / 'bus'}"
        self._config.write_text(CONFIG.format(socket=folder / "bus"), encoding="utf-8")
        self._socket = folder / "bus"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "dbus-daemon",
            f"--config-file={self._config}",
            "--nofork",
            "--nopidfile",
            "--print-address=1",
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        await asyncio.wait_for(self._process.stdout.readline(), 10)

    async def kill(self) -> None:
        """End the daemon as a crash would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        await self._process.communicate()
        self._process = None
        self._socket.unlink(missing_ok=True)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextlib.asynccontextmanager
async def private_bus(folder: Path) -> AsyncIterator[PrivateBus]:
    bus = PrivateBus(folder)
    await bus.start()
    try:
        yield bus
    finally:
        await bus.kill()
