# SPDX-License-Identifier: Apache-2.0
"""A forecast for people: numbered steps, where everything ends up, how long services are out.

And the same as JSON. Colour only where a terminal shows it; what is bad is in capitals.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgmgr.sim.forecast import Fate, Forecast, Place
from rgmgr.sim.plan import Step

SCHEMA_VERSION = 1
"""Of the JSON; raised when a field changes its meaning or goes away."""


def to_json(question: str, origin: str, found: Forecast, notes: Sequence[str]) -> str:
    """Return the forecast as JSON."""
    fields = {
        "schema": SCHEMA_VERSION,
        "question": question,
        "origin": origin,
        "steps": found.steps,
        "services": found.fates,
        "nodes": [
            {"name": name, "before": before, "after": after} for name, before, after in found.nodes
        ],
        "is_at_rest": found.is_at_rest,
        "assumptions": list(notes),
    }
    return msgspec.json.encode(fields).decode()


def print_forecast(
    question: str,
    origin: str,
    found: Forecast,
    notes: Sequence[str],
    console: Console | None = None,
) -> None:
    """Print everything."""
    screen = console or Console(highlight=False)
    screen.print(Text.assemble(("What happens when ", ""), (question, "bold")))
    screen.print(Text(origin, "dim"))
    screen.print()
    screen.print(_plan(found.steps))
    screen.print()
    screen.print(Text("Where everything ends up", "bold"))
    screen.print(_places(found.fates))
    for name, before, after in found.nodes:
        if before != after:
            screen.print(Text(f"{name}: {before} -> {after}"))
    screen.print()
    screen.print(Text("How long services are out", "bold"))
    screen.print(_outages(found.fates))
    for number, note in enumerate(notes):
        if not number:
            screen.print()
        screen.print(_pair("assumed:", Text(note)))


def seconds(milliseconds: int) -> str:
    """Return a time as seconds with one decimal."""
    return f"{milliseconds / 1000:.1f} s"


def _plan(steps: tuple[Step, ...]) -> Table | Text:
    if not steps:
        return Text("Nothing happens.")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, step in enumerate(steps, start=1):
        text = step.text
        if step.is_done and step.until_ms > step.at_ms:
            text += f", {'up' if step.kind == 'start' else 'down'} at {seconds(step.until_ms)}"
        grid.add_row(f"{number}.", seconds(step.at_ms), Text(text))
    return grid


def _places(fates: tuple[Fate, ...]) -> Table:
    table = _table("SERVICE", "BEFORE", "AFTER", "WHY")
    for fate in fates:
        after = _place(fate.after)
        if fate.verdict in ("lost", "waits"):
            after.stylize("bold red")
        table.add_row(Text(fate.service), _place(fate.before), after, Text(fate.after.why))
    return table


def _place(place: Place) -> Text:
    if place.state == "started":
        return Text(place.owner or "-")
    return Text(f"{place.state} ({place.owner})" if place.owner else place.state)


def _outages(fates: tuple[Fate, ...]) -> Table:
    table = _table("SERVICE", "OUT FOR")
    for fate in fates:
        table.add_row(Text(fate.service), _outage(fate))
    return table


def _outage(fate: Fate) -> Text:
    if fate.verdict == "lost":
        return Text("LOST: it stays down", "bold red")
    if fate.verdict == "waits":
        return Text("until its node is back, or a human decides", "bold yellow")
    if fate.verdict == "interrupted":
        return Text(seconds(fate.outage_ms or 0), "yellow")
    if fate.verdict == "unaffected":
        return Text("unaffected", "green")
    if fate.verdict == "started":
        return Text(f"starts, up after {seconds(fate.outage_ms or 0)}")
    words = {"down": "did not run before either", "removed": "no longer configured"}
    return Text(words[fate.verdict])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _pair(head: str, text: Text) -> Table:
    line = Table.grid(padding=(0, 1))
    line.add_column(no_wrap=True, style="dim")
    line.add_column(overflow="fold")
    line.add_row(head, text)
    return line
