# SPDX-License-Identifier: Apache-2.0
"""`rgmgr audit`: exit codes for CI, JSON, and a table that says the worst first."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from rgmgr.cli.main import cli
from tests.conftest import Golden
from tests.unit.cli_status import FakeDaemon, healthy
from tests.unit.test_cli_whatif import CONFIG, SERVICE, UNREACHABLE, present

BACKUP = """
[fencing.device.ipmi]
agent = "fence_virt"
"""


def ask(*arguments: str, daemon: object = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
    live = FakeDaemon(healthy(), told=present())
    return runner.invoke(cli, ["audit", *arguments], obj=daemon or live)


def test_the_configuration_in_force_is_audited(golden: Golden) -> None:
    result = ask()

    assert result.exit_code == 1
    text = "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"
    golden("cli/audit.txt", text)


def test_a_file_is_audited_without_a_daemon_and_a_clean_one_ends_with_0(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    two_ways = CONFIG.format(version=1).replace(" }]]", ' }], [{ device = "ipmi" }]]')
    file.write_text(two_ways + BACKUP + SERVICE.format(name="web"))

    result = ask("--config", str(file), daemon=UNREACHABLE)

    assert result.exit_code == 0, result.output
    assert "no single failure loses a service" in result.output


def test_json_holds_every_case() -> None:
    fields = json.loads(ask("--json").output)

    assert (fields["schema"], fields["is_clean"], fields["cluster"]) == (1, False, "alpha")
    worst = fields["cases"][0]
    assert worst["failures"] == ["fence device pdu dies"]
    assert worst["unfenceable"] == ["node1", "node2", "node3"]
    assert fields["shared_devices"][0]["device"] == "pdu"
    assert any(case["is_harmless"] for case in fields["cases"])


def test_a_file_with_problems_ends_with_78(tmp_path: Path) -> None:
    result = ask("--config", str(tmp_path / "none.toml"))

    assert result.exit_code == 78
    assert "there is no such file" in result.stderr


def test_without_a_daemon_and_a_file_the_hint_is_the_file() -> None:
    result = ask(daemon=UNREACHABLE)

    assert result.exit_code == 5
    assert "--config" in result.stderr


def test_disabled_fencing_is_said_first(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    unsafe = "\n[fencing]\nunsafe_disabled = true\n"
    file.write_text(CONFIG.format(version=1) + unsafe + SERVICE.format(name="web"))

    result = ask("--config", str(file))

    assert "!! fencing is disabled" in result.output.splitlines()[1]
