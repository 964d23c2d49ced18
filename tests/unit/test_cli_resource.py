# SPDX-License-Identifier: Apache-2.0
"""`rgmgr resource`: what the checks know, for people."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.main import cli
from rgmgr.config.resources import RESOURCE_TYPES


def _resource(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["resource", *arguments])


def test_every_type_is_listed_with_what_it_is() -> None:
    lines = _resource("list").output.splitlines()

    assert [line.split("  ")[0].strip() for line in lines] == list(RESOURCE_TYPES)


@pytest.mark.parametrize("kind", list(RESOURCE_TYPES))
def test_a_type_is_described_with_all_its_parameters(kind: str) -> None:
    result = _resource("describe", kind)

    assert result.exit_code == 0
    assert all(parameter.help in result.output for parameter in RESOURCE_TYPES[kind].parameters)


def test_levels_are_told_with_their_parent() -> None:
    output = _resource("describe", "fs").output

    assert "Below service: start level 2, stop level 8." in output
    assert "Below fs: start level 1, stop level 3." in output


def test_json_has_a_schema() -> None:
    found = json.loads(_resource("list", "--json").output)

    assert found["schema"] == 1
    assert [each["name"] for each in found["types"]] == list(RESOURCE_TYPES)
    assert json.loads(_resource("describe", "ip", "--json").output)["levels"] == {
        "nfsserver": {"start": 2, "stop": 1},
        "service": {"start": 7, "stop": 2},
    }


def test_an_unknown_type_is_wrong_usage_with_the_nearest_one() -> None:
    result = _resource("describe", "netf")

    assert result.exit_code == 2
    assert "'netfs'" in result.output
