# SPDX-License-Identifier: Apache-2.0
"""clusvcadm against rgmanager's phrases, second lines and exit codes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.cli.client import DaemonError, Fault, Outcome
from rgmgr.cli.clusvcadm import run
from rgmgr.order_view import OrderView
from rgmgr.view import Status
from tests.unit.cli_status import AbsentDaemon, FakeDaemon, healthy

DONE = Outcome(0, "web is now running on node1", "node1")


def call(arguments: str, outcome: Outcome | DaemonError = DONE) -> tuple[int, FakeDaemon]:
    daemon = FakeDaemon(healthy(), outcome)
    return run(["/usr/sbin/clusvcadm", *arguments.split()], daemon), daemon


def asked(daemon: FakeDaemon) -> list[tuple[str, str, str]]:
    return [request[:3] for request in daemon.asked]


@pytest.mark.parametrize(
    ("arguments", "request_", "output"),
    [
        (
            "-e web",
            ("enable", "web", "node1"),
            (
                "Local machine trying to enable service:web...Success\n"
                "service:web is now running on node1\n"
            ),
        ),
        (
            "-e web -F",
            ("enable", "web", ""),
            (
                "Local machine trying to enable service:web...Success\n"
                "service:web is now running on node1\n"
            ),
        ),
        (
            "-e service:web -m node1",
            ("enable", "web", "node1"),
            (
                "Member node1 trying to enable service:web...Success\n"
                "service:web is now running on node1\n"
            ),
        ),
        (
            "-e web -n node2",
            ("enable", "web", "node2"),
            (
                "Member node2 trying to enable service:web...Success\n"
                "Warning: service:web is now running on node1\n"
            ),
        ),
        ("-d web", ("disable", "web", ""), "Local machine disabling service:web...Success\n"),
        ("-s web", ("stop", "web", ""), "Local machine stopping service:web...Success\n"),
        (
            "-c web",
            ("convalesce", "web", ""),
            "Local machine convalescing service:web...Success\n",
        ),
        (
            "-R web",
            ("restart", "web", ""),
            "Local machine trying to restart service:web...Success\n",
        ),
        (
            "-R web -m node2",
            ("restart", "web", ""),
            "Member node2 trying to restart service:web...Success\n",
        ),
        (
            "-r web",
            ("relocate", "web", ""),
            "Trying to relocate service:web...Success\nservice:web is now running on node1\n",
        ),
        (
            "-r web -m node2",
            ("relocate", "web", "node2"),
            (
                "Trying to relocate service:web to node2...Success\n"
                "Warning: service:web is now running on node1\n"
            ),
        ),
        (
            "-M web -m node2",
            ("migrate", "web", "node2"),
            "Trying to migrate service:web to node2...Success\n",
        ),
        (
            "-e web -d web",
            ("disable", "web", ""),
            "Local machine disabling service:web...Success\n",
        ),
        ("-d web -q", ("disable", "web", ""), ""),
        ("-Z web", ("freeze", "web", ""), "Local machine freezing service:web...Success\n"),
        ("-U web", ("unfreeze", "web", ""), "Local machine unfreezing service:web...Success\n"),
    ],
)
def test_phrases_and_second_lines(
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    request_: tuple[str, str, str],
    output: str,
) -> None:
    code, daemon = call(arguments)

    assert code == 0
    assert asked(daemon) == [request_]
    assert capsys.readouterr().out == output


@pytest.mark.parametrize(
    ("result", "code", "text"),
    [
        (-1, 255, "Failure"),
        (-2, 254, "Aborted; service failed"),
        (-4, 252, "Service does not exist"),
        (-6, 250, "Temporary failure; try again"),
        (-7, 249, "Operation violates dependency rule"),
        (-8, 248, "Invalid operation for resource"),
        (-9, 247, "Operation requires quorum"),
        (-10, 0, "Service is already running"),
        (-11, 245, "Failure: Service is frozen"),
        (-12, 244, "Target node dead / nonexistent"),
        (-17, 239, "Failed; service running on original owner"),
    ],
)
def test_results_have_rgmanagers_words_and_codes(
    capsys: pytest.CaptureFixture[str], result: int, code: int, text: str
) -> None:
    assert call("-e web", Outcome(result, "the reason", ""))[0] == code

    output = capsys.readouterr()
    assert output.out == f"Local machine trying to enable service:web...{text}\n"
    assert output.err == ("the reason\n" if code else "")


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        ("AccessDenied", 238, "Permission denied"),
        ("UnknownService", 252, "Service does not exist"),
        ("Busy", 250, "Temporary failure; try again"),
        ("NotReady", 247, "Operation requires quorum"),
    ],
)
def test_a_refusal_at_the_door_is_a_result_too(
    capsys: pytest.CaptureFixture[str], name: str, code: int, text: str
) -> None:
    assert call("-d web", DaemonError(Fault.REFUSED, "why", name))[0] == code

    assert capsys.readouterr().out == f"Local machine disabling service:web...{text}\n"


@pytest.mark.parametrize(
    ("typed", "output", "code"),
    [
        ("nod", "More than one possible match for 'nod' found\n", 1),
        ("node2.example.org", "Closest match: 'node2'\n", 0),
        ("x", "No matches for 'x' found\n", 1),
        ("alphabet", "Closest match: 'alpha-1'\n", 0),
    ],
)
def test_a_member_is_found_by_its_longest_common_beginning(
    capsys: pytest.CaptureFixture[str], typed: str, output: str, code: int
) -> None:
    daemon = FakeDaemon(_with_another_name(healthy()), DONE)

    assert run(["clusvcadm", "-r", "web", "-m", typed], daemon) == code

    lines = capsys.readouterr().out
    assert lines.startswith(f"'{typed}' not in membership list\n{output}")
    assert bool(daemon.asked) is (code == 0)


def _with_another_name(status: Status) -> Status:
    return replace(status, nodes=(*status.nodes[:2], replace(status.nodes[2], name="alpha-1")))


@pytest.mark.parametrize("arguments", ["", "-m node1", "-h", "-e web extra", "-y", "-e"])
def test_wrong_usage_shows_the_usage_and_exits_1(
    capsys: pytest.CaptureFixture[str], arguments: str
) -> None:
    code, daemon = call(arguments)

    assert (code, daemon.asked) == (1, [])
    assert capsys.readouterr().out.startswith("usage: clusvcadm [command]\n")


def test_a_migration_needs_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    code, daemon = call("-M web")

    assert (code, daemon.asked) == (1, [])
    assert capsys.readouterr().out == "Migration requires a target cluster member\n"


def test_by_domain_and_a_member_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("-e web -F -m node1")[0] == 1
    assert capsys.readouterr().out == "Cannot use '-F' with '-n' or '-m'\n"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            DaemonError(Fault.UNREACHABLE, "start it"),
            1,
            "Could not connect to resource group manager\nstart it\n",
        ),
        (DaemonError(Fault.DENIED, "not you"), 238, "Permission denied\n"),
    ],
)
def test_nobody_to_ask(
    capsys: pytest.CaptureFixture[str], error: DaemonError, code: int, text: str
) -> None:
    assert run(["clusvcadm", "-e", "web"], AbsentDaemon(error)) == code
    assert capsys.readouterr().err == text


def test_a_daemon_that_is_lost_on_the_way_leaves_a_whole_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lost = DaemonError(Fault.NO_ANSWER, "rgmgrd ended before it answered", "NoReply")

    assert call("-d web", lost)[0] == 1

    output = capsys.readouterr()
    assert output.out == "Local machine disabling service:web...\n"
    assert output.err == "rgmgrd ended before it answered\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("-v")[0] == 0
    assert capsys.readouterr().out.startswith("clusvcadm ")


@pytest.mark.parametrize(
    ("arguments", "order", "text"),
    [
        ("-l", "lock", "Resource groups locked\n"),
        ("-u", "unlock", "Resource groups unlocked\n"),
        ("-l -q", "lock", ""),
        ("-l -e web", "lock", "Resource groups locked\n"),
    ],
)
def test_services_are_locked_and_unlocked(
    capsys: pytest.CaptureFixture[str], arguments: str, order: str, text: str
) -> None:
    code, daemon = call(arguments)

    assert code == 0
    assert asked(daemon) == [(order, "", "")]
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(
    ("arguments", "text"), [("-l", "Lock operation failed\n"), ("-u", "Unlock operation failed\n")]
)
def test_a_lock_that_fails_says_so(
    capsys: pytest.CaptureFixture[str], arguments: str, text: str
) -> None:
    assert call(arguments, DaemonError(Fault.REFUSED, "no quorum", "NotReady"))[0] == 1
    assert capsys.readouterr() == (text, "no quorum\n")


def test_the_lock_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lock = OrderView(by="bob", because="", age_ms=0, left_ms=None, wall_s=0, brings_back=False)

    for status in (healthy(), replace(healthy(), locked=lock)):
        daemon = FakeDaemon(status)
        assert run(["clusvcadm", "-S"], daemon) == 0
        assert daemon.asked == []

    assert capsys.readouterr().out == "Resource groups unlocked\nResource groups locked\n"
