# SPDX-License-Identifier: Apache-2.0
"""`rgmgr tree`: the order of a service, from its file alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.main import cli
from tests.conftest import Golden

CONFIG = """\
[cluster]
name = "alpha"
version = 1
[[node]]
name = "node1"
fence = [[{ device = "d" }]]
[fencing.device.d]
agent = "fence_x"
[[resource]]
name = "vip"
type = "ip"
address = "10.0.0.9/24"
[[service]]
name = "web"
[[service.resource]]
type = "systemd"
unit = "cron.service"
stop_level = 3
[[service.resource]]
ref = "vip"
independent = "restart"
max_restarts = 2
restart_expire_time = "5min"
[[service.resource]]
type = "fs"
name = "data"
device = "/dev/x"
mountpoint = "/srv/web"
fstype = "xfs"
[[service.resource.resource]]
type = "systemd"
unit = "nginx.service"
[[service.resource.resource]]
type = "fs"
device = "/dev/y"
mountpoint = "/srv/web/log"
fstype = "xfs"
independent = "non-critical"
tolerance = "2 in 10min"
[[service.resource.resource.resource]]
type = "bind-mount"
name = "shown"
mountpoint = "/var/log/web"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def _tree(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"})
    return runner.invoke(cli, ["tree", *map(str, arguments)])


def test_the_picture_shows_the_order_from_top_to_bottom(file: Path, golden: Golden) -> None:
    result = _tree("service:web", "--config", file)

    assert result.exit_code == 0
    golden("cli/tree.txt", result.output)


def test_json_holds_the_tree_and_both_orders(file: Path) -> None:
    found = json.loads(_tree("web", "--config", file, "--json").output)

    assert found["schema"] == 1
    assert found["start_order"] == [
        "data",
        "/srv/web/log",
        "shown",
        "nginx.service",
        "vip",
        "cron.service",
    ]
    assert found["stop_order"] == [
        "vip",
        "cron.service",
        "nginx.service",
        "shown",
        "/srv/web/log",
        "data",
    ]
    assert [(each["name"], each["start_level"]) for each in found["resources"]] == [
        ("data", 2),
        ("vip", 7),
        ("cron.service", None),
    ]


def test_json_tells_how_each_part_fails_and_what_it_has_from_above(file: Path) -> None:
    found = json.loads(_tree("web", "--config", file, "--json").output)

    data, vip, _ = found["resources"]
    log = data["resources"][0]
    assert (vip["is_shared"], vip["independent"], vip["max_restarts"]) == (True, "restart", 2)
    assert vip["restart_expire_ms"] == 300_000
    assert (log["independent"], log["tolerated"], log["tolerance_ms"]) == (
        "non-critical",
        2,
        600_000,
    )
    assert log["resources"][0]["inherited"] == ["source"]
    assert data["inherited"] == []


def test_an_unknown_service_is_refused_with_those_that_exist(file: Path) -> None:
    result = _tree("db", "--config", file)

    assert result.exit_code == 3
    assert result.output == f"rgmgr: {file} has no service 'db'; it has: web\n"


def test_a_file_with_problems_is_told_and_not_used(file: Path) -> None:
    file.write_text(CONFIG.replace("stop_level = 3", "stop_level = 101"), encoding="utf-8")

    result = _tree("web", "--config", file)

    assert result.exit_code == 78
    expected = "service.web.resource[1].stop_level  expected an integer from 1 to 100, or 0"
    assert expected in result.output
