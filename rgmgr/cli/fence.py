# SPDX-License-Identifier: Apache-2.0
"""`rgmgr fence NODE`, and the verbs around it: ack, cancel, history, test, agents, describe."""

from __future__ import annotations

import importlib
import sys

import click
import msgspec

from rgmgr.cli.asking import because_option
from rgmgr.cli.client import TIMEOUT, WAIT_FOREVER_S, DaemonError, Outcome, connector
from rgmgr.cli.completion import node_names
from rgmgr.cli.exits import Exit
from rgmgr.cli.times import ago, seconds
from rgmgr.core.actions import Answer
from rgmgr.core.messages import FenceOrder
from rgmgr.fence_view import CaseView, PathView

_FAILED = (Answer.FAILED.value, Answer.ABORTED.value)
_ELSEWHERE = {
    "agents": "rgmgr.cli.fence_agents",
    "describe": "rgmgr.cli.fence_agents",
}
"""Verbs of another module, loaded when they are used."""


class FenceVerbs(click.Group):
    """A group in which a first word that is no verb is a node to be fenced."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs, whether loaded or not."""
        return sorted({*super().list_commands(ctx), *_ELSEWHERE} - {_NODE})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one verb; None when there is none."""
        module = _ELSEWHERE.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command = getattr(importlib.import_module(module), cmd_name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Take what is no verb for the name of a node."""
        if args and args[0] not in self.list_commands(ctx):
            return _NODE, self.get_command(ctx, _NODE), args
        return super().resolve_command(ctx, args)


_NODE = "NODE"

_node = click.argument("node", shell_complete=node_names)
_yes = click.option("--yes", is_flag=True, help="Do not ask whether it is meant.")
_timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Give up waiting after this time; the request goes on. Default: never.",
)


@click.group(
    cls=FenceVerbs,
    context_settings={"ignore_unknown_options": True},
    subcommand_metavar="NODE [--off] | VERB ...",
)
def fence() -> None:
    """Fence NODE: have another member switch it off, and on again.

    Waits until a device has confirmed that it is off; its services are then started elsewhere.
    The verbs are about fencing in general: what became of it, whether it would work.
    """


@fence.command(name=_NODE, hidden=True)
@_node
@click.option("--off", is_flag=True, help="Leave it off.")
@_yes
@because_option
@_timeout
def fence_one(node: str, timeout: float | None, because: str, *, off: bool, yes: bool) -> None:
    """Have another member switch NODE off, and on again unless `--off` is given."""
    order = FenceOrder.OFF if off else FenceOrder.FENCE
    if not yes and sys.stdin.isatty():
        _confirm_fence(node)
    _ask(order, node, because, timeout)


@fence.command()
@_node
@_yes
@because_option
def ack(node: str, because: str, *, yes: bool) -> None:
    """Give your word that NODE is off, in place of a fence device.

    Its services are started elsewhere at once. If it still runs, they run twice and destroy their
    data: cut its power first, and stay with it. Refused while it shows any sign of life.
    """
    if not yes and not _gives_word(node):
        click.echo("rgmgr: not confirmed; nothing was changed", err=True)
        click.get_current_context().exit(Exit.REFUSED)
    _ask(FenceOrder.ACK, node, because, None)


@fence.command()
@_node
@because_option
def cancel(node: str, because: str) -> None:
    """Make no further attempt to fence NODE; what it may run starts nowhere.

    An attempt under way goes on. `rgmgr fence NODE` takes it up again.
    """
    _ask(FenceOrder.CANCEL, node, because, None)


