# SPDX-License-Identifier: Apache-2.0
"""`rgmgr doctor`: is this node fit to fail over, and if not, what is to be done?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rgmgr.cli.client import connector
from rgmgr.cli.doctor_checks import Check, Verdict, check_all, worst
from rgmgr.cli.exits import Exit

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes away; a new field does not raise it."""

_STYLES = {
    Verdict.OK: "green",
    Verdict.UNKNOWN: "yellow",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default="/",
    metavar="DIRECTORY",
    help="Look for files below DIRECTORY.  [default: /]",
)
def doctor(root: Path, *, as_json: bool) -> None:
    """Check this node: installation, corosync, configuration, fencing, units.

    Run it as root, on every node. It changes nothing and works without rgmgrd and corosync as
    well. A check fails when a service might run twice or not fail over. Exit code 1 when one
    fails, else 0, also with warnings.
    """
    from rgmgr.cli.doctor_facts import Places, gather  # noqa: PLC0415 - other verbs need it not

    context = click.get_current_context()
    facts = gather(Places(root), connector(context.obj))
    checks = check_all(facts)
    if as_json:
        click.echo(json.dumps(_as_json(facts.hostname, checks), indent=2))
    else:
        from rich.console import Console  # noqa: PLC0415 - JSON needs no rich

        _print(checks, Console(highlight=False))
    context.exit(Exit.FAILED if worst(checks) is Verdict.FAIL else Exit.DONE)


def _as_json(hostname: str, checks: tuple[Check, ...]) -> dict[str, object]:
    return {
        "schema": SCHEMA_VERSION,
        "host": hostname,
        "verdict": worst(checks).value,
        "checks": [
            {
                "group": check.group,
                "name": check.name,
                "verdict": check.verdict.value,
                "found": check.found,
                "advice": check.advice,
            }
            for check in checks
        ],
    }


def _print(checks: Sequence[Check], screen: Console) -> None:
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    for group in dict.fromkeys(check.group for check in checks):
        screen.print(Text(group, "bold"))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_column(overflow="fold")
        for check in (check for check in checks if check.group == group):
            shout = check.verdict in (Verdict.WARN, Verdict.FAIL)
            word = check.verdict.value.upper() if shout else check.verdict.value
            found = f"{check.found}\n-> {check.advice}" if check.advice else check.found
            grid.add_row(Text(f"  {word:7}", _STYLES[check.verdict]), Text(check.name), Text(found))
        screen.print(grid)
    counts = {verdict: sum(check.verdict is verdict for check in checks) for verdict in Verdict}
    screen.print(
        ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)
    )
