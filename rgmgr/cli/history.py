# SPDX-License-Identifier: Apache-2.0
"""`rgmgr history`: what the members decided, when and why; the same on every member."""

from __future__ import annotations

from dataclasses import replace

import click

from rgmgr.cli.client import connector
from rgmgr.cli.completion import any_names
from rgmgr.cli.times import moment
from rgmgr.history_view import encode_history


@click.command()
@click.argument("name", required=False, default="", shell_complete=any_names)
@click.option(
    "-n", "--last", type=click.IntRange(min=1), metavar="COUNT", help="Only the latest so many."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def history(name: str, last: int | None, *, as_json: bool) -> None:
    """Show what the cluster decided, with who asked for it and why; oldest first.

    With a SERVICE or NODE only what is about it. The members keep the latest 300 entries, which
    outlive restarts of daemons; after a loss of power everywhere the very last may be missing.
    """
    bare = name.removeprefix("service:")
    with connector(click.get_current_context().find_root().obj)() as daemon:
        found = daemon.history()
    chosen = [view for view in found.decisions if not bare or view.is_about(bare)]
    chosen = chosen[-last:] if last else chosen
    if as_json:
        click.echo(encode_history(replace(found, decisions=tuple(chosen))))
    elif not chosen:
        click.echo(f"nothing is kept about {bare!r}" if bare else "nothing was decided yet")
    else:
        lines = (f"{moment(view.wall_s, view.age_ms)}  {view.text()}" for view in chosen)
        click.echo("\n".join(lines))