@fence.command()
@click.argument("node", required=False, default="", shell_complete=node_names)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
@_timeout
def test(node: str, timeout: float | None, *, as_json: bool) -> None:
    """Ask all fence devices, or those of NODE, from every member, switching nothing.

    Exits with 1 when one does not answer, or calls a running node off.
    """
    context = click.get_current_context()
    patience_s = WAIT_FOREVER_S if timeout is None else timeout
    with connector(context.obj)() as daemon:
        outcome = daemon.fence(FenceOrder.TEST.value, node, patience_s)
        status = daemon.status()
    if outcome.code not in (Answer.DONE.value, *_FAILED):
        context.exit(report("test the fence paths", outcome))
    paths = {n.name: n.paths for n in status.nodes if not node or n.name == node}
    if as_json:
        click.echo(_json("paths", paths))
    else:
        _print_paths(paths)
        click.echo(outcome.text)
    context.exit(Exit.DONE if outcome.code == Answer.DONE.value else Exit.FAILED)


@fence.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def history(*, as_json: bool) -> None:
    """Show what became of nodes that were lost: the latest cases, oldest first."""
    with connector(click.get_current_context().obj)() as daemon:
        status = daemon.status()
    if as_json:
        click.echo(_json("cases", status.cases))
    elif not status.cases:
        click.echo("no node was lost since this cluster began")
    else:
        click.echo("\n".join(map(_case_line, status.cases)))


def report(what: str, outcome: Outcome) -> Exit:
    """Print how a request ended and return the exit code for it."""
    if outcome.code == Answer.DONE.value:
        click.echo(outcome.text)
        return Exit.DONE
    click.echo(f"rgmgr: cannot {what}: {outcome.text}", err=True)
    return Exit.FAILED if outcome.code in _FAILED else Exit.REFUSED


def _ask(order: FenceOrder, node: str, because: str, timeout: float | None) -> None:
    """Carry the request to the daemon, say how it ended, and exit."""
    context = click.get_current_context()
    patience_s = WAIT_FOREVER_S if timeout is None else timeout
    what = f"fence {node}" if order in (FenceOrder.FENCE, FenceOrder.OFF) else f"{order.value} it"
    try:
        with connector(context.obj)() as daemon:
            outcome = daemon.fence(order.value, node, patience_s, because)
    except DaemonError as error:
        if error.name == TIMEOUT:
            hint = f"rgmgrd goes on; 'rgmgr status {node}' tells how far it is"
            click.echo(f"rgmgr: {node} is not yet proven off; {hint}", err=True)
            context.exit(Exit.NO_ANSWER)
        raise
    except KeyboardInterrupt:
        click.echo(f"rgmgr: stopped waiting; the request to {what} goes on", err=True)
        context.exit(Exit.INTERRUPTED)
    context.exit(report(what, outcome))


def _gives_word(node: str) -> bool:
    text = (
        f"Is {node} without power, or unplugged from storage and network, now and until you say"
        " otherwise? If not, its services will run twice and destroy their data."
    )
    click.echo(text, err=True)
    try:
        typed = click.prompt(f"Type '{node}' to give your word", err=True, default="")
    except click.Abort:  # the end of the input
        return False
    return bool(typed == node)


def _confirm_fence(node: str) -> None:
    with connector(click.get_current_context().obj)() as daemon:
        found = daemon.status().node_named(node)
    if found is None or not found.is_member:
        return
    services = f" and runs {found.services} services" if found.services else ""
    if not click.confirm(f"{node} is {found.status}{services}. Switch it off?", err=True):
        click.get_current_context().exit(Exit.REFUSED)


def _json(key: str, value: object) -> str:
    return msgspec.json.encode({"schema": 1, key: value}).decode()


def _print_paths(paths: dict[str, tuple[PathView, ...]]) -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON needs no rich

    from rgmgr.cli.screens import path_line  # noqa: PLC0415 - likewise

    screen = Console(highlight=False, soft_wrap=True)
    for name, found in paths.items():
        for path in found:
            screen.print(f"{name}: ", path_line(path), sep="")


def _case_line(case: CaseView) -> str:
    took = "" if case.ended_after_ms is None else f" after {seconds(case.ended_after_ms)}"
    by = f" by {case.by}" if case.by else ""
    attempts = f", {case.attempts} attempts" if case.attempts > 1 else ""
    detail = f" ({case.detail})" if case.detail else ""
    return f"{ago(case)}  {case.node}: {case.cause}; {case.outcome}{by}{took}{attempts}{detail}"
