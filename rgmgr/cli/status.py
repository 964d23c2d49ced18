# SPDX-License-Identifier: Apache-2.0
"""`rgmgr status`: fetch the snapshot, choose a part of it, and print it as text or JSON."""

from __future__ import annotations

from dataclasses import replace

import click

from rgmgr.cli.client import connector
from rgmgr.cli.completion import any_names
from rgmgr.cli.exits import Exit
from rgmgr.links import tie_breaker
from rgmgr.view import Status, encode_status


@click.command()
@click.argument("name", required=False, shell_complete=any_names)
@click.option("--watch", is_flag=True, help="Go on showing it, at once when something changes.")
@click.option("--links", is_flag=True, help="Show corosync's links, votes and timers here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def status(name: str | None, *, watch: bool, links: bool, as_json: bool) -> None:
    """Show the cluster, or one SERVICE or NODE.

    With --watch, until Ctrl-C: on a terminal the screen is kept up to date; elsewhere, and with
    --json, every change is another output.

    With --links: the links of this node, to all others or to NODE, and what is unwise in the
    configuration of corosync.
    """
    context = click.get_current_context()
    if links:
        from rgmgr.cli.links import show  # noqa: PLC0415 - seldom used

        show(context, name, as_json=as_json)
        return
    if watch:
        from rgmgr.cli.watch import go_on_showing  # noqa: PLC0415 - likewise

        go_on_showing(connector(context.find_root().obj), name, as_json=as_json)
        return
    with connector(context.obj)() as daemon:
        found = daemon.status()
        ties = "" if as_json or name else tie_breaker(daemon.corosync())
    if name is not None:
        found = only(found, name)
        if not (found.services or found.nodes):
            click.echo(f"rgmgr: no service and no node is named {name!r}", err=True)
            context.exit(Exit.REFUSED)
    if as_json:
        click.echo(encode_status(found))
        return
    from rgmgr.cli.screens import print_details, print_overview  # noqa: PLC0415 - JSON needs no rich

    if name is None:
        print_overview(found)
        if ties:
            click.echo(f"\n{ties}")
    else:
        print_details(found)


def only(status: Status, name: str) -> Status:
    """Return the snapshot with nothing but the service and the node of this name."""
    service = status.service_named(name)
    node = status.node_named(name)
    return replace(
        status,
        services=(service,) if service else (),
        nodes=(node,) if node else (),
    )
