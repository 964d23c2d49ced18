# SPDX-License-Identifier: Apache-2.0
"""docs/configuration.md is read by people in need: its example works, its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rgmgr.config import fencing, nodes, schema, services
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
