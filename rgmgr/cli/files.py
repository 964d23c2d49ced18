# SPDX-License-Identifier: Apache-2.0
"""Reading a cluster.toml for a command that needs no daemon."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from rgmgr.cli.exits import Exit
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError

DEFAULT_FILE = Path("/etc/rgmgr/cluster.toml")


def read_file(file: Path) -> ClusterSpec:
    """Return the configuration; one with problems ends the command, all of them told."""
    from rgmgr.config.load import load  # noqa: PLC0415 - other verbs read no configuration

    try:
        return load(file, node_ids=None)
    except ConfigError as error:
        refuse(error)
    except OSError as error:
        click.echo(f"rgmgr: cannot read {str(file)!r}: {error.strerror}", err=True)
    return click.get_current_context().exit(Exit.CONFIG)


def refuse(error: ConfigError) -> NoReturn:
    """Tell all problems of a configuration, and end the command."""
    click.echo(str(error), err=True)
    click.get_current_context().exit(Exit.CONFIG)
