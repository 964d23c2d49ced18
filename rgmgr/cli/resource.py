# SPDX-License-Identifier: Apache-2.0
"""`rgmgr resource`: the types of resources and what they take, from the tables that check them."""

from __future__ import annotations

import json

import click

from rgmgr.config.inherit import sources
from rgmgr.config.levels import LEVELS, Levels
from rgmgr.config.problems import did_you_mean
from rgmgr.config.resources import RESOURCE_TYPES, ResourceType

SCHEMA = 1


def _types(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in RESOURCE_TYPES if name.startswith(incomplete)]


@click.group()
def resource() -> None:
    """Tell which types of resources there are and what they take."""


@resource.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def list_types(*, as_json: bool) -> None:
    """List the types of resources."""
    if as_json:
        types = [_as_json(kind) for kind in RESOURCE_TYPES.values()]
        click.echo(json.dumps({"schema": SCHEMA, "types": types}, indent=2))
        return
    for kind in RESOURCE_TYPES.values():
        click.echo(f"{kind.name:12}  {kind.help}")


@resource.command()
@click.argument("kind", metavar="TYPE", shell_complete=_types)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def describe(kind: str, *, as_json: bool) -> None:
    """Describe the parameters of TYPE and its place in a tree."""
    found = RESOURCE_TYPES.get(kind)
    if found is None:
        hint = did_you_mean(kind, RESOURCE_TYPES) or f"known: {', '.join(RESOURCE_TYPES)}"
        text = f"there is no type {kind!r}; {hint}"
        raise click.BadParameter(text, param_hint="TYPE")
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, **_as_json(found)}, indent=2))
        return
    click.echo(f"{found.name}: {found.help}\n")
    for parameter in found.parameters:
        need = "required" if parameter.required else "optional"
        click.echo(f"  {parameter.name:12}  {need}  {parameter.help}")
        if taken := sources(found.name, parameter.name):
            of = " or ".join(f"the {name} of a {kind}" for kind, name in taken)
            click.echo(f"  {'':12}            without it, {of} above")
    own = "it needs one" if found.title == "name" else f"its {found.title}, when none is given"
    click.echo(f"\nName: {own}.")
    for parent, levels in _places(found).items():
        click.echo(f"Below {parent}: start level {levels.start}, stop level {levels.stop}.")


def _places(kind: ResourceType) -> dict[str, Levels]:
    return {parent: levels for (parent, child), levels in LEVELS.items() if child == kind.name}


def _as_json(kind: ResourceType) -> dict[str, object]:
    return {
        "name": kind.name,
        "help": kind.help,
        "title": kind.title,
        "parameters": [
            {"name": each.name, "required": each.required, "help": each.help}
            for each in kind.parameters
        ],
        "levels": {parent: levels._asdict() for parent, levels in _places(kind).items()},
    }
