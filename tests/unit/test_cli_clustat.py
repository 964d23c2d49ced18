# SPDX-License-Identifier: Apache-2.0
"""clustat against rgmanager's screens and exit codes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from rgmgr.cli.client import DaemonError, Fault
from rgmgr.cli.clustat import run
from rgmgr.cli.clustat_screens import Choice, cluster_id, text_screen, xml_screen
from rgmgr.view import Status
from tests.conftest import Golden
from tests.unit.cli_status import AbsentDaemon, FakeDaemon, healthy, inquorate, troubled, unfenced

NOW_S = 1_300_000_000
UNREACHABLE = AbsentDaemon(DaemonError(Fault.UNREACHABLE, "start it"))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Dates on the screens are local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "status", "choice"),
    [
        ("troubled", troubled(), Choice()),
        ("inquorate", inquorate(), Choice()),
        ("joining", unfenced(), Choice()),
        ("long", troubled(), Choice(is_long=True)),
        ("member", troubled(), Choice(member="node2")),
        ("service", troubled(), Choice(service="db")),
    ],
)
def test_text_screens(golden: Golden, name: str, status: Status, choice: Choice) -> None:
    screen = text_screen(status, NOW_S, choice, columns=80)

    golden(f"cli/clustat-{name}.txt", screen)


@pytest.mark.parametrize(
    ("name", "status", "choice"),
    [
        ("all", troubled(), Choice()),
        ("inquorate", inquorate(), Choice()),
        ("service", troubled(), Choice(service="web")),
    ],
)
def test_xml_screens(golden: Golden, name: str, status: Status, choice: Choice) -> None:
    screen = xml_screen(status, NOW_S, choice)

    ET.fromstring(screen)  # noqa: S314 - our own text
    golden(f"cli/clustat-{name}.xml", screen)


def test_xml_survives_any_name() -> None:
    """rgmanager did not escape, and its readers broke."""
    odd = """a<b>&"c'"""
    service = replace(troubled().services[0], name=odd, owner=odd)
    status = replace(troubled(), cluster=odd, services=(service,))

    root = ET.fromstring(xml_screen(status, NOW_S, Choice()))  # noqa: S314 - our own text

    cluster, group = root.find("cluster"), root.find("groups/group")
    assert cluster is not None
    assert group is not None
    assert cluster.get("name") == odd
    assert (group.get("name"), group.get("owner")) == (f"service:{odd}", odd)


def test_long_names_are_cut_so_that_columns_stay() -> None:
    status = troubled()
    service = replace(status.services[2], name="w" * 50, owner="o" * 50)
    node = replace(status.nodes[0], name="n" * 90)
    screen = text_screen(
        replace(status, services=(service,), nodes=(node,)), NOW_S, Choice(), columns=80
    )

    lines = screen.splitlines()
    assert lines[5] == f" {'n' * 40}    1 Online, Local, rgmanager"
    assert lines[9] == f" service:{'w' * 22} {'o' * 30} started    [Z]"


def test_the_id_of_a_cluster_is_the_one_cman_made_of_its_name() -> None:
    assert cluster_id("LabCluster") == 22068  # as a real clustat -x printed it


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("", 0),
        ("-f", 0),
        ("-l", 0),
        ("-x", 0),
        ("-m node1", 0),
        ("-m node3", 1),
        ("-m nope", 255),
        ("-s web", 0),
        ("-s service:web", 0),
        ("-s db", 114),
        ("-s nope", 255),
        ("-m node3 -s db", 1),
        ("-m node1 -s db", 114),
        ("-Q", 0),
        ("-I", 0),
        ("-v", 0),
        ("-h", 0),
        ("-i 5 -x", 1),
        ("-y", 1),
    ],
)
def test_exit_codes(arguments: str, code: int) -> None:
    assert run(["clustat", *arguments.split()], FakeDaemon(troubled())) == code


@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("starting", 111, 0),
        ("stopping", 113, 0),
        ("stopped", 110, 110),
        ("recoverable", 117, 117),
        ("recovering", 118, 118),
        ("disabled", 119, 119),
    ],
)
def test_the_state_of_a_service_is_the_exit_code(state: str, code: int, expected: int) -> None:
    service = replace(healthy().services[2], state=state, code=code)
    status = replace(healthy(), services=(service,))

    assert run(["clustat", "-s", "web"], FakeDaemon(status)) == expected


def test_quorum_is_told_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [run(["clustat", "-Q"], daemon) for daemon in (FakeDaemon(inquorate()), UNREACHABLE)]

    assert codes == [1, 1]
    assert capsys.readouterr() == ("", "")


def test_the_local_id_is_hexadecimal(capsys: pytest.CaptureFixture[str]) -> None:
    run(["clustat", "-I"], FakeDaemon(healthy()))

    assert capsys.readouterr().out == "0x00000001\n"


def test_without_quorum_no_service_is_shown_as_running(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["clustat", "-s", "web"], FakeDaemon(inquorate())) == 255
    assert "Operation requires quorum" in capsys.readouterr().out


def test_x_after_i_is_refused_with_rgmanagers_words(capsys: pytest.CaptureFixture[str]) -> None:
    run(["clustat", "-i", "2", "-x"], FakeDaemon(healthy()))

    assert capsys.readouterr().out == "Error: Options '-i' and '-x' are mutually exclusive\n"


def test_a_daemon_out_of_reach_is_exit_1_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["clustat"], UNREACHABLE) == 1
    assert capsys.readouterr().err == "Could not connect to resource group manager\nstart it\n"


def test_the_whole_screen_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    run(["clustat"], FakeDaemon(healthy()))

    assert re.match(
        r"Cluster Status for alpha @ .+\nMember Status: Quorate\n", capsys.readouterr().out
    )
