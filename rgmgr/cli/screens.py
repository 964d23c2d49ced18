# SPDX-License-Identifier: Apache-2.0
"""The screens of `rgmgr status` on a console of rich: the overview, and facts line by line.

Colour only where a terminal shows it, and never as the only carrier of a fact: what is bad is in
capitals. Nothing is cut off; long text wraps.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgmgr.cli.overview import node_status, notices_of, overview, proof_text, shown
from rgmgr.cli.times import duration
from rgmgr.fence_view import PathView
from rgmgr.view import NodeView, ServiceView, Status


def print_overview(status: Status, console: Console | None = None) -> None:
    """Print the whole cluster: what is wrong first, then nodes, then services."""
    screen = console or Console(highlight=False)
    screen.print(Text.assemble(*overview(status, screen.width)), end="", soft_wrap=True)


def print_details(status: Status, console: Console | None = None) -> None:
    """Print everything about the services and nodes of a snapshot, one fact per line."""
    screen = console or Console(highlight=False)
    print_alerts(notices_of(status), screen)
    blocks = [_service_facts(service) for service in status.services]
    blocks += [_node_facts(node) for node in status.nodes]
    for number, facts in enumerate(blocks):
        if number:
            screen.print()
        screen.print(fact_table(facts))


def print_alerts(texts: Iterable[str], screen: Console) -> None:
    """Print what must not be overlooked."""
    for text in texts:
        line = Table.grid(padding=(0, 1))
        line.add_row(Text("!!", "bold red"), Text(text, "bold"))
        screen.print(line)


def listing(*columns: str) -> Table:
    """Return an empty table without lines."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _service_facts(service: ServiceView) -> list[tuple[str, Text]]:
    facts = [
        ("service", Text(service.name, "bold")),
        ("state", colored(service.state)),
        ("owner", Text(service.owner or "-")),
        ("last owner", Text(service.last_owner or "-")),
        ("for", Text(duration(service.age_ms))),
        ("restarts", Text(str(service.restarts))),
        ("domain", Text(service.domain or "-")),
    ]
    if service.flags:
        facts.append(("flags", Text(", ".join(service.flags))))
    if service.off:
        facts.append(("runs without", Text(", ".join(service.off))))
    if service.because:
        facts.append(("because", Text(service.because)))
    if service.fault:
        facts.append(("last fault", Text(service.fault)))
    return facts


def _node_facts(node: NodeView) -> list[tuple[str, Text]]:
    facts = [
        ("node", Text(node.name, "bold")),
        ("id", Text(str(node.id))),
        ("status", Text.assemble(*node_status(node))),
        ("services", Text(str(node.services))),
    ]
    if node.proof:
        facts.append(("last fence", Text(proof_text(node.proof))))
        facts.append(("guarantee", Text(node.proof.guarantee)))
    facts.extend(("fence path", path_line(path)) for path in node.paths)
    return facts


def path_line(path: PathView) -> Text:
    """Return one fence path with the age of its latest test."""
    words = Text(f"method {path.method}, {path.device} from {path.by}: ")
    words.append_text(colored(path.state))
    detail = f", {path.detail}" if path.detail else ""
    return words.append(f", tested {duration(path.age_ms)} ago{detail}")


def fact_table(facts: Iterable[tuple[str, Text]]) -> Table:
    """Return one fact per line: its name, and what it is."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(name, value)
    return grid


def colored(word: str) -> Text:
    """Return a state or a status as it is shown everywhere."""
    return Text(*shown(word))
