# SPDX-License-Identifier: Apache-2.0
"""The lines an administrator reads."""

from __future__ import annotations

import errno
import io
import os
import pty
import re
from pathlib import Path

import pytest

from rgmgr.adapters.journal import Journal
from rgmgr.core.actions import Record, Severity

STARTED = Record(event="service.started", fields={"service": "web", "owner": "node2", "op": 3})
STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def written(path: Path, *records: Record, lowest: Severity = Severity.DEBUG) -> list[str]:
    """Return the lines of a stream that systemd connected to the journal."""
    with path.open("w", encoding="utf-8") as stream:
        found = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        journal = Journal(stream, lowest=lowest, environment=environment)
        for record in records:
            journal.write(record)
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def test_a_line_has_the_event_first_and_readable_pairs(tmp_path: Path) -> None:
    assert written(tmp_path / "log", STARTED) == ["<6>service.started service=web owner=node2 op=3"]


@pytest.mark.parametrize(
    ("severity", "prefix"),
    [
        (Severity.ERROR, "<3>"),
        (Severity.WARNING, "<4>"),
        (Severity.INFO, "<6>"),
        (Severity.DEBUG, "<7>"),
    ],
)
def test_journald_gets_the_priority(tmp_path: Path, severity: Severity, prefix: str) -> None:
    record = Record(event="quorum.lost", severity=severity)
    assert written(tmp_path / "log", record) == [f"{prefix}quorum.lost"]


def test_records_below_the_lowest_severity_are_dropped(tmp_path: Path) -> None:
    records = [Record(event=each.value, severity=each) for each in Severity]
    assert written(tmp_path / "log", *records, lowest=Severity.WARNING) == [
        "<4>warning",
        "<3>error",
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("no quorum", '"no quorum"'),
        ("", '""'),
        ("a\n<0>fake", '"a\\n<0>fake"'),
        ('say "x"', '"say \\"x\\""'),
        ("\x1b[31m", '"\\u001b[31m"'),
        ("\x9b\u2028", '"\\u009b\\u2028"'),
        ("\ud800", '"\\ud800"'),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (-7, "-7"),
    ],
)
def test_one_event_is_one_line_whatever_its_values(
    tmp_path: Path, value: str | int, shown: str
) -> None:
    record = Record(event="x.done", fields={"reason": value})
    assert written(tmp_path / "log", record) == [f"<6>x.done reason={shown}"]


def test_fields_without_a_value_are_left_out_and_reserved_names_are_kept(tmp_path: Path) -> None:
    record = Record(event="x.done", fields={"owner": None, "event": "a", "level": "b", "self": "c"})
    assert written(tmp_path / "log", record) == ["<6>x.done event_=a level_=b self_=c"]


def test_a_file_gets_time_and_level(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="utf-8") as stream:
        Journal(stream, environment={"JOURNAL_STREAM": "8:1"}).write(STARTED)
    line = (tmp_path / "log").read_text(encoding="utf-8")
    assert re.fullmatch(STAMP + r" info    service.started service=web owner=node2 op=3\n", line)


def test_a_terminal_gets_colour() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        Journal(stream, environment={}).write(STARTED)
        stream.flush()
        text = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "\x1b[" in text
    assert "service.started" in re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_bug_is_written_with_its_traceback_in_lines_of_one_priority(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="utf-8") as stream:
        found = os.fstat(stream.fileno())
        journal = Journal(stream, environment={"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        journal.failed("daemon.failed", ValueError("two\nlines"))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "<3>daemon.failed"
    assert lines[-2:] == ["<3>ValueError: two", "<3>lines"]
    assert all(line.startswith("<3>") for line in lines)


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), text)


def test_a_full_disk_does_not_stop_us() -> None:
    journal = Journal(FullDisk(), environment={})
    journal.note("x.done", node="node1")
    journal.failed("daemon.failed", ValueError("x"))
