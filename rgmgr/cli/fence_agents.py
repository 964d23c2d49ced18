# SPDX-License-Identifier: Apache-2.0
"""`rgmgr fence agents` and `rgmgr fence describe`: which agents there are, and what they take.

Needs no daemon: agents are those of this machine.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

import click
import msgspec

from rgmgr.adapters.fencing.agent import find_agent
from rgmgr.adapters.fencing.devices import AGENT_PATHS
from rgmgr.adapters.fencing.discovery import FoundAgent, installed_agents, read_metadata
from rgmgr.adapters.fencing.metadata import AgentMetadata, AgentOption, MetadataError
from rgmgr.adapters.fencing.options import StepError
from rgmgr.cli.exits import Exit

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")


@click.command()
@_as_json
def agents(*, as_json: bool) -> None:
    """List the fence agents of this machine."""
    found = asyncio.run(installed_agents(AGENT_PATHS))
    if as_json:
        listed = [{"name": a.name, "path": str(a.path), **_summary(a)} for a in found]
        click.echo(msgspec.json.encode({"schema": 1, "agents": listed}).decode())
    elif not found:
        places = ", ".join(map(str, AGENT_PATHS))
        click.echo(f"no fence agent is installed in {places}", err=True)
    else:
        _print_agents(found)


@click.command()
@click.argument("agent")
@_as_json
def describe(agent: str, *, as_json: bool) -> None:
    """Tell what AGENT does and which options it takes."""
    try:
        path = find_agent(agent, AGENT_PATHS)
        found = asyncio.run(read_metadata(path))
    except (StepError, MetadataError) as error:
        click.echo(f"rgmgr: {agent}: {error}", err=True)
        click.get_current_context().exit(Exit.FAILED)
    if as_json:
        click.echo(to_json(str(path), found))
    else:
        _print_agent(str(path), found)


def to_json(path: str, agent: AgentMetadata) -> str:
    """Return all that an agent says of itself as JSON."""
    return msgspec.json.encode({"schema": 1, "path": path, **asdict(agent)}).decode()


def _summary(agent: FoundAgent) -> dict[str, object]:
    if agent.metadata is None:
        return {"problem": agent.problem}
    return {"summary": agent.metadata.summary, "actions": list(agent.metadata.actions)}


def _print_agents(found: tuple[FoundAgent, ...]) -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON needs no rich
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    table = Table(box=None, pad_edge=False)
    for heading in ("AGENT", "WHAT IT IS"):
        table.add_column(heading, overflow="fold")
    for agent in found:
        what = agent.metadata.summary if agent.metadata else f"UNUSABLE: {agent.problem}"
        table.add_row(agent.name, Text(what))
    Console(highlight=False).print(table)


def _print_agent(path: str, agent: AgentMetadata) -> None:
    from rich.console import Console  # noqa: PLC0415 - JSON needs no rich
    from rich.table import Table  # noqa: PLC0415 - likewise
    from rich.text import Text  # noqa: PLC0415 - likewise

    screen = Console(highlight=False)
    screen.print(Text(f"{agent.name} ({path}): {agent.summary}\n\n{agent.text}\n"))
    actions = [
        action.name
        + (" (at each join)" if action.is_automatic else "")
        + (" (on the node itself)" if action.is_on_target else "")
        for action in agent.actions.values()
    ]
    screen.print(Text(f"actions: {', '.join(actions)}\n"))
    table = Table(box=None, pad_edge=False)
    for heading in ("OPTION", "VALUE", "DEFAULT", "WHAT IT IS"):
        table.add_column(heading, overflow="fold")
    for option in agent.options.values():
        if not option.is_deprecated and option.name != "action":
            default = "required" if option.is_required else option.default or ""
            table.add_row(option.name, Text(_values(option)), Text(default), Text(_text(option)))
    screen.print(table)


def _values(option: AgentOption) -> str:
    return " | ".join(option.choices) if option.choices else option.kind


def _text(option: AgentOption) -> str:
    return option.text + (f" (once: {option.obsoletes})" if option.obsoletes else "")
