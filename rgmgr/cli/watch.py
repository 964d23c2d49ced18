# SPDX-License-Identifier: Apache-2.0
"""`rgmgr status --watch`: the screen, kept up to date by the bus's change signals.

A line is written over what was there, so nothing flickers and little goes over a slow connection.
A daemon that is away is waited for.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console

from rgmgr.cli.client import Connector, Daemon, DaemonError
from rgmgr.cli.screens import print_details, print_overview
from rgmgr.cli.status import only
from rgmgr.view import Status, encode_status

LOOK_EVERY_S = 1.0
"""The ages shown go on, and what the bus does not tell of is seen so late."""

_OTHER_SCREEN, _BACK = "\033[?1049h\033[?25l", "\033[?25h\033[?1049l"
_HOME, _END_OF_LINE, _BELOW = "\033[H", "\033[K", "\033[J"


def go_on_showing(connector: Connector, name: str | None, *, as_json: bool) -> None:
    """Show the snapshot, or the service or node of this name, until Ctrl-C."""
    try:
        if as_json or not sys.stdout.isatty():
            _print_changes(connector, name, as_json=as_json)
        else:
            with _full_screen():
                _keep_screen(connector, name)
    except KeyboardInterrupt:
        return


def frame(text: str, columns: int, lines: int) -> str:
    """Return what makes a terminal of this size show the text, from whatever it shows now."""
    shown = text.rstrip("\n").split("\n")
    if len(shown) > lines:
        rest = len(shown) - lines + 1
        shown = [*shown[: lines - 1], f"... {rest} more lines"[:columns]]
    return _HOME + "\r\n".join(f"{line}{_END_OF_LINE}" for line in shown) + _BELOW


@contextmanager
def _full_screen() -> Iterator[None]:
    _write(_OTHER_SCREEN)
    try:
        yield
    finally:
        _write(_BACK)


def _keep_screen(connector: Connector, name: str | None) -> None:
    for text in _texts(connector, name, is_terminal=True):
        size = shutil.get_terminal_size()
        _write(frame(text, size.columns, size.lines))


def _print_changes(connector: Connector, name: str | None, *, as_json: bool) -> None:
    """Write a snapshot whenever it says something new; JSON is one line each."""
    before: object = None
    for status in _snapshots(connector):
        if isinstance(status, DaemonError):
            raise status
        chosen = only(status, name) if name else status
        if _without_ages(chosen) == before:
            continue
        before = _without_ages(chosen)
        click.echo(encode_status(chosen) if as_json else _text(chosen, name, is_terminal=False))


def _texts(connector: Connector, name: str | None, *, is_terminal: bool) -> Iterator[str]:
    for status in _snapshots(connector):
        if isinstance(status, DaemonError):
            yield f"{status}; waiting for it"
        else:
            chosen = only(status, name) if name else status
            yield _text(chosen, name, is_terminal=is_terminal)


def _snapshots(connector: Connector) -> Iterator[Status | DaemonError]:
    """Yield what is so, now and after each change, for ever; an error once the daemon is away."""
    while True:
        try:
            with connector() as daemon:
                yield from _of_daemon(daemon)
        except DaemonError as error:
            yield error
            time.sleep(LOOK_EVERY_S)


def _of_daemon(daemon: Daemon) -> Iterator[Status]:
    daemon.wait_for_change(0)
    while True:
        yield daemon.status()
        daemon.wait_for_change(LOOK_EVERY_S)


def _text(status: Status, name: str | None, *, is_terminal: bool) -> str:
    size = shutil.get_terminal_size()
    page = io.StringIO()
    screen = Console(
        file=page,
        highlight=False,
        width=size.columns,
        force_terminal=is_terminal,
        no_color=None if is_terminal else True,
    )
    (print_details if name else print_overview)(status, screen)
    return page.getvalue()


def _without_ages(status: Status) -> object:
    """Return what a new output is worth: states and words, not the time since."""
    return (
        status.epoch,
        status.is_quorate,
        tuple((n.name, n.status, n.is_in_ring, n.standby is None) for n in status.nodes),
        tuple((s.name, s.state, s.owner, s.flags, s.because) for s in status.services),
        tuple(notice.code for notice in status.notices),
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
