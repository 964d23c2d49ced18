# SPDX-License-Identifier: Apache-2.0
"""`rgmgr config`: what can be said about a cluster.toml without a daemon."""

from __future__ import annotations

from pathlib import Path

import click

from rgmgr.cli.files import DEFAULT_FILE, read_file


@click.group()
def config() -> None:
    """Look at cluster.toml."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE)
def check(file: Path) -> None:
    """Check FILE (default /etc/rgmgr/cluster.toml) and tell all its problems and warnings.

    Works on any machine: neither corosync nor rgmgrd is asked.
    """
    from rgmgr.config.advice import warnings  # noqa: PLC0415 - other verbs read no configuration

    spec = read_file(file)
    count = f"{len(spec.nodes)} nodes, {len(spec.services)} services"
    click.echo(f"{file}: no problems (cluster {spec.name!r}, version {spec.version}, {count})")
    for warning in warnings(spec):
        click.echo(f"warning: {warning}", err=True)
