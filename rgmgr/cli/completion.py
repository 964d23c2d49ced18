# SPDX-License-Identifier: Apache-2.0
"""`rgmgr completion`: shell code that completes verbs, services and nodes.

Names come from the daemon. Completion must never get in the way of typing: when the daemon
does not answer, there are no names and no message.
"""

from __future__ import annotations

import click

from rgmgr.cli.client import DaemonError, connect
from rgmgr.view import Status


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion code for SHELL.

    For bash: rgmgr completion bash > /etc/bash_completion.d/rgmgr
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - used here only

    from rgmgr.cli.main import cli  # noqa: PLC0415 - main loads us

    made = get_completion_class(shell)
    if made is None:
        text = f"click knows no completion for {shell!r}"
        raise click.ClickException(text)
    click.echo(made(cli, {}, "rgmgr", "_RGMGR_COMPLETE").source())


def service_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the services whose name begins so."""
    status = _status()
    found = [service.name for service in status.services] if status else []
    return [name for name in found if name.startswith(incomplete)]


def node_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the configured nodes whose name begins so."""
    status = _status()
    found = [node.name for node in status.nodes if node.is_configured] if status else []
    return [name for name in found if name.startswith(incomplete)]


def any_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return services and nodes whose name begins so."""
    return service_names(ctx, param, incomplete) + node_names(ctx, param, incomplete)


def _status() -> Status | None:
    try:
        with connect() as daemon:
            return daemon.status()
    except DaemonError:
        return None
