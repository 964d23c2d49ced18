# SPDX-License-Identifier: Apache-2.0
"""What all verbs that change something have in common: patience, reasons, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from rgmgr.cli.client import (
    TIMEOUT,
    WAIT_FOREVER_S,
    Daemon,
    DaemonError,
    Outcome,
    connector,
)
from rgmgr.cli.exits import Exit
from rgmgr.config.durations import parse_duration
from rgmgr.config.problems import Rejection
from rgmgr.core.actions import Answer

NO_WAIT_S = 1.0
"""How long `--no-wait` stays: long enough to hear that the request is not allowed."""

_FAILED = (Answer.FAILED.value, Answer.ABORTED.value, Answer.ON_ORIGINAL_OWNER.value)
_DONE = (Answer.DONE.value, Answer.ALREADY_RUNNING.value)

F = TypeVar("F", bound=Callable[..., object])


class Span(click.ParamType[int]):
    """A time span as in cluster.toml: '30m', '2h', or a number of seconds. Milliseconds."""

    name = "span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read it."""
        if isinstance(value, int):
            return value
        parsed = parse_duration(str(value))
        if isinstance(parsed, Rejection):
            self.fail(f"{parsed.text}{f' ({parsed.hint})' if parsed.hint else ''}", param, ctx)
        return parsed


SPAN = Span()


@dataclass(frozen=True, slots=True)
class Manner:
    """How to ask: how long to wait, whether its end is what the operator asked for, and why."""

    seconds: float
    is_leaving_early: bool = False
    because: str = ""


because_option = click.option(
    "--because",
    default="",
    metavar="TEXT",
    help="Why, such as a number of a change; kept in the history.",
)


def manner_options(function: F) -> F:
    """Add the options of `manner`."""
    for decorate in (
        because_option,
        click.option("--no-wait", is_flag=True, help="Return when the request is taken."),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            metavar="SECONDS",
            help="Give up waiting after this time; the request goes on. Default: never.",
        ),
    ):
        function = decorate(function)
    return function


def manner(timeout: float | None, because: str, *, no_wait: bool) -> Manner:
    """Return what the options say."""
    if no_wait and timeout is not None:
        text = "--no-wait and --timeout exclude each other"
        raise click.UsageError(text)
    if no_wait:
        return Manner(NO_WAIT_S, is_leaving_early=True, because=because)
    return Manner(WAIT_FOREVER_S if timeout is None else timeout, because=because)


def carry_out(what: str, how: Manner, ask: Callable[[Daemon], Outcome], look: str = "") -> None:
    """Ask the daemon, say how it ended, and exit. `look`: the name to look at meanwhile."""
    context = click.get_current_context()
    try:
        with connector(context.find_root().obj)() as daemon:
            outcome = ask(daemon)
    except DaemonError as error:
        if error.name == TIMEOUT and how.is_leaving_early:
            see = f"rgmgr status {look}".strip()
            click.echo(f"asked to {what}; not waiting (see '{see}')")
            return
        raise
    except KeyboardInterrupt:
        click.echo(f"rgmgr: stopped waiting; the request to {what} goes on", err=True)
        context.exit(Exit.INTERRUPTED)
    context.exit(_report(what, outcome))


def _report(what: str, outcome: Outcome) -> Exit:
    if outcome.code in _DONE:
        click.echo(outcome.text)
        return Exit.DONE
    running = f"; it runs on {outcome.owner}" if outcome.owner else ""
    click.echo(f"rgmgr: cannot {what}: {outcome.text}{running}", err=True)
    return Exit.FAILED if outcome.code in _FAILED else Exit.REFUSED
