# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.client import WAIT_FOREVER_S, DaemonError, Fault, Outcome
from rgmgr.cli.fence_classic import fence_ack_manual, fence_node
from rgmgr.cli.main import cli
from rgmgr.core.actions import Answer
from rgmgr.core.model import FencePath, NodeStatus, PathState, PathTest
from rgmgr.fence_view import CaseView, OutageView, PathView, SightView, TrialView
from rgmgr.view import Status, snapshot
from tests.unit.cli_status import (
    CLUSTER,
    NODE1,
    NODE2,
    SPEC,
    STANDING,
    AbsentDaemon,
    FakeDaemon,
    healthy,
    troubled,
)

REFUSED = Outcome(Answer.NOT_ALLOWED.value, "node1 is online: it is alive", "")
GONE = AbsentDaemon(DaemonError(Fault.UNREACHABLE, "rgmgrd does not run on this node"))


def run(*arguments: str, daemon: object = None, typed: str = "") -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb", "TZ": "UTC"})
    shown = daemon or FakeDaemon(troubled())
    return runner.invoke(cli, ["fence", *arguments], obj=shown, input=typed)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("node3",), ("fence fence", "", "node3", WAIT_FOREVER_S)),
        (("node3", "--off"), ("fence off", "", "node3", WAIT_FOREVER_S)),
        (("--off", "node3", "--timeout", "9"), ("fence off", "", "node3", 9.0)),
        (("node3", "--because", "CHG-1"), ("fence fence", "", "node3", WAIT_FOREVER_S)),
        (("ack", "node3", "--yes"), ("fence ack", "", "node3", WAIT_FOREVER_S)),
        (("cancel", "node3"), ("fence cancel", "", "node3", WAIT_FOREVER_S)),
        (("test",), ("fence test", "", "", WAIT_FOREVER_S)),
        (("test", "node3", "--timeout", "2"), ("fence test", "", "node3", 2.0)),
    ],
)
def test_each_verb_asks_for_its_own_thing(
    arguments: tuple[str, ...], asked: tuple[str, str, str, float]
) -> None:
    daemon = FakeDaemon(troubled())
    result = run(*arguments, daemon=daemon)

    assert (result.exit_code, daemon.asked) == (0, [asked])
    assert "done" in result.output


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (REFUSED, 3),
        (Outcome(Answer.FAILED.value, "called off by bob", ""), 1),
        (DaemonError(Fault.NO_ANSWER, "no answer", "Timeout"), 4),
        (DaemonError(Fault.DENIED, "uid 7 is not root", "AccessDenied"), 3),
    ],
)
def test_what_is_not_done_has_its_exit_code(outcome: Outcome | DaemonError, status: int) -> None:
    result = run("node1", daemon=FakeDaemon(troubled(), outcome))

    assert result.exit_code == status
    assert result.stderr.startswith("rgmgr: ")


def test_a_daemon_that_is_away_is_said() -> None:
    for arguments in (("node1",), ("ack", "node1", "--yes"), ("history",), ("test",)):
        assert run(*arguments, daemon=GONE).exit_code == 5


@pytest.mark.parametrize("typed", ["", "y\n", "node2\n"])
def test_a_word_is_given_only_with_the_name_of_the_node(typed: str) -> None:
    daemon = FakeDaemon(troubled())
    result = run("ack", "node3", daemon=daemon, typed=typed)

    assert (result.exit_code, daemon.asked) == (3, [])
    assert "twice" in result.stderr
    assert run("ack", "node3", daemon=daemon, typed="node3\n").exit_code == 0
    assert len(daemon.asked) == 1


def with_paths() -> Status:
    bad = PathView(
        method=1, device="ipmi1", by="node2", state="fails", detail="no answer", age_ms=61_000
    )
    good = replace(bad, by="node3", state="works", detail="", age_ms=2_000)
    status = healthy()
    return replace(status, nodes=(replace(status.nodes[0], paths=(bad, good)), *status.nodes[1:]))


def test_a_test_shows_every_path_and_fails_with_one() -> None:
    failed = Outcome(Answer.FAILED.value, "1 of 2 fence paths work", "")
    result = run("test", "node1", daemon=FakeDaemon(with_paths(), failed))

    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "node1: method 1, ipmi1 from node2: FAILS, tested 1 min 1 s ago, no answer",
        "node1: method 1, ipmi1 from node3: works, tested 2 s ago",
        "1 of 2 fence paths work",
    ]
    found = json.loads(run("test", "--json", daemon=FakeDaemon(with_paths(), failed)).output)
    assert found["schema"] == 1
    assert [path["state"] for path in found["paths"]["node1"]] == ["fails", "works"]


CASE = CaseView(
    number=7,
    node="node1",
    cause="it left the ring without goodbye",
    by="node2",
    attempts=2,
    outcome="proven",
    detail="method 1: ipmi1: off",
    age_ms=90_000,
    begun_after_ms=0,
    ended_after_ms=1_200,
    wall_s=1_700_000_000,
    epoch=8,
    members=("node2", "node3"),
    trials=(
        TrialView(by="node3", begun_after_ms=0, ended_after_ms=300, result="ipmi1: no answer"),
        TrialView(by="node2", begun_after_ms=800, ended_after_ms=1_200, result="ipmi1: off"),
    ),
    outages=(
        OutageView(service="web", back_after_ms=1_900, back_on="node2"),
        OutageView(service="db", back_after_ms=None, back_on=None),
    ),
    ring_seq=144,
    sights=(
        SightView(
            by="node2", link=0, is_up=False, found_after_ms=200, before_after_ms=-4_800, losses=1
        ),
        SightView(
            by="node2", link=1, is_up=False, found_after_ms=None, before_after_ms=None, losses=0
        ),
        SightView(
            by="node3", link=0, is_up=True, found_after_ms=None, before_after_ms=None, losses=0
        ),
    ),
)


