# SPDX-License-Identifier: Apache-2.0
"""`rgmgr what-if`: questions, refusals and screens; the answers are tested with the simulator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.client import DaemonError, Fault
from rgmgr.cli.main import cli
from rgmgr.core.model import NodeStatus
from rgmgr.present import Present, Span, fence_of, start_of
from rgmgr.sim.stage import present_of, quiet_start
from tests.conftest import Golden
from tests.simulation.forecast_cluster import DB, THREE, WEB, cluster, service
from tests.unit.cli_status import AbsentDaemon, FakeDaemon, healthy

UNREACHABLE = AbsentDaemon(DaemonError(Fault.UNREACHABLE, "rgmgrd does not run on this node"))
CONFIG = """
[cluster]
name = "alpha"
version = {version}
[[node]]
name = "node1"
fence = [[{{ device = "pdu", plug = 1 }}]]
[[node]]
name = "node2"
fence = [[{{ device = "pdu", plug = 2 }}]]
[[node]]
name = "node3"
fence = [[{{ device = "pdu", plug = 3 }}]]
[fencing.device.pdu]
agent = "fence_pdu"
"""
SERVICE = """
[[service]]
name = "{name}"
[[service.resource]]
type = "systemd"
unit = "{name}.service"
"""


def present() -> Present:
    found = present_of(quiet_start(cluster(service(WEB), service(DB, "stay"))))
    measured = {
        start_of(WEB): Span(700, 900, 3),
        start_of(DB): Span(1_400, 1_500, 3),
        fence_of("node1"): Span(2_000, 2_500, 2),
        fence_of("node2"): Span(2_000, 2_500, 2),
    }
    around = replace(found.around, measured=measured, detection_ms=2_200)
    return Present(found.cluster, around)


def ask(*arguments: str, daemon: object = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
    live = FakeDaemon(healthy(), told=present())
    return runner.invoke(cli, ["what-if", *arguments], obj=daemon or live)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("node-dies", ("node", "node1", "dies")),
        ("service-cannot-stop", ("service", "web", "cannot", "stop")),
        ("partition", ("partition", "node1,node2", "node3")),
    ],
)
def test_a_plan_for_people(golden: Golden, name: str, arguments: tuple[str, ...]) -> None:
    result = ask(*arguments)

    assert result.exit_code == 0, result.output
    text = "\n".join(line.rstrip() for line in result.output.splitlines()) + "\n"
    golden(f"cli/what-if-{name}.txt", text)


def test_the_same_as_json() -> None:
    fields = json.loads(ask("node", "node1", "dies", "--json").output)

    assert fields["schema"] == 1
    assert fields["question"] == "node1 dies"
    kinds = [step["kind"] for step in fields["steps"]]
    assert kinds == ["lost", "fence", "fenced", "start", "start"]
    assert {s["service"]: s["after"]["owner"] for s in fields["services"]} == {
        "web": "node2",
        "db": "node2",
    }
    assert fields["nodes"][0] == {"name": "node1", "before": "online", "after": "fenced"}
    assert fields["assumptions"] == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("node", "nod1", "dies"), "no node is named 'nod1' (did you mean 'node1'?)"),
        (("node", "x", "dies"), "no node is named 'x' (there are node1, node2, node3)"),
        (("service", "wbe", "fails"), "no service is named 'wbe' (did you mean 'web'?)"),
        (("node", "node1", "returns"), "node1 cannot be the one that returns: it is online now"),
        (("partition", "node1,nod2"), "no node is named 'nod2' (did you mean 'node2'?)"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], text: str) -> None:
    result = ask(*arguments)

    assert (result.exit_code, result.stderr) == (3, f"rgmgr: {text}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("node", "node1", "explodes"),
        ("service", "web", "cannot", "start"),
        ("partition", "node1,node1"),
        ("partition", "node1,node2,node3"),
        ("partition",),
    ],
)
def test_wrong_usage_is_said_to_be_that(arguments: tuple[str, ...]) -> None:
    assert ask(*arguments).exit_code == 2


def test_a_member_that_does_not_know_the_present_says_so() -> None:
    found = present()
    cut_off = Present(found.cluster, replace(found.around, is_quorate=False))

    result = ask("node", "node1", "dies", daemon=FakeDaemon(healthy(), told=cut_off))

    assert result.exit_code == 3
    assert "has no quorum, so it does not know the present" in result.stderr


def test_without_a_daemon_a_file_can_be_asked_about(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text(CONFIG.format(version=1) + SERVICE.format(name="web"))

    live = ask("node", "node1", "dies", daemon=UNREACHABLE)
    asked = ask("node", "node1", "dies", "--config", str(file), daemon=UNREACHABLE)

    assert live.exit_code == 5
    assert "--config /etc/rgmgr/cluster.toml" in live.stderr
    assert asked.exit_code == 0, asked.output
    assert "after a quiet start with" in asked.output


def test_a_file_with_problems_ends_with_78(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    file.write_text("[cluster]\n")

    result = ask("node", "node1", "dies", "--config", str(file))

    assert result.exit_code == 78
    assert "cluster.name" in result.stderr


def test_a_new_configuration_is_compared_with_the_old_one(tmp_path: Path) -> None:
    old, new, same = (tmp_path / name for name in ("old.toml", "new.toml", "same.toml"))
    old.write_text(CONFIG.format(version=1) + SERVICE.format(name="web"))
    both = SERVICE.format(name="web") + SERVICE.format(name="mail")
    new.write_text(CONFIG.format(version=2) + both)
    same.write_text(CONFIG.format(version=1) + both)

    added = ask("config", str(new), "--config", str(old), "--json")
    ignored = ask("config", str(same), "--config", str(old))

    assert {s["service"]: s["verdict"] for s in json.loads(added.output)["services"]} == {
        "web": "unaffected",
        "mail": "started",
    }
    assert ignored.exit_code == 3
    assert "set cluster.version = 2" in ignored.stderr


def test_only_what_plays_a_part_is_said_to_be_assumed() -> None:
    fenced = json.loads(ask("node", "node3", "dies", "--json").output)
    stopped = json.loads(ask("node", "node1", "leaves", "--json").output)

    (note,) = fenced["assumptions"]
    assert note.startswith("fencing of node3 was not measured yet: 2.0 s, as that of other nodes")
    assert stopped["assumptions"] == [
        "stops of web, db were not measured yet: 1 s for each resource"
    ]


def test_what_is_under_way_is_said_to_end_first() -> None:
    found = present()
    nodes = {**found.cluster.nodes}
    nodes[THREE] = replace(nodes[THREE], status=NodeStatus.DETACHED)
    detached = Present(replace(found.cluster, nodes=nodes), found.around)

    result = ask("node", "node1", "dies", "--json", daemon=FakeDaemon(healthy(), told=detached))

    notes = json.loads(result.output)["assumptions"]
    assert notes[0] == "what is under way now has come to its end before: node3 is detached"


def test_no_colour_reaches_a_pipe() -> None:
    assert "\033[" not in ask("node", "node1", "dies").output
