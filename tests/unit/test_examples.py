# SPDX-License-Identifier: Apache-2.0
"""The worked models of docs/examples: right as they are, and each played by a scenario."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from rgmgr.cli.main import cli

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.toml"))
SCENARIOS = ROOT / "tests" / "simulation" / "scenarios"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_configuration_without_problems(path: Path) -> None:
    result = CliRunner().invoke(cli, ["config", "check", str(path)])

    assert result.exit_code == 0, result.output


def test_every_example_is_described_and_played() -> None:
    page = (ROOT / "docs" / "failover-domains.md").read_text(encoding="utf-8")

    for path in EXAMPLES:
        script = (SCENARIOS / f"model-{path.stem}" / "script").read_text(encoding="utf-8")
        assert f"examples/{path.name}" in page
        assert f"docs/examples/{path.name}" in script
