# SPDX-License-Identifier: Apache-2.0
"""`rgmgr config`: what can be said about a cluster.toml without a daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rgmgr.cli.files import DEFAULT_FILE, read_file, refuse
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError


@click.group()
def config() -> None:
    """Look at cluster.toml."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_FILE)
def check(file: Path) -> None:
    """Check FILE (default /etc/rgmgr/cluster.toml) and tell all its problems and warnings.

    Works on any machine: neither corosync nor rgmgrd is asked. The options of fence devices are
    checked against what their agents take, as far as these are installed on this machine.
    """
    from rgmgr.config.advice import warnings  # noqa: PLC0415 - other verbs read no configuration

    spec = read_file(file)
    try:
        doubts = _ask_agents(spec, file)
    except ConfigError as error:
        refuse(error)
    count = f"{len(spec.nodes)} nodes, {len(spec.services)} services"
    click.echo(f"{file}: no problems (cluster {spec.name!r}, version {spec.version}, {count})")
    for warning in (*warnings(spec), *doubts):
        click.echo(f"warning: {warning}", err=True)


def _ask_agents(spec: ClusterSpec, file: Path) -> list[str]:
    """Return what agents could not tell; raise `ConfigError` for what they would not take."""
    from rgmgr.adapters.fencing.devices import AGENT_PATHS  # noqa: PLC0415 - as above
    from rgmgr.adapters.fencing.discovery import check_devices  # noqa: PLC0415 - as above

    check = asyncio.run(check_devices(spec, AGENT_PATHS))
    if check.problems:
        raise ConfigError(check.problems, str(file))
    return check.warnings
