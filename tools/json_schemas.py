# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: D101, INP001  # their names say it; a program of its own
"""Writes docs/schemas: a JSON Schema for every listing that a command prints with --json.

Usage: json_schemas.py [FOLDER]; docs/schemas without one. What a command encodes from types of its
own has its schema from these; what it puts together is described here. Every field is always there.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rgmgr.adapters.fencing.metadata import AgentAction, AgentOption
from rgmgr.cli.explanation import NodeExplained, ServiceExplained
from rgmgr.fence_view import CaseView, PathView
from rgmgr.history_view import History
from rgmgr.links import CorosyncView
from rgmgr.sim.audit import Sharing
from rgmgr.sim.forecast import Fate
from rgmgr.sim.plan import Step
from rgmgr.view import Status

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class FenceHistory:
    schema: int
    cases: list[CaseView]


@dataclass
class FenceTest:
    schema: int
    paths: dict[str, list[PathView]]


@dataclass
class Incident:
    schema: int
    incident: CaseView


@dataclass
class Check:
    group: str
    name: str
    verdict: str
    found: str
    advice: str


@dataclass
class Doctor:
    schema: int
    host: str
    verdict: str
    checks: list[Check]


@dataclass
class Parameter:
    name: str
    required: bool
    help: str


@dataclass
class Levels:
    start: int | None
    stop: int | None


@dataclass
class ResourceType:
    name: str
    help: str
    title: str
    parameters: list[Parameter]
    levels: dict[str, Levels]


@dataclass
class ResourceTypes:
    schema: int
    types: list[ResourceType]


@dataclass
class OneResourceType(ResourceType):
    schema: int


@dataclass
class Resource:
    name: str
    type: str
    parameters: dict[str, str]
    start_level: int | None
    stop_level: int | None
    inherited: list[str]
    is_shared: bool
    shared_with: list[str]
    independent: str | None
    max_restarts: int
    restart_expire_ms: int
    tolerated: int
    tolerance_ms: int
    resources: list[Resource]


@dataclass
class Tree:
    schema: int
    service: str
    resources: list[Resource]
    start_order: list[str]
    stop_order: list[str]


@dataclass
class NodeFate:
    name: str
    before: str
    after: str


@dataclass
class WhatIf:
    schema: int
    question: str
    origin: str
    steps: list[Step]
    services: list[Fate]
    nodes: list[NodeFate]
    is_at_rest: bool
    assumptions: list[str]


@dataclass
class LostService:
    service: str
    why: str


@dataclass
class AuditCase:
    failures: list[str]
    lost: list[LostService]
    unfenceable: list[str]
    is_quorum_lost: bool
    is_harmless: bool


@dataclass
class Audit:
    schema: int
    cluster: str
    config_version: int
    is_clean: bool
    is_fencing_enabled: bool
    cases: list[AuditCase]
    shared_devices: list[Sharing]


@dataclass
class FenceAgent:
    schema: int
    path: str
    name: str
    summary: str
    text: str
    options: dict[str, AgentOption]
    actions: dict[str, AgentAction]


@dataclass
class BrokenSeed:
    seed: int
    violations: list[str]


@dataclass
class Simulation:
    schema: int
    first: int
    seeds: int
    faults: int
    events: int
    simulated_ms: int
    wall_ms: int
    workers: int
    is_interrupted: bool
    broken: list[BrokenSeed]


LISTINGS: dict[str, type] = {
    "audit": Audit,
    "doctor": Doctor,
    "fence-describe": FenceAgent,
    "fence-history": FenceHistory,
    "fence-test": FenceTest,
    "history": History,
    "incident": Incident,
    "resource-describe": OneResourceType,
    "resource-list": ResourceTypes,
    "sim": Simulation,
    "status": Status,
    "status-links": CorosyncView,
    "tree": Tree,
    "what-if": WhatIf,
}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schema of each listing by its name."""
    made = {name: msgspec.json.schema(kind) for name, kind in LISTINGS.items()}
    made["explain"] = _explain()
    made["fence-agents"] = _agents()
    return {name: _closed(made[name]) for name in sorted(made)}


def _explain() -> dict[str, Any]:
    """A service or a node, told apart by their fields."""
    _, parts = msgspec.json.schema_components([ServiceExplained, NodeExplained])
    kinds = [{"$ref": "#/$defs/ServiceExplained"}, {"$ref": "#/$defs/NodeExplained"}]
    fields = {
        "schema": {"type": "integer"},
        "origin": {"type": "string"},
        "explained": {"type": "array", "items": {"anyOf": kinds}},
    }
    defs = json.loads(json.dumps(parts).replace("#/components/schemas/", "#/$defs/"))
    return {**_object(fields), "$defs": defs}


def _agents() -> dict[str, Any]:
    """An agent whose metadata cannot be had has a problem in place of what it does."""
    text = {"type": "string"}
    known = {"name": text, "path": text, "summary": text}
    works = _object({**known, "actions": {"type": "array", "items": text}})
    fails = _object({"name": text, "path": text, "problem": text})
    agents = {"type": "array", "items": {"anyOf": [works, fails]}}
    return _object({"schema": {"type": "integer"}, "agents": agents})


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": list(fields)}


def _closed(schema: Any) -> Any:
    """Return the schema with every field required and no other field allowed."""
    match schema:
        case {"type": "object", "properties": dict(fields)}:
            title = f"{schema.get('title')}("
            rest = {
                key: _closed(part)
                for key, part in schema.items()
                if key != "properties" and not str(part).startswith(title)
            }
            named = {name: _closed(field) for name, field in fields.items()}
            closed = {"properties": named, "required": list(fields), "additionalProperties": False}
            return {**rest, **closed}
        case dict():
            return {
                key: part if key == "default" else _closed(part) for key, part in schema.items()
            }
        case list():
            return [_closed(part) for part in schema]
        case _:
            return schema


def main() -> None:
    """Write all of them."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"rgmgr {name}"}
        text = json.dumps({**head, **schema}, indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
