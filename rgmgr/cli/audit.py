# SPDX-License-Identifier: Apache-2.0
"""`rgmgr audit`: what every single and every double failure of a configuration would cost."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgmgr.cli.exits import Exit
from rgmgr.cli.origin import config_option, json_option, live, load_or_exit
from rgmgr.core.spec import ClusterSpec
from rgmgr.present import without_secrets
from rgmgr.sim.audit import Audit, Case, count_of, summary
from rgmgr.sim.audit import audit as cases_of

SCHEMA_VERSION = 1
"""Of the JSON; raised when a field changes its meaning or goes away."""


@click.command()
@config_option
@json_option
def audit(config: Path | None, *, as_json: bool) -> None:
    """Try out every single and double failure of the configuration, the worst first.

    Nodes die, lose their mains or the network, fence devices die. Exits with 1 when one failure
    alone loses a service or leaves a node that cannot be fenced, with 0 otherwise.
    """
    spec = without_secrets(load_or_exit(config, None)) if config else live().cluster.spec
    found = _try_all(spec)
    if as_json:
        click.echo(to_json(spec, found))
    else:
        print_audit(spec, found)
    if not found.is_clean:
        click.get_current_context().exit(Exit.FAILED)


def _try_all(spec: ClusterSpec) -> Audit:
    """Try every case, with a bar on a terminal."""
    if not sys.stderr.isatty():
        return summary(spec, list(cases_of(spec)))
    with click.progressbar(
        cases_of(spec), length=count_of(spec), label="failures", file=sys.stderr
    ) as bar:
        return summary(spec, list(bar))


def to_json(spec: ClusterSpec, found: Audit) -> str:
    """Return everything as JSON."""
    fields = {
        "schema": SCHEMA_VERSION,
        "cluster": spec.name,
        "config_version": spec.version,
        "is_clean": found.is_clean,
        "is_fencing_enabled": not spec.fencing.unsafe_disabled,
        "cases": [
            {
                "failures": case.failures,
                "lost": [{"service": name, "why": why} for name, why in case.lost],
                "unfenceable": case.unfenceable,
                "is_quorum_lost": case.is_quorum_lost,
                "is_harmless": case.is_harmless,
            }
            for case in found.cases
        ],
        "shared_devices": found.shared,
    }
    return msgspec.json.encode(fields).decode()


def print_audit(spec: ClusterSpec, found: Audit, console: Console | None = None) -> None:
    """Print what costs something; harmless cases are only counted."""
    screen = console or Console(highlight=False)
    singles = [case for case in found.cases if case.is_single]
    doubles = [case for case in found.cases if not case.is_single]
    screen.print(
        Text.assemble((spec.name, "bold"), f": version {spec.version}, {len(found.cases)} failures")
    )
    if spec.fencing.unsafe_disabled:
        text = "!! fencing is disabled (fencing.unsafe_disabled): lost nodes are never proven down"
        screen.print(Text(text, "bold red"))
    _print_cases(screen, "One failure", singles)
    _print_cases(screen, "Two failures, where they cost more than each alone", doubles)
    if found.shared:
        screen.print()
        screen.print(Text("Fence devices that are shared", "bold"))
        screen.print(_sharing(found))
    screen.print()
    if found.is_clean:
        screen.print(
            Text("no single failure loses a service or leaves a node unfenceable", "green")
        )
    else:
        text = "a single failure loses a service, or leaves a node that cannot be fenced"
        screen.print(Text(text, "bold red"))


def _print_cases(screen: Console, title: str, cases: list[Case]) -> None:
    costly = [case for case in cases if not case.is_harmless]
    shown = [case for case in costly if case.is_new]
    screen.print()
    screen.print(Text(f"{title}: {len(cases)} tried, {len(costly)} of them cost something", "bold"))
    if shown:
        table = _table("FAILURE", "LOST SERVICES", "CANNOT BE FENCED")
        for case in shown:
            table.add_row(Text(" and ".join(case.failures)), _lost(case), _unfenceable(case))
        screen.print(table)


def _lost(case: Case) -> Text:
    names = ", ".join(name for name, _ in case.lost)
    if case.is_quorum_lost:
        return Text(f"no quorum: {names}" if names else "no quorum", "red")
    if not names:
        return Text("-")
    reasons = "; ".join(dict.fromkeys(why for _, why in case.lost))
    return Text.assemble((names, "bold red"), f": {reasons}")


def _unfenceable(case: Case) -> Text:
    return Text(", ".join(case.unfenceable), "red") if case.unfenceable else Text("-")


def _sharing(found: Audit) -> Table:
    table = _table("DEVICE", "NODES", "EVERY METHOD OF")
    for shared in found.shared:
        table.add_row(
            Text(shared.device),
            Text(", ".join(shared.nodes)),
            Text(", ".join(shared.same_node) or "-"),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
