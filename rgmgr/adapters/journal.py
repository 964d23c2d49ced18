# SPDX-License-Identifier: Apache-2.0
"""The journal: one line for each thing that happened. The only place that configures structlog.

Under systemd a line is `<6>service.started service=web owner=node2`: the prefix gives journald the
priority (`journalctl -p warning`), journald adds the time, and the rest is as easy to read as to
search. On a terminal it is coloured and has the time; into a file or a pipe it has the time and
the word of its level. Values with blanks are quoted, and whatever would break the line is
escaped: one event is one line. Source: sd-daemon(3).
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from rgmgr.core.actions import Record, Severity

_PRIORITY_BY_LEVEL: Final = {"error": 3, "warning": 4, "info": 6, "debug": 7}
_LEVEL_BY_SEVERITY: Final = {
    Severity.DEBUG: 10,
    Severity.INFO: 20,
    Severity.WARNING: 30,
    Severity.ERROR: 40,
}
_BARE: Final = re.compile(r"[^\s\"'=\\]+")
_RESERVED: Final = frozenset({"event", "exc_info", "exception", "level", "self", "timestamp"})


class _JournaldEnd:
    """The stream to journald; one that is full or broken costs a line, never the daemon's time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        data = text.encode("utf-8", "backslashreplace")
        with suppress(OSError, ValueError):
            link = socket.socket(fileno=self._stream.fileno())
            try:
                link.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            finally:
                link.detach()  # the descriptor stays the stream's

    def flush(self) -> None:
        """Nothing is kept back."""


def _patient(stream: TextIO, environment: Mapping[str, str]) -> TextIO:
    """Return where to write: not to the journal's own socket, which blocks while journald hangs."""
    if _is_journal(stream, environment) and stat.S_ISSOCK(os.fstat(stream.fileno()).st_mode):
        return cast("TextIO", _JournaldEnd(stream))
    return stream


class Journal:
    """Writes records to one stream.

    Args:
        stream: where to; None: standard error, as systemd expects.
        lowest: records below are dropped.
        environment: tells whether the stream is systemd's; None: the process's own.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        lowest: Severity = Severity.INFO,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        found = sys.stderr if stream is None else stream
        variables = os.environ if environment is None else environment
        self._stream = _patient(found, variables)
        self._processors = _processors(found, variables)
        self._wrapper = structlog.make_filtering_bound_logger(_LEVEL_BY_SEVERITY[lowest])
        self._log = structlog.wrap_logger(
            structlog.WriteLogger(self._stream),
            processors=self._processors,
            wrapper_class=self._wrapper,
        )

    def install(self) -> None:
        """Have every `structlog.get_logger` of this process write here. Called once, at start."""
        structlog.configure(
            processors=self._processors,
            wrapper_class=self._wrapper,
            logger_factory=structlog.WriteLoggerFactory(self._stream),
        )

    def write(self, record: Record) -> None:
        """Write one line; fields that are None are left out."""
        fields = {
            f"{name}_" if name in _RESERVED else name: value
            for name, value in record.fields.items()
            if value is not None
        }
        with suppress(OSError):  # a line that is lost is no reason to stop
            self._log.bind(**fields).log(_LEVEL_BY_SEVERITY[record.severity], record.event)

    def note(
        self, event: str, severity: Severity = Severity.INFO, /, **fields: str | int | None
    ) -> None:
        """Write a line of an adapter."""
        self.write(Record(event=event, severity=severity, fields=fields))

    def failed(self, event: str, error: BaseException) -> None:
        """Write a bug with its traceback, in lines of the same priority."""
        with suppress(OSError):
            self._log.error(event, exc_info=error)


def _processors(stream: TextIO, environment: Mapping[str, str]) -> list[Processor]:
    exceptions: list[Processor] = [structlog.processors.add_log_level]
    if _is_journal(stream, environment):
        return [*exceptions, structlog.processors.format_exc_info, _render_for_journald]
    stamp = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False)
    if stream.isatty():
        return [*exceptions, stamp, structlog.dev.ConsoleRenderer(colors=True, sort_keys=False)]
    return [*exceptions, stamp, structlog.processors.format_exc_info, _render_for_file]


def _is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Tell whether the stream is the one that systemd connected to the journal."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _render_for_journald(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Prefix every line, since journald makes an entry of each."""
    prefix = f"<{_PRIORITY_BY_LEVEL[event.pop('level')]}>"
    return "\n".join(prefix + line for line in _lines(event))


def _render_for_file(_: WrappedLogger, __: str, event: EventDict) -> str:
    prefix = f"{event.pop('timestamp')} {event.pop('level'):7} "
    return "\n".join(prefix + line for line in _lines(event))


def _lines(event: EventDict) -> list[str]:
    traceback = str(event.pop("exception", "")).splitlines()
    name = str(event.pop("event"))
    pairs = (f"{key}={_value(value)}" for key, value in event.items())
    return [" ".join([name, *pairs]), *traceback]


def _value(value: object) -> str:
    text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in quoted)
