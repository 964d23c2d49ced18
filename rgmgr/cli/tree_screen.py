# SPDX-License-Identifier: Apache-2.0
"""The picture of `rgmgr tree`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from rgmgr.core.spec import ResourceSpec, ServiceSpec
from rgmgr.core.tree import sorted_to_start, start_order, stop_order


def print_tree(service: ServiceSpec, console: Console | None = None) -> None:
    """Print the tree as it starts, from top to bottom, and both orders in one line each."""
    screen = console or Console(highlight=False)
    picture = Tree(Text(service.name, "bold"))
    _add(picture, service.resources)
    screen.print(picture)
    screen.print()
    screen.print(_line("starts:", start_order(service)))
    screen.print(_line("stops: ", stop_order(service)))


def _add(picture: Tree, children: Sequence[ResourceSpec]) -> None:
    for child in sorted_to_start(children):
        _add(picture.add(_label(child)), child.children)


def _label(resource: ResourceSpec) -> Text:
    levels = f"  (level {_level(resource.start_level)} up, {_level(resource.stop_level)} down)"
    has_levels = resource.start_level is not None or resource.stop_level is not None
    return Text.assemble(
        f"{resource.type} ", (resource.name, "bold"), (levels if has_levels else "", "dim")
    )


def _level(level: int | None) -> str:
    return "none" if level is None else str(level)


def _line(head: str, order: Sequence[ResourceSpec]) -> Text:
    return Text(f"{head} {', '.join(resource.name for resource in order)}")
