# SPDX-License-Identifier: Apache-2.0
"""`rgmgr enable|disable|stop|relocate|migrate ...`: ask for something, wait until it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from rgmgr.cli.asking import carry_out, manner, manner_options
from rgmgr.cli.completion import node_names, service_names

F = TypeVar("F", bound=Callable[..., object])


def _options(function: F) -> F:
    return click.argument("service", shell_complete=service_names)(manner_options(function))


_member = click.option(
    "-m",
    "--member",
    default="",
    metavar="NODE",
    shell_complete=node_names,
    help="The node to use. Default: the failover domain chooses.",
)


def _make(verb: str, text: str) -> click.Command:
    """Return the command of a verb that takes nothing but its service."""

    @_options
    def command(service: str, timeout: float | None, because: str, *, no_wait: bool) -> None:
        _ask(verb, service, "", timeout, because, no_wait=no_wait)

    return click.command(verb, help=text)(command)


@click.command()
@_options
@_member
def enable(
    service: str, member: str, timeout: float | None, because: str, *, no_wait: bool
) -> None:
    """Start SERVICE and keep it running."""
    _ask("enable", service, member, timeout, because, no_wait=no_wait)


@click.command()
@_options
@_member
def relocate(
    service: str, member: str, timeout: float | None, because: str, *, no_wait: bool
) -> None:
    """Move SERVICE to another node."""
    _ask("relocate", service, member, timeout, because, no_wait=no_wait)


@click.command()
@click.argument("service", shell_complete=service_names)
@click.argument("node", shell_complete=node_names)
@manner_options
def migrate(service: str, node: str, timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Take SERVICE to NODE while it runs. It must be one virtual machine and nothing else."""
    _ask("migrate", service, node, timeout, because, no_wait=no_wait)


disable = _make(
    "disable", "Stop SERVICE and keep it stopped until it is enabled. Also clears a failed one."
)
stop = _make("stop", "Stop SERVICE until the next change of the membership.")
restart = _make("restart", "Stop SERVICE and start it again on the same node.")
freeze = _make(
    "freeze",
    "Leave SERVICE as it is, whatever becomes of it, until it is unfrozen: no check, no recovery.",
)
unfreeze = _make("unfreeze", "Look after a frozen SERVICE again.")
convalesce = _make("convalesce", "Start the parts of SERVICE again without which it runs.")
retry = _make("retry", "Try again now to start SERVICE, which has started nowhere.")


@click.group()
def takeover() -> None:
    """Decide about a service whose owner was lost and which waits for a word of yours."""


takeover.add_command(_make("confirm", "Start SERVICE elsewhere: its owner was lost."), "confirm")
takeover.add_command(_make("refuse", "Do not start SERVICE elsewhere."), "refuse")


def _ask(
    verb: str, service: str, node: str, timeout: float | None, because: str, *, no_wait: bool
) -> None:
    name = service.removeprefix("service:")
    how = manner(timeout, because, no_wait=no_wait)
    carry_out(
        f"{verb} {name}",
        how,
        lambda daemon: daemon.request(verb, name, node, how.seconds, how.because),
        name,
    )
