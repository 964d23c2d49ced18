# SPDX-License-Identifier: Apache-2.0
"""What systemd gets to read, datagram by datagram."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rgmgr.adapters.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Stand in for systemd's end of the notification socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield made


def test_each_word_is_a_datagram_of_its_own(manager: socket.socket) -> None:
    with Notifier() as notifier:
        notifier.ready()
        notifier.status("quorate, 3 members")
        notifier.watchdog()
        notifier.extend_timeout(1500)
        notifier.stopping()
    assert [manager.recv(1000) for _ in range(5)] == [
        b"READY=1",
        b"STATUS=quorate, 3 members",
        b"WATCHDOG=1",
        b"EXTEND_TIMEOUT_USEC=1500000",
        b"STOPPING=1",
    ]


def test_a_status_line_is_one_line_of_ascii(manager: socket.socket) -> None:
    """Another line would be another word for systemd, and other characters lose the datagram."""
    with Notifier() as notifier:
        notifier.status("caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{RIGHTWARDS ARROW}\nREADY=1")
        notifier.status("x" * 5000)
    assert manager.recv(10_000) == b"STATUS=caf? ? READY=1"
    assert manager.recv(10_000) == b"STATUS=" + b"x" * 500


def test_a_manager_that_does_not_read_does_not_hold_us_up(manager: socket.socket) -> None:
    with Notifier() as notifier:
        for _ in range(5000):
            notifier.watchdog()
    assert manager.recv(100) == b"WATCHDOG=1"


def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with Notifier() as notifier:
        notifier.ready()
        notifier.watchdog()
        assert notifier.watchdog_interval_ms() is None


@pytest.mark.parametrize(
    ("limit", "pid", "interval_ms"),
    [
        ("10000000", str(os.getpid()), 3333),
        ("10000000", "", 3333),
        ("10000000", "1", None),
        ("1000", "", 1),
        ("0", "", None),
        ("soon", "", None),
    ],
)
def test_the_watchdog_is_pinged_at_a_third_of_its_limit(
    monkeypatch: pytest.MonkeyPatch, limit: str, pid: str, interval_ms: int | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", limit)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert Notifier().watchdog_interval_ms() == interval_ms
