# SPDX-License-Identifier: Apache-2.0
"""``rgmgr lab``: the lab on the command line.

Owns the words and the output; what is done is in :mod:`rgmgr.lab.lab`. A verb with a story of its
own lives in its own module and is named in ``_VERBS_ELSEWHERE``.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab, NodeStatus

DEFAULT_DIRECTORY = "/var/lib/rgmgr-lab"
STATUS_SCHEMA = 1

# Loaded when they are asked for; left out where the module is not installed.
_VERBS_ELSEWHERE = {"demo": "rgmgr.lab.demo:demo", "play": "rgmgr.lab.play:play"}


class LabGroup(click.Group):
    """Turns what the lab cannot do into one line, and finds verbs that live elsewhere."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return our verbs and those elsewhere that are installed."""
        elsewhere = [
            verb
            for verb, where in _VERBS_ELSEWHERE.items()
            if importlib.util.find_spec(where.partition(":")[0])
        ]
        return sorted([*super().list_commands(ctx), *elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a verb, loading its module where it lives elsewhere."""
        if cmd_name not in _VERBS_ELSEWHERE or cmd_name not in self.list_commands(ctx):
            return super().get_command(ctx, cmd_name)
        module, _, name = _VERBS_ELSEWHERE[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), name)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; what the lab refuses is said in one line, with exit code 1."""
        try:
            return super().invoke(ctx)
        except LabError as error:
            raise click.ClickException(str(error)) from error


WALK = """\b
A first walk:
  rgmgr lab up                         three nodes, a web server on 10.78.0.100
  rgmgr lab run node1 rgmgr status     what the cluster thinks
  rgmgr lab kill node1                 pull the plug; watch node2 take over
  rgmgr lab boot node1                 and back
  rgmgr lab cut node2                  unplug a network cable; `heal` mends it
  rgmgr lab down                       gone, all of it
"""

RUN_EXAMPLES = """\b
  rgmgr lab run node1 systemctl status corosync
  rgmgr lab run node2 sh -c 'ip addr; cat /etc/rgmgr/cluster.toml'
"""


@click.group(cls=LabGroup, epilog=WALK, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="RGMGR_LAB_DIR",
    default=DEFAULT_DIRECTORY,
    show_default=True,
    show_envvar=True,
    help="Where the lab keeps everything it makes.",
)
@click.pass_context
def lab(ctx: click.Context, directory: Path) -> None:
    """Boot a real cluster on this machine, break it, and watch.

    Each node is a container with its own systemd, D-Bus, corosync and network address, and a BMC
    that answers IPMI and has its power button. Needs root and some Debian packages; what is
    missing is said. Nothing outside the lab's directory and the network namespaces and control
    groups named rglab* is touched.
    """
    ctx.obj = Lab(directory)


@lab.command()
@click.option("-n", "--nodes", default=3, show_default=True, help="How many nodes (1 to 32).")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False),
    help="cluster.toml for all nodes; without it a web server that IPMI fences.",
)
@click.pass_obj
def up(this: Lab, nodes: int, config: str | None) -> None:
    """Boot the nodes and wait until corosync is quorate on all.

    The first time this builds the nodes' root tree, a minute or two; later runs take seconds.
    What an earlier run left is removed first.
    """
    this.up(nodes, config)


@lab.command()
@click.pass_obj
def down(this: Lab) -> None:
    """Remove nodes, BMCs, network and everything written; the root tree is kept.

    Works after a crash as well, and does nothing if there is nothing.
    """
    this.down()


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; the schema has a version.")
@click.pass_obj
def status(this: Lab, *, as_json: bool) -> None:
    """Show power, cables, BMCs and corosync's view of each node."""
    shown = this.status()
    members = {node.name: _members(this, node) for node in shown}
    if as_json:
        click.echo(json.dumps(_as_json(this, shown, members), indent=2))
        return
    if not shown:
        click.echo(f"no lab runs in {this.layout.directory}; start one with `rgmgr lab up`")
        return
    rows: list[tuple[str, ...]] = [("NODE", "POWER", "ADDRESS", "BMC", "CABLE", "QUORATE WITH")]
    rows += [_row(node, members[node.name]) for node in shown]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _members(this: Lab, node: NodeStatus) -> tuple[str, ...]:
    """Return who is in a node's quorate partition; nobody for a node that cannot be asked."""
    return this.members(node.name) if node.power == "on" and not node.is_paused else ()


