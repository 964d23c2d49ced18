# SPDX-License-Identifier: Apache-2.0
"""`rgmgr`: the command with all verbs.

Owns the list of verbs and the exit codes of errors. A verb's module is loaded when the verb is
used, so that `rgmgr status` does not pay for the simulator or the lab.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import rgmgr
from rgmgr.cli.client import DaemonError

_VERBS = {
    "arm": "rgmgr.cli.orders:arm",
    "audit": "rgmgr.cli.audit:audit",
    "completion": "rgmgr.cli.completion:completion",
    "config": "rgmgr.cli.config:config",
    "convalesce": "rgmgr.cli.services:convalesce",
    "corosync-conf": "rgmgr.cli.corosync_conf:corosync_conf",
    "disable": "rgmgr.cli.services:disable",
    "disarm": "rgmgr.cli.orders:disarm",
    "doctor": "rgmgr.cli.doctor:doctor",
    "enable": "rgmgr.cli.services:enable",
    "explain": "rgmgr.cli.explain:explain",
    "fence": "rgmgr.cli.fence:fence",
    "freeze": "rgmgr.cli.services:freeze",
    "history": "rgmgr.cli.history:history",
    "incident": "rgmgr.cli.incident:incident",
    "is": "rgmgr.cli.conditions:is_so",
    "lab": "rgmgr.lab.cli:lab",
    "lock": "rgmgr.cli.orders:lock",
    "migrate": "rgmgr.cli.services:migrate",
    "node": "rgmgr.cli.orders:node",
    "relocate": "rgmgr.cli.services:relocate",
    "resource": "rgmgr.cli.resource:resource",
    "restart": "rgmgr.cli.services:restart",
    "retry": "rgmgr.cli.services:retry",
    "sim": "rgmgr.cli.sim:sim",
    "status": "rgmgr.cli.status:status",
    "stop": "rgmgr.cli.services:stop",
    "takeover": "rgmgr.cli.services:takeover",
    "tree": "rgmgr.cli.tree:tree",
    "unfreeze": "rgmgr.cli.services:unfreeze",
    "unlock": "rgmgr.cli.orders:unlock",
    "wait": "rgmgr.cli.conditions:wait",
    "what-if": "rgmgr.cli.whatif:what_if",
}


class Verbs(click.Group):
    """A group that imports a verb when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's interface
        """Return all verbs, whether loaded or not."""
        return sorted(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Load one verb; None when there is none, or its part is not installed."""
        module_name, _, attribute = _VERBS.get(cmd_name, "").partition(":")
        if not module_name:
            return None
        try:
            command = getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            if error.name and module_name.startswith(error.name):
                return None
            raise
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; what the daemon refuses or cannot do becomes one line and an exit code."""
        try:
            return super().invoke(ctx)
        except DaemonError as error:
            click.echo(f"rgmgr: {error}", err=True)
            ctx.exit(error.fault.exit_code)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rgmgr.__version__, prog_name="rgmgr")
def cli() -> None:
    """Manage the failover services of this cluster.

    Commands work on any member and return when the thing is done. Exit codes: 0 done, 1 failed,
    2 wrong usage, 3 refused, 4 no answer in time, 5 daemon not reachable, 78 configuration error.
    """


def run_alone(command: click.Command, name: str) -> None:
    """Run one verb as a command of its own."""
    try:
        command(prog_name=name)
    except DaemonError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(error.fault.exit_code)


def main() -> None:
    """Run the command; the entry point of the package."""
    cli(prog_name="rgmgr")
