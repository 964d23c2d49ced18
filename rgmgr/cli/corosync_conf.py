# SPDX-License-Identifier: Apache-2.0
"""`rgmgr corosync-conf`: write a corosync.conf, and the key that goes with it.

Asks neither daemon nor corosync, and touches no file but those it is told to make.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from rgmgr.cli.exits import Exit
from rgmgr.errors import ConfigError

KEY_BYTES = 256
KEY_MODE = 0o400
CONF_MODE = 0o644

EPILOG = """\b
Three nodes with two links each, on this node and then on the others:
  rgmgr corosync-conf --nodes node1=10.0.0.1,10.1.0.1 \\
      node2=10.0.0.2,10.1.0.2 node3=10.0.0.3,10.1.0.3 \\
      --cluster prod --output /etc/corosync/corosync.conf \\
      --key /etc/corosync/authkey
"""

NEXT = """\
next:
  1. put this very file on every node as /etc/corosync/corosync.conf
  2. put one key on every node as /etc/corosync/authkey, owner root, mode 0400
     (--key FILE or corosync-keygen makes it; whoever has it can join the cluster)
  3. on a cluster that runs, 'systemctl stop rgmgrd' on every node
  4. 'systemctl restart corosync', then 'systemctl start rgmgrd' on every node
  5. 'rgmgr status --links' shows what came of it"""


NEXT_QNETD = """\
and for the arbiter, as corosync-qdevice-net-certutil(8) says:
  a. 'apt-get install corosync-qnetd' on {host}, corosync-qdevice on every node
  b. on one node: 'corosync-qdevice-net-certutil -Q -n CLUSTER {host} NODES...'
  c. 'systemctl enable --now corosync-qdevice' on every node, after corosync"""


class _TakenError(Exception):
    """A file is there already; its text says which."""


@click.command("corosync-conf", epilog=EPILOG)
@click.argument("nodes", nargs=-1, metavar="NAME[:ID]=ADDRESS[,ADDRESS]...")
@click.option(
    "--nodes",
    "_is_introduced",
    is_flag=True,
    help="Nodes follow. May be left out or repeated; nodes without an id are numbered in order.",
)
@click.option(
    "--fast",
    "profile",
    flag_value="fast",
    default="fast",
    help="A dead node is seen in about 2 s (the default).",
)
@click.option(
    "--safe",
    "profile",
    flag_value="safe",
    help="In about 5 s: where networks or virtual machines may pause for a second.",
)
@click.option("--cluster", metavar="NAME", help="The cluster's name.  [default: rgmgr]")
@click.option(
    "--port",
    type=int,
    metavar="N",
    help="UDP port of the first link; the second link has N + 2.  [default: 5405]",
)
@click.option(
    "--qnetd",
    metavar="HOST",
    default="",
    help="Arbiter of ties, a machine outside of the cluster that runs corosync-qnetd.",
)
@click.option(
    "--tie-breaker",
    "breaks_ties",
    is_flag=True,
    help="Of two halves of an even cluster the one with the lowest node id goes on.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to FILE instead of the standard output.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also make a new key, mode 0400.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def corosync_conf(
    *,
    nodes: tuple[str, ...],
    profile: str,
    cluster: str | None,
    port: int | None,
    qnetd: str,
    breaks_ties: bool,
    output: Path | None,
    key: Path | None,
    force: bool,
    _is_introduced: bool,
) -> None:
    """Write a corosync.conf(5) for these nodes, the same for all of them.

    It finds dead nodes in a known time whatever the number of nodes (1 to 16), encrypts and
    authenticates, uses both links at once when every node has two addresses, and keeps two nodes
    from starting apart.
    """
    from rgmgr.config import corosync_conf as conf  # noqa: PLC0415 - other verbs need it not

    context = click.get_current_context()
    try:
        plan = conf.read_plan(
            nodes,
            cluster=conf.CLUSTER_DEFAULT if cluster is None else cluster,
            profile=conf.Profile(profile),
            port=conf.PORT_DEFAULT if port is None else port,
            qnetd=qnetd,
            breaks_ties=breaks_ties,
        )
    except ConfigError as error:
        click.echo(f"rgmgr: {error}", err=True)
        context.exit(Exit.USAGE)
    text = conf.render(plan)
    files = [(key, os.urandom(KEY_BYTES), KEY_MODE), (output, text.encode(), CONF_MODE)]
    try:
        _write_all([(path, content, mode) for path, content, mode in files if path], force=force)
    except _TakenError as error:
        click.echo(f"rgmgr: {error}; nothing was written, --force replaces it", err=True)
        context.exit(Exit.REFUSED)
    except OSError as error:
        click.echo(f"rgmgr: cannot write {error.filename}: {error.strerror}", err=True)
        context.exit(Exit.FAILED)
    if output is None:
        click.echo(text, nl=False)
    click.echo(NEXT, err=True)
    if qnetd:
        click.echo(NEXT_QNETD.format(host=qnetd), err=True)


def _write_all(files: list[tuple[Path, bytes, int]], *, force: bool) -> None:
    """Write all files or, when one of them is there and must not be replaced, none."""
    if not force:
        for path, _, _ in files:
            if os.path.lexists(path):
                raise _TakenError(f"{path} is there already")
    for path, content, mode in files:
        _write(path, content, mode, force=force)


def _write(path: Path, content: bytes, mode: int, *, force: bool) -> None:
    """Make a file whole or not at all; never readable by more than `mode` says."""
    try:
        descriptor, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        error.filename = str(path)  # not the temporary name, which says nothing to anybody
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if force:
            Path(fresh).replace(path)
        else:
            path.hardlink_to(fresh)  # fails where another one was quicker
    except FileExistsError as error:
        raise _TakenError(f"{path} is there already") from error
    finally:
        Path(fresh).unlink(missing_ok=True)
