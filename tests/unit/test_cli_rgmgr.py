# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.client import WAIT_FOREVER_S, DaemonError, Fault, Outcome, explain
from rgmgr.cli.completion import completion
from rgmgr.cli.main import cli
from rgmgr.cli.times import duration
from rgmgr.errors import BusError
from rgmgr.view import Status, decode_status
from tests.conftest import Golden
from tests.unit.cli_status import (
    AbsentDaemon,
    FakeDaemon,
    healthy,
    inquorate,
    troubled,
    unfenced,
)

UNREACHABLE = DaemonError(Fault.UNREACHABLE, "rgmgrd does not run on this node")
TIMEOUT = DaemonError(Fault.NO_ANSWER, "rgmgrd did not answer in time", "Timeout")
ESCAPE = "\033["


def run(*arguments: str, daemon: object = None, columns: int = 80) -> Result:
    runner = CliRunner(env={"COLUMNS": str(columns), "TERM": "dumb"})
    return runner.invoke(cli, list(arguments), obj=daemon or FakeDaemon(troubled()))


@pytest.mark.parametrize(
    ("name", "status", "arguments"),
    [
        ("status-healthy", healthy(), ()),
        ("status-troubled", troubled(), ()),
        ("status-inquorate", inquorate(), ()),
        ("status-unfenced", unfenced(), ()),
        ("status-service", troubled(), ("db",)),
        ("status-node", troubled(), ("node3",)),
    ],
)
def test_status_screens(
    golden: Golden, name: str, status: Status, arguments: tuple[str, ...]
) -> None:
    result = run("status", *arguments, daemon=FakeDaemon(status))

    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.output.splitlines())
    golden(
        f"cli/{name}.txt", "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"
    )


def test_a_daemon_without_corosync_says_what_it_waits_for() -> None:
    note = "waiting for corosync: it does not run; see 'systemctl status corosync'"
    waiting = replace(troubled(), is_connected=False, note=note)

    assert f"!! {note}\n" in run("status", daemon=FakeDaemon(waiting)).output


def test_nothing_is_cut_off_on_a_narrow_terminal() -> None:
    output = run("status", columns=40).output

    assert "umount" in output
    assert "attempt 2" in " ".join(output.split())


def test_no_colour_reaches_a_pipe() -> None:
    assert ESCAPE not in run("status").output


def test_json_is_the_whole_snapshot() -> None:
    result = run("status", "--json")

    assert decode_status(result.output) == troubled()
    assert json.loads(result.output)["schema"] == 1


def test_json_of_one_service_holds_only_it() -> None:
    fields = json.loads(run("status", "service:web", "--json").output)

    assert [service["name"] for service in fields["services"]] == ["web"]
    assert fields["nodes"] == []


def test_an_unknown_name_is_refused() -> None:
    result = run("status", "nope")

    assert result.exit_code == 3
    assert result.stderr == "rgmgr: no service and no node is named 'nope'\n"


@pytest.mark.parametrize(
    "verb",
    [
        "enable",
        "disable",
        "stop",
        "restart",
        "relocate",
        "freeze",
        "unfreeze",
        "retry",
        "convalesce",
    ],
)
def test_a_request_waits_for_ever_and_says_what_happened(verb: str) -> None:
    daemon = FakeDaemon(healthy(), Outcome(0, "web is now running on node1", "node1"))

    result = run(verb, "service:web", daemon=daemon)

    assert (result.exit_code, result.output) == (0, "web is now running on node1\n")
    assert daemon.asked == [(verb, "web", "", WAIT_FOREVER_S)]


@pytest.mark.parametrize("verb", ["enable", "relocate"])
def test_a_member_can_be_chosen(verb: str) -> None:
    daemon = FakeDaemon(healthy())

    run(verb, "web", "-m", "node2", "--timeout", "2.5", daemon=daemon)

    assert daemon.asked == [(verb, "web", "node2", 2.5)]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [(0, 0), (-10, 0), (-1, 1), (-2, 1), (-17, 1), (-6, 3), (-7, 3), (-9, 3), (-11, 3), (-12, 3)],
)
def test_exit_codes_tell_done_failed_and_refused_apart(code: int, exit_code: int) -> None:
    daemon = FakeDaemon(healthy(), Outcome(code, "as it is", ""))

    assert run("enable", "web", daemon=daemon).exit_code == exit_code


