# SPDX-License-Identifier: Apache-2.0
"""`rgmgr node standby|unstandby`, `disarm|arm`, `lock|unlock`: orders that last, and their ends.

heartbeat's `hb_standby` and `hb_takeover` are other names for the first two, about this node.
"""

from __future__ import annotations

import click

from rgmgr.cli.asking import SPAN, carry_out, manner, manner_options
from rgmgr.cli.client import Terms, connector
from rgmgr.cli.completion import node_names

_for = click.option(
    "--for",
    "for_ms",
    type=SPAN,
    metavar="SPAN",
    default=0,
    help="End it by itself after this time, such as '30min' or '2h'.",
)
_return = click.option(
    "--return",
    "brings_back",
    is_flag=True,
    help="At its end bring back what it moved away, even with nofailback.",
)
_node = click.argument("node", shell_complete=node_names)


@click.group()
def node() -> None:
    """Take a node out of service, or put it to use again."""


@node.command()
@_node
@_for
@_return
@manner_options
def standby(
    node: str,
    for_ms: int,
    timeout: float | None,
    because: str,
    *,
    brings_back: bool,
    no_wait: bool,
) -> None:
    """Move all services off NODE and give it none, until it is ended.

    NODE stays a member: it votes, and fences others. What no other node may run stops. The order
    outlives a reboot of NODE and a full outage.
    """
    terms = Terms(for_ms=for_ms, brings_back=brings_back, because=because)
    _order("standby", node, terms, timeout, no_wait=no_wait)


@node.command()
@_node
@_return
@manner_options
def unstandby(
    node: str, timeout: float | None, because: str, *, brings_back: bool, no_wait: bool
) -> None:
    """Let NODE have services again; failover domains decide which, as when a node joins."""
    terms = Terms(brings_back=brings_back, because=because)
    _order("unstandby", node, terms, timeout, no_wait=no_wait)


@click.command()
@click.option(
    "--for",
    "for_ms",
    type=SPAN,
    metavar="SPAN",
    required=True,
    help="It arms itself again after this time, such as '30min'; at most 7 days.",
)
@manner_options
def disarm(for_ms: int, timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Have the cluster leave everything alone for a time.

    No service is started, moved, restarted or stopped, requests about services are refused, nobody
    is fenced but by `rgmgr fence`, and a node that loses quorum keeps what it runs.
    """
    _order("disarm", "", Terms(for_ms=for_ms, because=because), timeout, no_wait=no_wait)


@click.command()
@manner_options
def arm(timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Have the cluster act by itself again, and make up for what it has left undone."""
    _order("arm", "", Terms(because=because), timeout, no_wait=no_wait)


@click.command()
@manner_options
def lock(timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Start no service until `rgmgr unlock`; stops, and the fencing of lost nodes, go on.

    Meant for the shutdown of the whole cluster: it ends when all nodes were booted since.
    """
    _order("lock", "", Terms(because=because), timeout, no_wait=no_wait)


@click.command()
@manner_options
def unlock(timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Let services start again; those that wait start at once."""
    _order("unlock", "", Terms(because=because), timeout, no_wait=no_wait)


def _order(order: str, name: str, terms: Terms, timeout: float | None, *, no_wait: bool) -> None:
    how = manner(timeout, terms.because, no_wait=no_wait)
    what = {"standby": f"put {name} in standby", "unstandby": f"end the standby of {name}"}
    carry_out(
        what.get(order, order),
        how,
        lambda daemon: daemon.order(order, name, terms, how.seconds),
        name,
    )


def _own_node() -> str:
    with connector(click.get_current_context().find_root().obj)() as daemon:
        return daemon.status().node or ""


@click.command()
@click.argument("kind", type=click.Choice(["all"]), default="all")
@manner_options
def classic_standby(kind: str, timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Move all services off this node, as heartbeat's command did.

    The same as `rgmgr node standby` of this node. KIND can only be 'all': services have no home.
    """
    del kind
    _order("standby", _own_node(), Terms(because=because), timeout, no_wait=no_wait)


@click.command()
@click.argument("kind", type=click.Choice(["all"]), default="all")
@manner_options
def classic_takeover(kind: str, timeout: float | None, because: str, *, no_wait: bool) -> None:
    """Let this node have services again, and bring back what its standby moved away.

    The same as `rgmgr node unstandby --return` of this node. KIND can only be 'all'.
    """
    del kind
    terms = Terms(brings_back=True, because=because)
    _order("unstandby", _own_node(), terms, timeout, no_wait=no_wait)


def main_standby() -> None:
    """Run `hb_standby`."""
    run_classic(classic_standby, "hb_standby")


def main_takeover() -> None:
    """Run `hb_takeover`."""
    run_classic(classic_takeover, "hb_takeover")


def run_classic(command: click.Command, name: str) -> None:
    """Run a command of its own under another name."""
    from rgmgr.cli.main import run_alone  # noqa: PLC0415 - main loads us

    run_alone(command, name)
