# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import tomllib

import pytest

from rgmgr.config.checks import read_checks
from rgmgr.config.problems import Problems
from rgmgr.config.resources import RESOURCE_TYPES
from rgmgr.config.table import Table
from rgmgr.core.spec import CheckKind, CheckSpec


def _read(text: str, kind: str = "exec") -> tuple[tuple[CheckSpec, ...], list[str]]:
    problems = Problems()
    table = Table(tomllib.loads(text), "r", problems, known=None)
    checks = read_checks(table, RESOURCE_TYPES[kind])
    return checks, [f"{each.path}: {each.problem}" for each in problems.found]


def test_one_check_with_all_its_keys() -> None:
    checks, problems = _read(
        'check = { http = "https://[::1]:8443/x?y=1", status = 204, interval = "1min",'
        ' timeout = "2s", tolerance = 3 }'
    )

    assert problems == []
    assert checks == (
        CheckSpec(
            kind=CheckKind.HTTP,
            target="https://[::1]:8443/x?y=1",
            status=204,
            interval_ms=60_000,
            timeout_ms=2_000,
            tolerance=3,
        ),
    )


def test_a_list_of_checks() -> None:
    checks, problems = _read(
        'check = [{ tcp = "[::1]:5432" }, { tcp = "db.local:1" }, { command = "/bin/true -x" }]'
    )

    assert problems == []
    assert [check.target for check in checks] == ["[::1]:5432", "db.local:1", "/bin/true -x"]


def test_an_agent_is_asked_by_its_own_action_unless_something_else_is_said() -> None:
    usual = CheckSpec(kind=CheckKind.MONITOR, target="0")

    assert _read("", "ocf") == ((usual,), [])
    assert _read("", "script") == ((), [])
    assert _read("check = []", "ocf") == ((), [])
    assert _read("check = { monitor = 10 }", "ocf")[0][0].target == "10"
    assert _read("check = { monitor = -1 }", "script")[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("check = 5", "r.check: expected a check such as"),
        ("check = [5]", "r.check[1]: expected a check, got"),
        (
            "check = {}",
            "r.check: a check needs exactly one of http, tcp, command, monitor; it has none",
        ),
        ('check = { tcp = "a:1", http = "http://a" }', "it has http and tcp"),
        ('check = { tcp = "a:1", status = 200 }', "r.check.status: means nothing to a check"),
        ('check = { tcp = "a:70000" }', "r.check.tcp: expected HOST:PORT"),
        ('check = { tcp = "a" }', "r.check.tcp: expected HOST:PORT"),
        ('check = { http = "ftp://a" }', "r.check.http: expected a URL of http or https"),
        ('check = { http = "http://a:x/" }', "r.check.http: expected a URL of http or https"),
        ('check = { http = "http://a/b c" }', "r.check.http: expected a URL of http or https"),
        ('check = { http = "http://a/\\r\\nX: y" }', "r.check.http: expected a URL"),
        ('check = { command = "true" }', "r.check.command: expected the absolute path"),
        ('check = { tcp = "a:1", interval = 0 }', "r.check.interval: expected a time span above"),
        ('check = { tcp = "a:1", tolerance = -1 }', "r.check.tolerance: expected an integer"),
        ("check = { monitor = 0 }", "r.check.monitor: a resource of type exec has no action of"),
        ('check = { tpc = "a:1" }', "r.check.tpc: unknown key"),
    ],
)
def test_what_is_no_check_is_told_with_its_place(text: str, problem: str) -> None:
    _, problems = _read(text)

    assert any(problem in line for line in problems), problems
