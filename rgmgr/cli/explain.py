# SPDX-License-Identifier: Apache-2.0
"""`rgmgr explain`: why a service or a node is as it is, and which command would change it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from domains.model import ServiceName
from rgmgr.cli.completion import any_names
from rgmgr.cli.explanation import (
    NodeExplained,
    ServiceExplained,
    explain_node,
    explain_service,
)
from rgmgr.cli.origin import config_option, ids_of, json_option, origin, refuse, unknown
from rgmgr.cli.remedies import Remedy
from rgmgr.cli.screens import colored, fact_table

SCHEMA_VERSION = 1
"""Of the JSON; raised when a field changes its meaning or goes away."""


@click.command()
@click.argument("name", metavar="SERVICE|NODE", shell_complete=any_names)
@config_option
@json_option
def explain(name: str, config: Path | None, *, as_json: bool) -> None:
    """Tell why SERVICE or NODE is as it is.

    Of a service: where it is and why, for each other node the first reason why not, what it waits
    for, and which command would change it.
    """
    found = origin(config)
    cluster = found.present.cluster
    bare = ServiceName(name.removeprefix("service:"))
    nodes = ids_of(cluster.spec)
    explained: list[ServiceExplained | NodeExplained] = []
    if bare in cluster.services:
        explained.append(explain_service(cluster, bare))
    if name in nodes:
        explained.append(explain_node(cluster, nodes[name]))
    if not explained:
        refuse(unknown("service and no node", name, [*cluster.services, *nodes]))
    if as_json:
        fields = {"schema": SCHEMA_VERSION, "origin": found.words, "explained": explained}
        click.echo(msgspec.json.encode(fields).decode())
        return
    _print(explained)


def _print(explained: list[ServiceExplained | NodeExplained]) -> None:
    screen = Console(highlight=False)
    for number, one in enumerate(explained):
        if number:
            screen.print()
        facts = _service_facts(one) if isinstance(one, ServiceExplained) else _node_facts(one)
        screen.print(fact_table(facts))


def _service_facts(one: ServiceExplained) -> Iterator[tuple[str, Text]]:
    yield "service", Text(one.name)
    yield "state", colored(one.state)
    yield "node", Text(one.owner or "-")
    yield "why", Text(one.why)
    if one.waits_for and one.waits_for != one.why:
        yield "waits for", Text(one.waits_for)
    of_nodes = [(node, reason) for node, reason in one.against if reason != one.why]
    for number, (node, reason) in enumerate(of_nodes):
        yield "" if number else "why not on", Text(f"{node}: {reason}")
    yield from _remedy_facts(one.remedies)


def _node_facts(one: NodeExplained) -> Iterator[tuple[str, Text]]:
    yield "node", Text(one.name)
    yield "status", colored(one.status)
    if one.why != one.status:
        yield "why", Text(one.why)
    if one.proof:
        yield "proof", Text(one.proof)
    if one.waits_for:
        yield "waits for", Text(one.waits_for)
    yield "services", Text(", ".join(one.services) or "-")
    if one.waiting:
        yield "waiting for its proof", Text(", ".join(one.waiting))
    if one.would_come:
        yield "would come to it", Text(", ".join(one.would_come))
    yield from _remedy_facts(one.remedies)


def _remedy_facts(remedies: tuple[Remedy, ...]) -> Iterator[tuple[str, Text]]:
    for number, remedy in enumerate(remedies):
        where = f" (on {remedy.node})" if remedy.node else ""
        yield "" if number else "to change it", Text(f"{remedy.command}{where}: {remedy.effect}")
