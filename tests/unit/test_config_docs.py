# SPDX-License-Identifier: Apache-2.0
"""docs/configuration.md is read by people in need: its example works, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rgmgr.config import fencing, nodes, pings, schema, services
from rgmgr.config.advice import warnings
from rgmgr.config.load import loads
from rgmgr.config.resources import RESOURCE_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """Return the text below a heading, up to the next."""
    _, _, rest = PAGE.partition(f"{heading}\n")
    return re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]


def test_the_example_is_a_configuration_without_problems_or_warnings() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)

    spec = loads(example, source="docs/configuration.md", node_ids=None)

    assert [node.name for node in spec.nodes.values()] == ["node1", "node2"]
    assert [service.name for service in spec.services] == ["web"]
    assert warnings(spec) == ()


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("## [cluster]", schema.CLUSTER_KEYS),
        ("## [[node]]", nodes.NODE_KEYS),
        ("## [fencing]", set(fencing.FENCING_KEYS) - {"device"}),
        ("## [[ping]]", pings.PING_KEYS),
        ("## [domain.NAME]", nodes.DOMAIN_KEYS),
        ("## [[service]]", services.SERVICE_KEYS),
        (
            "### [[service.resource]] and [[service.resource.resource]]",
            {*services.COMMON_KEYS, *services.REF_KEYS, *services.PLACE_KEYS},
        ),
    ],
)
def test_every_key_of_a_section_has_its_line_and_no_other(
    heading: str, keys: tuple[str, ...]
) -> None:
    rows = re.findall(r"^\| `(\w+)` \|[^|\n]*\|[^|\n]*\|$", section(heading), flags=re.MULTILINE)

    assert sorted(rows) == sorted(keys)


def test_every_parameter_of_every_type_has_its_line_and_no_other() -> None:
    """The same words as `rgmgr resource describe`."""
    rows = re.findall(r"^\| `([\w-]+)` \| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, flags=re.MULTILINE)

    assert rows == [
        (kind.name, each.name, "required" if each.required else "optional", each.help)
        for kind in RESOURCE_TYPES.values()
        for each in kind.parameters
    ]


MANUAL = (Path(__file__).parents[2] / "docs" / "man" / "cluster.toml.5").read_text(encoding="utf-8")
KEY_TYPES = ("text", "word", "integer", "boolean", "time span", "list", "table")


def manual_section(heading: str) -> str:
    """Return the part of cluster.toml(5) below a heading, up to the next."""
    _, _, rest = MANUAL.replace("\\-", "-").partition(f"{heading}\n")
    return re.split(r"^\.S[HS] ", rest, maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize(
    ("heading", "manual"),
    [
        ("## [cluster]", ".SH [cluster]"),
        ("## [[node]]", ".SH [[node]]"),
        ("## [fencing]", ".SH [fencing]"),
        ("### [fencing.device.NAME]", ".SS [fencing.device.NAME]"),
        ("## [[ping]]", ".SH [[ping]]"),
        ("## [domain.NAME]", ".SH [domain.NAME]"),
        ("## [[resource]]", ".SH [[resource]]"),
        ("## [[service]]", ".SH [[service]]"),
        (
            "### [[service.resource]] and [[service.resource.resource]]",
            ".SS [[service.resource]]",
        ),
    ],
)
def test_the_manual_has_type_default_and_meaning_of_every_key(heading: str, manual: str) -> None:
    row = r"^\| `(\w+)` \|([^|\n]*)\|[^|\n]*\|$"
    rows = re.findall(row, section(heading), flags=re.MULTILINE)
    entry = r'^\.TP\n\.BR (\w+) " \(([a-z ]+); ([^"]+)\)"\n(?!\.TP|\.S)(.+)$'
    entries = re.findall(entry, manual_section(manual), flags=re.MULTILINE)

    defaults = [(key, re.sub(r'[`"]', "", default).strip() or "none") for key, default in rows]
    assert [(key, default) for key, _, default, _ in entries] == defaults
    for key, kind, _, _ in entries:
        words = re.split(r" or | of ", kind)
        assert all(word.removesuffix("s") in KEY_TYPES for word in words), (key, kind)


def test_the_manual_has_every_parameter_of_every_type() -> None:
    """The same words as `rgmgr resource describe`."""
    entry = re.compile(r'^\.TP\n\.BR (\w+) " \((required|optional)\)"\n(.+)$', re.MULTILINE)
    found = [
        (kind.name, *row)
        for kind in RESOURCE_TYPES.values()
        for row in entry.findall(manual_section(f".SS {kind.name}").replace("\\(dq", '"'))
    ]

    assert found == [
        (kind.name, each.name, "required" if each.required else "optional", each.help)
        for kind in RESOURCE_TYPES.values()
        for each in kind.parameters
    ]
