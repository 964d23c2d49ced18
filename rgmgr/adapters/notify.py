# SPDX-License-Identifier: Apache-2.0
"""Tells systemd how the daemon does: ready, status line, watchdog. The only user of sdnotify.

Does nothing without `NOTIFY_SOCKET`, as when started by hand. Each word is a datagram of its own:
sdnotify drops a datagram silently when it cannot be encoded, and a lost watchdog ping kills the
daemon. Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, Self

import sdnotify

STATUS_CHARS_MAX: Final = 500


class Notifier:
    """Speaks to the service manager; never fails, never waits."""

    def __init__(self) -> None:
        self._watchdog_interval_ms = _watchdog_interval_ms(os.environ)
        self._manager = sdnotify.SystemdNotifier() if "NOTIFY_SOCKET" in os.environ else None
        if self._manager is not None and self._manager.socket is not None:
            self._manager.socket.settimeout(0)  # a stuck manager must not hold the loop up

    def ready(self) -> None:
        """Say that the start is complete."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Set the status line of `systemctl status`; what is not ASCII becomes a question mark."""
        line = " ".join(text.split())[:STATUS_CHARS_MAX]
        self._send("STATUS=" + line.encode("ascii", "replace").decode("ascii"))

    def watchdog(self) -> None:
        """Prove that the daemon is alive; due every `watchdog_interval_ms`."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the daemon is on its way down."""
        self._send("STOPPING=1")

    def extend_timeout(self, timeout_ms: int) -> None:
        """Ask for this much time from now to start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={timeout_ms * 1000}")

    def watchdog_interval_ms(self) -> int | None:
        """Return how often to ping: a third of the limit. None: nobody watches this process."""
        return self._watchdog_interval_ms

    def close(self) -> None:
        """Close the socket; nothing is sent any more."""
        if self._manager is not None and self._manager.socket is not None:
            self._manager.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, message: str) -> None:
        if self._manager is not None:
            self._manager.notify(message)


def _watchdog_interval_ms(environment: Mapping[str, str]) -> int | None:
    limit_us = environment.get("WATCHDOG_USEC", "")
    watched = environment.get("WATCHDOG_PID", "")
    if not limit_us.isdecimal() or int(limit_us) == 0:
        return None
    if watched and watched != str(os.getpid()):
        return None  # meant for the process that started us
    return max(1, int(limit_us) // 3000)
