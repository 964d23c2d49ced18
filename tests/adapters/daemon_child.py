# SPDX-License-Identifier: Apache-2.0
"""rgmgrd as a child process, and systemd's end of its notification socket.

The bus of the machine is never touched: the child is told of another one, where nobody listens.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0
PING_US = 300_000
"""The watchdog limit given to the child: it pings every 100 ms, which is a clock for tests."""
WITHOUT_BINDING = """
import sys
sys.modules["rgmgr._corosync"] = None
from rgmgr.runtime.daemon import main
sys.exit(main(sys.argv[1:]))
"""

VALID = """
[cluster]
name = "alpha"
version = 1
[[node]]
name = "node1"
fence = [[{ device = "pdu", plug = 1 }]]
[[node]]
name = "node2"
fence = [[{ device = "pdu", plug = 2, delay = "5" }]]
[fencing.device.pdu]
agent = "fence_pdu"
[[service]]
name = "web"
[[service.resource]]
type = "systemd"
unit = "nginx.service"
"""


def corosync_runs_here() -> bool:
    """Tell whether a daemon started here would join a real cluster."""
    return "@cmap" in Path("/proc/net/unix").read_text(encoding="ascii", errors="replace")


class Child:
    """One rgmgrd in a directory of its own."""

    def __init__(self, folder: Path, config: str | bytes = VALID) -> None:
        self.folder = folder
        self.config = folder / "cluster.toml"
        self.config.write_bytes(config if isinstance(config, bytes) else config.encode())
        self._journal = folder / "journal"
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(folder / "notify"))
        self._process: subprocess.Popen[bytes] | None = None
        self.told: list[str] = []

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, user: int | None = None, program: tuple[str, ...] = ()) -> None:
        """Start it, as another user if given; `program` replaces the module's own start."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "NOTIFY_SOCKET": str(self.folder / "notify"),
            "WATCHDOG_USEC": str(PING_US),
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={self.folder / 'no-bus'}",
        }
        others: dict[str, object] = {}
        if user is not None:
            others = {"user": user, "group": user, "extra_groups": []}
        with self._journal.open("ab") as journal:
            self._process = subprocess.Popen(
                [sys.executable, *(program or ("-m", "rgmgr.runtime.daemon")), *self.options()],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=journal,
                stderr=journal,
                **others,  # type: ignore[call-overload]
            )

    def options(self) -> list[str]:
        paths = {
            "--config": self.config,
            "--state-dir": self.folder / "state",
            "--runtime-dir": self.folder / "run",
            "--secrets-dir": self.folder / "secrets",
        }
        return [text for name, path in paths.items() for text in (name, str(path))]

    def await_told(self, condition: Callable[[str], bool], what: str) -> str:
        """Return the first word to systemd, from now, that is meant."""
        deadline = time.monotonic() + DEADLINE_S
        while (left := deadline - time.monotonic()) > 0:
            self._manager.settimeout(left)
            with contextlib.suppress(TimeoutError):
                self.told.append(self._manager.recv(4096).decode())
                if condition(self.told[-1]):
                    return self.told[-1]
        raise AssertionError(f"no {what}; told: {self.told}; journal:\n{self.journal()}")

    def await_status(self, beginning: str) -> str:
        """Return the first status line that begins so."""
        return self.await_told(lambda word: word.startswith(f"STATUS={beginning}"), beginning)

    def let_turn(self, pings: int) -> None:
        """Let the daemon's loop turn for this many watchdog pings."""
        for _ in range(pings):
            self.await_told(lambda word: word == "WATCHDOG=1", "ping")

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> int:
        """Return the exit status, which must come soon."""
        assert self._process is not None
        return self._process.wait(DEADLINE_S)

    def journal(self) -> str:
        return self._journal.read_text(encoding="utf-8")

    def lines(self, event: str) -> list[str]:
        """Return the lines of an event, without their time."""
        lines = [line.split(maxsplit=2)[2] for line in self.journal().splitlines()]
        return [line for line in lines if f" {event} " in f" {line} "]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._manager.close()


@contextlib.contextmanager
def child(folder: Path, config: str | bytes = VALID) -> Iterator[Child]:
    """Give a daemon that is gone at the end."""
    made = Child(folder, config)
    try:
        yield made
    finally:
        made.close()