def tell(which: str, *cases: CaseView) -> Result:
    daemon = FakeDaemon(replace(healthy(), cases=cases))
    return CliRunner(env={"TZ": "UTC"}).invoke(cli, ["incident", *which.split()], obj=daemon)


def test_an_incident_is_told_as_a_story() -> None:
    lines = tell("", CASE).output.splitlines()
    told = "             link 0 from node2 to node1 is DOWN:"

    assert lines[0].startswith("incident 7: node1 was lost 2023-11-1")
    assert lines[1:] == [
        "  evidence   it left the ring without goodbye",
        f"{told} found so at 0.2 s, still up at -4.8 s; losses so far: 1",
        "             link 1 from node2 to node1 is DOWN: it has not been up",
        "             link 0 from node3 to node1 is up as it was all the time",
        "  decided    by node2, node3 together, in epoch 8, ring 144",
        "  attempt 1  node3 began at 0.0 s, took 0.3 s: ipmi1: no answer",
        "  attempt 2  node2 began at 0.8 s, took 0.4 s: ipmi1: off",
        "  outcome    proven by node2 after 1.2 s",
        "  parts      waited 0.0 s, fenced in 1.2 s, services back 0.7 s later",
        "  service    web: back on node2 after 1.9 s",
        "  service    db: is NOT BACK",
    ]


def test_the_incident_that_is_wanted_is_found() -> None:
    other = replace(CASE, number=9, node="node2", outages=(), ended_after_ms=None, wall_s=0)
    first = replace(CASE, number=3, trials=CASE.trials[1:])

    assert tell("last", CASE, other).output.startswith("incident 9: node2")
    assert tell("node1", first, CASE, other).output.startswith("incident 7: node1")
    assert "(1 earlier attempts are not kept)\n  attempt 2 " in tell("3", first, CASE).output
    assert "open: nothing proves" in tell("9", CASE, other).output
    assert "none were on it" in tell("9", CASE, other).output
    assert json.loads(tell("7 --json", CASE).output)["incident"]["number"] == 7
    missing = tell("node9", CASE)
    assert (missing.exit_code, "no incident 'node9'" in missing.stderr) == (3, True)


def test_the_history_tells_what_became_of_each_node() -> None:
    still_open = replace(
        CASE, outcome="open", detail="", ended_after_ms=None, wall_s=0, attempts=1, by=None
    )
    daemon = FakeDaemon(replace(healthy(), cases=(CASE, still_open)))

    first, second = run("history", daemon=daemon).output.splitlines()
    assert first.endswith(
        "node1: it left the ring without goodbye; proven by node2 after 1.2 s, 2 attempts"
        " (method 1: ipmi1: off)"
    )
    assert first.startswith("2023-11-1")
    assert second == "1 min 30 s ago  node1: it left the ring without goodbye; open"
    told = json.loads(run("history", "--json", daemon=daemon).output)
    assert (told["schema"], [found["number"] for found in told["cases"]]) == (1, [7, 7])
    assert "no node was lost" in run("history", daemon=FakeDaemon(healthy())).output


def test_paths_and_withheld_fences_are_told_first() -> None:
    text = "\n".join(notice.text for notice in snapshot_with_trouble().notices)

    assert "node1: NO fence path works (ipmi1, seen by node2): no answer" in text
    assert "not being fenced: called off by bob; 'rgmgr fence node1'" in text


def snapshot_with_trouble() -> Status:
    path = FencePath(
        node=NODE1, method=0, step=0, device="ipmi1", state=PathState.FAILS, detail="no answer"
    )
    lost = replace(CLUSTER.nodes[NODE1], status=NodeStatus.UNCLEAN, withheld="called off by bob")
    cluster = replace(
        CLUSTER,
        nodes={**CLUSTER.nodes, NODE1: lost},
        tests={NODE2: PathTest(paths=(path,))},
    )
    return snapshot(cluster, STANDING, SPEC)


def test_the_old_names_keep_their_words_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    daemon = FakeDaemon(troubled())
    assert fence_node(["-v", "node3"], connector=daemon) == 0
    assert capsys.readouterr().err == "fence node3 success\ndone\n"
    assert fence_node(["node3"], connector=FakeDaemon(troubled(), REFUSED)) == 1
    assert "fence node3 failed" in capsys.readouterr().err
    assert fence_ack_manual(["-O", "node3"], connector=daemon) == 0
    assert capsys.readouterr().out == "Done\n"

    assert fence_ack_manual(["-n", "node3"], connector=daemon, read_line=lambda: "yes\n") == 1
    assert capsys.readouterr().out.endswith("Continue [NO/absolutely]? Aborted.\n")
    refusing = FakeDaemon(troubled(), REFUSED)
    assert fence_ack_manual(["node3"], connector=refusing, read_line=lambda: "absolutely\n") == 1
    assert [asked[0] for asked in daemon.asked] == ["fence fence", "fence ack"]


@pytest.mark.parametrize("command", [fence_node, fence_ack_manual])
@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["-x"]])
def test_wrong_usage_of_the_old_names_changes_nothing(
    command: object, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(command)
    assert command(arguments, connector=GONE) == 1
    assert "Usage: " in capsys.readouterr().err
    assert command(["-h"], connector=GONE) == 0
    assert command(["-V"], connector=GONE) == 0
    assert fence_node(["node1"], connector=GONE) == 1
