# SPDX-License-Identifier: Apache-2.0
"""A journald that hangs or is gone: lines may be lost, the daemon may not."""

from __future__ import annotations

import os
import signal
import socket

import pytest
import structlog

from rgmgr.adapters.journal import Journal
from rgmgr.core.actions import Record

LINES = 20_000
DEADLINE_S = 10


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_journald_that_reads_nothing_does_not_stop_the_daemon(*, is_gone: bool) -> None:
    ours, journalds = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    stream = os.fdopen(ours.detach(), "w", buffering=1, encoding="utf-8")
    if is_gone:
        journalds.close()
    found = os.fstat(stream.fileno())
    journal = Journal(stream, environment={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
    journal.install()
    signal.alarm(DEADLINE_S)  # a write that blocks would never come back
    try:
        for _ in range(LINES):
            journal.write(Record(event="service.started"))
            structlog.get_logger("adapter").warning("resource.failed", reason="x")
    finally:
        signal.alarm(0)
        structlog.reset_defaults()
        stream.detach().detach().close()  # type: ignore[attr-defined]  # nothing may be flushed
        journalds.close()


def test_journald_gets_whole_lines() -> None:
    ours, journalds = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with os.fdopen(ours.detach(), "w", encoding="utf-8") as stream, journalds:
        found = os.fstat(stream.fileno())
        journal = Journal(stream, environment={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        journal.write(Record(event="service.started", fields={"service": "web"}))
        assert journalds.recv(100) == b"<6>service.started service=web\n"
