# SPDX-License-Identifier: Apache-2.0
"""The picture of `rgmgr tree`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from domains.model import ServiceName
from rgmgr.config.durations import written_duration
from rgmgr.config.inherit import taken
from rgmgr.config.rates import written_rate
from rgmgr.core.spec import Independence, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import sorted_to_start, start_order, stop_order

Sharers = dict[ResourceName, tuple[ServiceName, ...]]


def print_tree(
    service: ServiceSpec, sharers: Sharers | None = None, console: Console | None = None
) -> None:
    """Print the tree as it starts, from top to bottom, and both orders in one line each.

    `sharers`: which other services use its shared resources.
    """
    screen = console or Console(highlight=False)
    picture = Tree(Text(service.name, "bold"))
    _add(picture, service.resources, (), sharers or {})
    screen.print(picture)
    screen.print()
    screen.print(_line("starts:", start_order(service)))
    screen.print(_line("stops: ", stop_order(service)))


def _add(
    picture: Tree,
    children: Sequence[ResourceSpec],
    above: tuple[ResourceSpec, ...],
    sharers: Sharers,
) -> None:
    for child in sorted_to_start(children):
        place = picture.add(_label(child, above, sharers))
        _add(place, child.children, (*above, child), sharers)


def _label(resource: ResourceSpec, above: tuple[ResourceSpec, ...], sharers: Sharers) -> Text:
    label = Text.assemble(f"{resource.type} ", (resource.name, "bold"))
    marks = [_levels(resource), _independence(resource), _tolerance(resource)]
    marks += [_sharing(sharers.get(resource.name, ()))] if resource.is_shared else []
    marks += [f"{name} {value} from above" for name, value in taken(resource, above).items()]
    for mark in filter(None, marks):
        label.append(f"  ({mark})", "dim")
    return label


def _sharing(others: Sequence[str]) -> str:
    return f"shared with {', '.join(others)}" if others else "shared"


def _levels(resource: ResourceSpec) -> str:
    if resource.start_level is None and resource.stop_level is None:
        return ""
    return f"level {_level(resource.start_level)} up, {_level(resource.stop_level)} down"


def _independence(resource: ResourceSpec) -> str:
    if resource.independent is None:
        return ""
    limit = f"{resource.max_restarts} restarts" if resource.max_restarts else ""
    if limit and resource.restart_expire_ms:
        limit += f" in {written_duration(resource.restart_expire_ms)}"
    word = "independent" if resource.independent is Independence.RESTART else "non-critical"
    return f"{word}, {limit}" if limit else word


def _tolerance(resource: ResourceSpec) -> str:
    rate = written_rate(resource.tolerated, resource.tolerance_ms)
    return f"tolerates {rate}" if rate else ""


def _level(level: int | None) -> str:
    return "none" if level is None else str(level)


def _line(head: str, order: Sequence[ResourceSpec]) -> Text:
    return Text(f"{head} {', '.join(resource.name for resource in order)}")
