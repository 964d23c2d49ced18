# SPDX-License-Identifier: Apache-2.0
"""The reboot of last resort, with commands and files that reboot nothing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rgmgr.adapters.reboot import reboot

FAILS = (sys.executable, "-c", "raise SystemExit(3)")
HANGS = (sys.executable, "-c", "import time; time.sleep(60)")


def perform(command: tuple[str, ...], sysrq: Path) -> list[str]:
    with capture_logs() as logs:
        asyncio.run(reboot("no quorum", command=command, sysrq=sysrq, timeout_s=0.5))
    return [f"{line['command']}; {line['sysrq']}" for line in logs]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (FAILS, "exit status 3"),
        (HANGS, "no end after 0.5 s"),
        (("/no/such/command",), "[Errno 2] No such file or directory: '/no/such/command'"),
    ],
)
def test_when_the_command_does_not_do_it_sysrq_is_asked(
    tmp_path: Path, command: tuple[str, ...], fault: str
) -> None:
    sysrq = tmp_path / "sysrq-trigger"

    told = perform(command, sysrq)

    assert sysrq.read_text(encoding="ascii") == "b"
    assert told == [f"{fault}; nothing happened"]


def test_when_neither_does_it_both_reasons_are_told(tmp_path: Path) -> None:
    (told,) = perform(FAILS, tmp_path / "no" / "sysrq-trigger")

    assert told.startswith("exit status 3; [Errno 2]")
