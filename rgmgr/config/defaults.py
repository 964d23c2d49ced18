# SPDX-License-Identifier: Apache-2.0
"""[resource_defaults.TYPE]: what a resource of a type has when it says nothing else.

A default is a key as a resource would have it. What names a resource, or what it is, has none.
Source: rgmanager `<resource-defaults>`, which held for inline resources only.
"""

from __future__ import annotations

from collections.abc import Mapping

from rgmgr.config.checks import read_checks
from rgmgr.config.problems import did_you_mean, listed, shown
from rgmgr.config.resources import (
    OPTIONS_KEY,
    RESOURCE_TYPES,
    ResourceType,
    known_keys,
    read_parameter,
)
from rgmgr.config.table import Table

SECTION = "resource_defaults"
_COMMON = ("start_timeout", "stop_timeout", "check")

Defaults = Mapping[str, Mapping[str, object]]


def read_defaults(root: Table) -> Defaults:
    """Return the defaults by type, without those that are wrong."""
    found = {}
    tables = Table(root.table(SECTION), SECTION, root.problems, known=None)
    for name in tables.raw:
        if name in RESOURCE_TYPES:
            found[name] = _read_type(RESOURCE_TYPES[name], tables.at(name), tables)
        else:
            hint = did_you_mean(name, RESOURCE_TYPES) or f"known types: {listed(RESOURCE_TYPES)}"
            root.problems.add(tables.at(name), f"unknown resource type {shown(name)}", hint)
    return found


def with_defaults(raw: Mapping[str, object], defaults: Defaults) -> Mapping[str, object]:
    """Return the keys of a resource together with the defaults of its type."""
    kind = raw.get("type")
    return {**defaults.get(kind, {}), **raw} if isinstance(kind, str) else raw


def _read_type(kind: ResourceType, path: str, tables: Table) -> Mapping[str, object]:
    own = {p.name for p in kind.parameters if p.required or p.name == kind.title}
    allowed = [
        key
        for key in known_keys(kind)
        if key not in own and not (kind.takes_options and key == OPTIONS_KEY)
    ]
    table = Table(tables.table(kind.name), path, tables.problems, known=(*_COMMON, *allowed))
    before = len(tables.problems.found)
    for parameter in kind.parameters:
        if parameter.name in allowed and table.has(parameter.name):
            read_parameter(parameter, table)
    for key in ("start_timeout", "stop_timeout"):
        table.timeout(key, 1)
    read_checks(table, kind)
    is_right = len(tables.problems.found) == before
    return {k: v for k, v in table.raw.items() if k in (*_COMMON, *allowed)} if is_right else {}
