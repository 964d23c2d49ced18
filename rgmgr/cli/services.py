# SPDX-License-Identifier: Apache-2.0
"""`rgmgr enable`, `disable`, `stop`, `restart`, `relocate`, `convalesce`: ask, wait, tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import click

from rgmgr.cli.client import TIMEOUT, WAIT_FOREVER_S, DaemonError, Outcome, connector
from rgmgr.cli.completion import node_names, service_names
from rgmgr.cli.exits import Exit
from rgmgr.core.actions import Answer

NO_WAIT_S = 1.0
"""How long `--no-wait` stays: long enough to hear that the request is not allowed."""

_FAILED = (Answer.FAILED.value, Answer.ABORTED.value, Answer.ON_ORIGINAL_OWNER.value)
_DONE = (Answer.DONE.value, Answer.ALREADY_RUNNING.value)

F = TypeVar("F", bound=Callable[..., object])


def _options(function: F) -> F:
    for decorate in (
        click.argument("service", shell_complete=service_names),
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


_member = click.option(
    "-m",
    "--member",
    default="",
    metavar="NODE",
    shell_complete=node_names,
    help="The node to use. Default: the failover domain chooses.",
)


@click.command()
@_options
@_member
def enable(service: str, member: str, timeout: float | None, *, no_wait: bool) -> None:
    """Start SERVICE and keep it running."""
    _ask("enable", service, member, _patience(timeout, no_wait=no_wait))


@click.command()
@_options
def disable(service: str, timeout: float | None, *, no_wait: bool) -> None:
    """Stop SERVICE and keep it stopped until it is enabled. Also clears a failed one."""
    _ask("disable", service, "", _patience(timeout, no_wait=no_wait))


@click.command()
@_options
def stop(service: str, timeout: float | None, *, no_wait: bool) -> None:
    """Stop SERVICE until the next change of the membership."""
    _ask("stop", service, "", _patience(timeout, no_wait=no_wait))


@click.command()
@_options
def restart(service: str, timeout: float | None, *, no_wait: bool) -> None:
    """Stop SERVICE and start it again on the same node."""
    _ask("restart", service, "", _patience(timeout, no_wait=no_wait))


@click.command()
@_options
@_member
def relocate(service: str, member: str, timeout: float | None, *, no_wait: bool) -> None:
    """Move SERVICE to another node."""
    _ask("relocate", service, member, _patience(timeout, no_wait=no_wait))


@click.command()
@_options
def convalesce(service: str, timeout: float | None, *, no_wait: bool) -> None:
    """Start the parts of SERVICE again without which it runs."""
    _ask("convalesce", service, "", _patience(timeout, no_wait=no_wait))


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and whether the end of it is what the operator asked for."""

    seconds: float
    is_leaving_early: bool = False


def _patience(timeout: float | None, *, no_wait: bool) -> Patience:
    if no_wait and timeout is not None:
        text = "--no-wait and --timeout exclude each other"
        raise click.UsageError(text)
    if no_wait:
        return Patience(NO_WAIT_S, is_leaving_early=True)
    return Patience(WAIT_FOREVER_S if timeout is None else timeout)


def _ask(verb: str, service: str, node: str, patience: Patience) -> None:
    """Carry the request to the daemon, say how it ended, and exit."""
    name = service.removeprefix("service:")
    context = click.get_current_context()
    try:
        with connector(context.obj)() as daemon:
            outcome = daemon.request(verb, name, node, patience.seconds)
    except DaemonError as error:
        if error.name == TIMEOUT and patience.is_leaving_early:
            click.echo(f"asked to {verb} {name}; not waiting (see 'rgmgr status {name}')")
            return
        raise
    except KeyboardInterrupt:
        click.echo(f"rgmgr: stopped waiting; the request to {verb} {name} goes on", err=True)
        context.exit(Exit.INTERRUPTED)
    context.exit(_report(verb, name, outcome))


def _report(verb: str, name: str, outcome: Outcome) -> Exit:
    if outcome.code in _DONE:
        click.echo(outcome.text)
        return Exit.DONE
    running = f"; it runs on {outcome.owner}" if outcome.owner else ""
    click.echo(f"rgmgr: cannot {verb} {name}: {outcome.text}{running}", err=True)
    return Exit.FAILED if outcome.code in _FAILED else Exit.REFUSED
