# SPDX-License-Identifier: Apache-2.0
"""Every listing with --json is as its schema in docs/schemas says, and has its version."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from rgmgr.adapters.fencing.discovery import read_metadata
from rgmgr.cli.fence_agents import to_json
from rgmgr.cli.main import cli
from rgmgr.fence_view import CaseView
from rgmgr.history_view import DecisionView, History
from tests.unit.cli_status import FakeDaemon, troubled
from tests.unit.json_schema import faults
from tests.unit.test_cli_orders import ordered

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "docs" / "schemas"
CLUSTER = str(ROOT / "tests/simulation/scenarios/three-nodes.toml")
FILE = ("--config", CLUSTER)
HISTORY = History(
    decisions=(DecisionView(age_ms=1, wall_s=2, event="a.b", facts={"node": "node1"}),)
)
LISTINGS: dict[str, tuple[str, ...]] = {
    "audit": ("audit", *FILE),
    "doctor": ("doctor", "--root", str(SCHEMAS)),
    "explain": ("explain", "web", *FILE),
    "fence-agents": ("fence", "agents"),
    "fence-history": ("fence", "history"),
    "fence-test": ("fence", "test"),
    "history": ("history",),
    "incident": ("incident",),
    "resource-describe": ("resource", "describe", "ip"),
    "resource-list": ("resource", "list"),
    "sim": ("sim", "--seeds", "1", "--jobs", "1"),
    "status": ("status",),
    "status-links": ("status", "--links"),
    "tree": ("tree", "web", *FILE),
    "what-if": ("what-if", "node", "node1", "dies", *FILE),
}
WHAT_IF = ("node", "service", "partition", "config")
CASE = CaseView(
    number=1,
    node="node3",
    cause="it left the ring",
    by="node1",
    attempts=1,
    outcome="proven",
    detail="ipmi3",
    age_ms=60_000,
    begun_after_ms=0,
    ended_after_ms=900,
    wall_s=0,
)


def checked(name: str, output: str) -> dict[str, Any]:
    """Return what a command printed, as its schema says."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    value: dict[str, Any] = json.loads(output)
    assert list(faults(value, schema, schema)) == []
    return value


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_is_as_its_schema_says(name: str) -> None:
    daemon = FakeDaemon(replace(troubled(), cases=(CASE,)), decided=HISTORY)

    result = CliRunner().invoke(cli, [*LISTINGS[name], "--json"], obj=daemon)

    assert result.exit_code in (0, 1), result.output
    assert checked(name, result.stdout)["schema"] == 1


def test_what_an_agent_says_of_itself_is_as_its_schema_says() -> None:
    path = ROOT / "fence_agents" / "fence_ipmi"

    printed = to_json(str(path), asyncio.run(read_metadata(path)))

    assert checked("fence-describe", printed)["name"] == "fence_ipmi"


def test_a_status_with_orders_is_as_its_schema_says() -> None:
    result = CliRunner().invoke(cli, ["status", "--json"], obj=FakeDaemon(ordered()))

    assert checked("status", result.stdout)["disarmed"]


def test_a_schema_finds_what_is_wrong() -> None:
    result = CliRunner().invoke(cli, ["status", "--json"], obj=FakeDaemon(troubled()))
    status = json.loads(result.stdout)
    schema = json.loads((SCHEMAS / "status.json").read_text(encoding="utf-8"))
    wrong = {**status, "epoch": "twelve", "extra": 1}
    del wrong["nodes"]

    assert sorted(faults(wrong, schema, schema)) == [
        "$.epoch: 'twelve' is no integer",
        "$.extra: not in the schema",
        "$.nodes: missing",
    ]


def test_the_schemas_are_those_of_the_types(tmp_path: Path) -> None:
    program = ROOT / "tools" / "json_schemas.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(program), str(tmp_path)], check=True, env=environment)

    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}

    kept = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    assert written == kept, "run tools/json_schemas.py"
    assert {*LISTINGS, "fence-describe"} == {name.removesuffix(".json") for name in kept}


def _with_json(command: click.Command, context: click.Context) -> list[str]:
    """Return the names of all commands below this one that have --json."""
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        below = [(name, command.get_command(context, name)) for name in names]
        return [
            f"{name} {rest}".strip()
            for name, child in below
            if child is not None and name != "lab"
            for rest in _with_json(child, click.Context(child))
        ]
    return [""] if any("--json" in param.opts for param in command.params) else []


def test_every_command_with_json_has_its_schema() -> None:
    commands = {name.replace(" ", "-") for name in _with_json(cli, click.Context(cli))}

    covered = {*LISTINGS, "fence-describe", *(f"what-if-{what}" for what in WHAT_IF)}
    assert commands - covered == set()
