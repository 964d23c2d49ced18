# SPDX-License-Identifier: Apache-2.0
"""The daemon's side of this node's watchdog: starts `rgmgr-guard`, feeds it, disarms it.

The guard is a process of its own, so that it outlives this one without being fed: it resets the
node unless the next life proves in time that it is a member. It runs as a unit that systemd
watches, and feeds the device, if there is one. Decides nothing but whether a device may be used.

One loop, no threads. Failure modes: a guard that cannot be started ends the daemon, for the others
count on it. Source: ADR 20, systemd-run(1), sysfs-class-watchdog of the kernel.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from rgmgr.core.events import WatchdogArmed
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import WATCHDOG_OF_SYSTEMD, FencingSpec
from rgmgr.errors import RgmgrError

FOLDER: Final = Path("/run/rgmgr-guard")
GUARD: Final = Path("/usr/lib/rgmgr/rgmgr-guard")
UNIT: Final = "rgmgr-guard"  # and a number: the one before it may not be quite gone
DEVICES: Final = Path("/sys/class/watchdog")
NEEDED_OPTIONS: Final = 0x0180  # WDIOF_SETTIMEOUT, WDIOF_MAGICCLOSE of linux/watchdog.h
START_S: Final = 10.0
GONE_S: Final = 5.0

Command = Callable[[FencingSpec], Sequence[str]]


class WatchdogError(RgmgrError):
    """The watchdog that was promised cannot be armed, or not be used at all."""


def guard_command(fencing: FencingSpec) -> tuple[str, ...]:
    """Return what runs the guard as a unit of systemd and returns once it is armed."""
    timeout_ms = fencing.watchdog_ms
    device = "-" if fencing.watchdog == WATCHDOG_OF_SYSTEMD else fencing.watchdog
    properties = (
        "Description=Resets this node when rgmgrd cannot prove that it is a member",
        "Type=notify",
        f"WatchdogSec={timeout_ms}ms",
        "WatchdogSignal=SIGKILL",
        "FailureAction=reboot-immediate",
        "DefaultDependencies=no",
        "OOMScoreAdjust=-1000",
        f"RuntimeDirectory={FOLDER.name}",
        "RuntimeDirectoryMode=0700",
        "RuntimeDirectoryPreserve=yes",
    )
    return (
        *("systemd-run", "--quiet", "--collect", f"--unit={UNIT}-{secrets.token_hex(4)}"),
        *(f"--property={each}" for each in properties),
        *(str(GUARD), str(FOLDER), str(timeout_ms), str(LEASE_MS), device),
    )


class Watchdog:
    """This node's watchdog; each arming is answered by `WatchdogArmed`.

    Args:
        emit: takes the answers.
        folder: where the guard's socket is.
        command: starts the guard and returns once that is armed.
    """

    def __init__(
        self,
        emit: Callable[[WatchdogArmed], None],
        *,
        folder: Path = FOLDER,
        command: Command = guard_command,
    ) -> None:
        self._emit = emit
        self._path = folder / "socket"
        self._command = command
        self._fencing = FencingSpec()
        self._guard: socket.socket | None = None
        self._leaving: socket.socket | None = None  # the guard that was disarmed, until it is gone

    @property
    def is_armed(self) -> bool:
        """Whether a guard runs, maybe since an earlier life of the daemon."""
        return self._guard is not None

    def begin(self, fencing: FencingSpec, *, is_two_node: bool) -> int:
        """Take over a guard that runs; return the timeout to be promised, 0: none.

        Raises:
            WatchdogError: what is configured cannot be used; nothing may be promised.
        """
        self._fencing = fencing
        timeout_ms = self._connect()
        if timeout_ms or not fencing.watchdog:
            return timeout_ms
        if is_two_node:
            reason = "with corosync's two_node both halves go on, and neither would be reset"
            raise WatchdogError(f"{reason}: use a qdevice instead")
        if fencing.watchdog != WATCHDOG_OF_SYSTEMD:
            check_device(Path(fencing.watchdog))
        return fencing.watchdog_ms

    async def arm(self) -> None:
        """Start a guard, and tell the core once it counts.

        Raises:
            WatchdogError: it cannot be armed; nothing may start.
        """
        await self._see_off()
        await self._run_guard()
        self._emit(WatchdogArmed())

    def feed(self, proven_ms: int) -> None:
        """Let the guard count from its beginning, if it finds the proof fresh as well."""
        self._say(b"feed %d" % proven_ms)

    def disarm(self) -> None:
        """End the guard: nothing is held here."""
        self._say(b"disarm")
        self._leaving, self._guard = self._guard, None

    def close(self) -> None:
        """Let go; a guard that is armed counts on."""
        for end in (self._guard, self._leaving):
            if end is not None:
                end.close()
        self._guard = self._leaving = None

    def _say(self, word: bytes) -> None:
        """Tell the guard; one that is gone has had its node reset, or is about to."""
        if self._guard is not None:
            with suppress(OSError):
                self._guard.send(word)

    async def _run_guard(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                process = await asyncio.create_subprocess_exec(
                    *self._command(self._fencing),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                )
                _, said = await process.communicate()
        except (OSError, TimeoutError) as error:
            raise WatchdogError(
                f"the watchdog cannot be armed: {str(error) or 'no answer'}"
            ) from error
        if process.returncode or not self._connect():
            reason = said.decode("utf-8", "replace").strip() or f"see 'journalctl -u \"{UNIT}-*\"'"
            raise WatchdogError(f"the watchdog cannot be armed: {reason}")

    async def _see_off(self) -> None:
        """Wait until the guard that was disarmed has ended: only then another one can begin."""
        leaving, self._leaving = self._leaving, None
        if leaving is None:
            return
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(GONE_S):
                await asyncio.get_running_loop().sock_recv(leaving, 1)
        leaving.close()

    def _connect(self) -> int:
        """Return the timeout of the guard that runs; 0: none does.

        Raises:
            WatchdogError: it refuses its device.
        """
        guard = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        guard.settimeout(1.0)  # it says a word at once, and nothing else runs yet
        try:
            guard.connect(os.fspath(self._path))
            verb, _, rest = guard.recv(500).partition(b" ")
        except OSError:
            guard.close()
            return 0
        if verb != b"armed" or not rest.isdigit():
            guard.close()
            reason = rest.decode("utf-8", "replace") or "it is no guard"
            raise WatchdogError(f"the watchdog cannot be armed: {reason}")
        guard.settimeout(0)
        self._guard = guard
        return int(rest)


def check_device(path: Path, devices: Path = DEVICES) -> None:
    """See whether a watchdog device is there and free, without starting it.

    Raises:
        WatchdogError: it is not.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise WatchdogError(f"{path}: {error.strerror}: load the driver of the watchdog") from error
    if not stat.S_ISCHR(found.st_mode):
        raise WatchdogError(f"{path} is no character device, so no watchdog")
    number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    for entry in sorted(devices.glob("watchdog*")):
        with suppress(OSError):
            if (entry / "dev").read_text().strip() != number:
                continue
            if (entry / "state").read_text().strip() == "active":
                text = "is in use; PID 1 uses it if RuntimeWatchdogSec is set in system.conf"
                raise WatchdogError(f"{path} {text}")
            if int((entry / "options").read_text(), 16) & NEEDED_OPTIONS != NEEDED_OPTIONS:
                text = "cannot be stopped, or its timeout not be set: use another one"
                raise WatchdogError(f"{path} {text}")