def test_a_failure_says_why_and_where_the_service_is() -> None:
    daemon = FakeDaemon(healthy(), Outcome(-17, "node2 could not start it", "node1"))

    result = run("relocate", "web", daemon=daemon)

    assert result.stderr == (
        "rgmgr: cannot relocate web: node2 could not start it; it runs on node1\n"
    )


def test_no_wait_leaves_when_the_request_is_taken() -> None:
    result = run("stop", "web", "--no-wait", daemon=FakeDaemon(healthy(), TIMEOUT))

    assert result.exit_code == 0
    assert result.output == "asked to stop web; not waiting (see 'rgmgr status web')\n"


def test_a_timeout_is_not_a_success() -> None:
    result = run("stop", "web", "--timeout", "1", daemon=FakeDaemon(healthy(), TIMEOUT))

    assert (result.exit_code, result.stderr) == (4, "rgmgr: rgmgrd did not answer in time\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("enable",),
        ("stop", "web", "-m", "x"),
        ("stop", "web", "--no-wait", "--timeout", "3"),
        ("x",),
    ],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("arguments", [("status",), ("enable", "web")])
def test_a_daemon_out_of_reach_is_5_and_one_line(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, daemon=AbsentDaemon(UNREACHABLE))

    assert (result.exit_code, result.output) == (5, "rgmgr: rgmgrd does not run on this node\n")


@pytest.mark.parametrize(
    ("name", "fault", "text"),
    [
        ("org.freedesktop.DBus.Error.ServiceUnknown", Fault.UNREACHABLE, "systemctl status rgmgrd"),
        ("org.freedesktop.DBus.Error.NoReply", Fault.NO_ANSWER, "ended before it answered"),
        ("org.freedesktop.DBus.Error.Timeout", Fault.NO_ANSWER, "did not answer in time"),
        ("org.freedesktop.DBus.Error.AccessDenied", Fault.DENIED, "rgmgr-operator"),
        ("org.freedesktop.DBus.Error.Disconnected", Fault.UNREACHABLE, "cannot reach rgmgrd"),
        ("org.rgmgr.Error.AccessDenied", Fault.DENIED, "told"),
        ("org.rgmgr.Error.UnknownService", Fault.REFUSED, "told"),
    ],
)
def test_bus_errors_become_what_an_operator_can_do(name: str, fault: Fault, text: str) -> None:
    explained = explain(BusError("org.rgmgr", "Request", name, "told"))

    assert explained.fault is fault
    assert text in str(explained)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 s"),
        (999, "0 s"),
        (61_000, "1 min 1 s"),
        (3_600_000, "1 h"),
        (90_061_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_config_check_tells_all_problems_and_exits_78(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text('[cluster]\nname = "alpha"\nversoin = 3\n', encoding="utf-8")

    result = run("config", "check", str(file))

    assert result.exit_code == 78
    assert "cluster.versoin" in result.stderr
    assert "cluster.toml" in result.stderr


def test_config_check_of_a_missing_file_exits_78(tmp_path: Path) -> None:
    result = run("config", "check", str(tmp_path / "nope.toml"))

    assert result.exit_code == 78
    assert "nope.toml" in result.stderr


def test_config_check_says_that_a_file_is_good(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(GOOD_CONFIG, encoding="utf-8")

    result = run("config", "check", str(file))

    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{file}: no problems (cluster 'alpha', version 3, 1 nodes, 0 services)\n"
    )
    assert result.stderr == (
        "warning: fencing.unsafe_disabled: lost nodes are not fenced;"
        " a service may run twice and destroy its data\n"
    )


GOOD_CONFIG = """
[cluster]
name = "alpha"
version = 3

[fencing]
unsafe_disabled = true

[[node]]
name = "node1"
"""


def test_version() -> None:
    assert run("--version").output.startswith("rgmgr, version ")


def test_every_verb_can_be_listed_and_helped() -> None:
    listing = run("--help").output

    for verb in ("completion", "config", "disable", "enable", "relocate", "stop", "status"):
        assert verb in listing
        assert run(verb, "--help").exit_code == 0


def test_completion_is_shell_code() -> None:
    result = CliRunner().invoke(completion, ["zsh"])

    assert result.exit_code == 0
    assert "_RGMGR_COMPLETE=zsh_complete" in result.output