def _row(node: NodeStatus, members: Sequence[str]) -> tuple[str, ...]:
    cable = "cut" if node.is_cut else ", ".join(f"not to {name}" for name in node.unreachable)
    fault = f" ({node.bmc_fault.value})" if node.bmc_fault else ""
    return (
        node.name,
        "paused" if node.is_paused else node.power,
        node.address,
        f"{node.bmc_address}{fault}",
        cable or "ok",
        " ".join(members) or "-",
    )


def _as_json(
    this: Lab, shown: Sequence[NodeStatus], members: dict[str, tuple[str, ...]]
) -> dict[str, object]:
    nodes = [
        {
            **asdict(node),
            "bmc_fault": node.bmc_fault.value if node.bmc_fault else None,
            "quorate_with": members[node.name],
        }
        for node in shown
    ]
    return {"schema": STATUS_SCHEMA, "directory": str(this.layout.directory), "nodes": nodes}


@lab.command(
    epilog=RUN_EXAMPLES,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("node")
@click.argument("argv", metavar="CMD...", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def run(this: Lab, node: str, argv: tuple[str, ...]) -> None:
    """Run a program inside NODE as root; its exit code is ours."""
    sys.exit(subprocess.run(this.enter(node, argv), check=False).returncode)


@lab.command()
@click.argument("node")
@click.pass_obj
def shell(this: Lab, node: str) -> None:
    """Open a shell inside NODE."""
    argv = this.enter(node, ["env", f"TERM={os.environ.get('TERM', 'dumb')}", "bash", "-l"])
    os.execvp(argv[0], argv)  # noqa: S606  # the shell takes our place


@lab.command()
@click.argument("node")
@click.option("-u", "--unit", help="Only this unit, such as rgmgrd.service.")
@click.pass_obj
def journal(this: Lab, node: str, unit: str | None) -> None:
    """Show NODE's journal, also when it has no power."""
    click.echo(this.journal(node, unit), nl=False)


@lab.command()
@click.argument("node")
@click.pass_obj
def kill(this: Lab, node: str) -> None:
    """Cut NODE's power: all of it is dead at once, nothing is said goodbye to."""
    this.kill(node)


@lab.command()
@click.argument("node")
@click.pass_obj
def boot(this: Lab, node: str) -> None:
    """Switch NODE on and wait until it has booted."""
    this.boot(node)


@lab.command()
@click.argument("node", metavar="A")
@click.argument("other", metavar="[B]", required=False)
@click.pass_obj
def cut(this: Lab, node: str, other: str | None) -> None:
    """Unplug A from the network, or let only A and B not reach each other."""
    this.cut(node, other)


@lab.command()
@click.pass_obj
def heal(this: Lab) -> None:
    """Mend every cable that was cut."""
    this.heal()


@lab.command()
@click.argument("node")
@click.pass_obj
def pause(this: Lab, node: str) -> None:
    """Stop everything in NODE at once, as a hypervisor does; time goes on."""
    this.pause(node)


@lab.command()
@click.argument("node")
@click.pass_obj
def resume(this: Lab, node: str) -> None:
    """Let a paused NODE go on."""
    this.resume(node)


@lab.command("bmc")
@click.argument("node")
@click.argument("fault", type=click.Choice(["stuck", "dead", "ok"]))
@click.pass_obj
def bmc_fault(this: Lab, node: str, fault: str) -> None:
    """Break NODE's BMC, or mend it (ok).

    stuck: says yes to "off" and does nothing. dead: answers nothing.
    """
    this.bmc_fault(node, None if fault == "ok" else fault)
