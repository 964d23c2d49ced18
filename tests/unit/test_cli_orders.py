# SPDX-License-Identifier: Apache-2.0
"""Standing orders and their ends, conditions, history: what is asked and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.client import WAIT_FOREVER_S, DaemonError, Fault, Outcome, Terms
from rgmgr.cli.main import cli
from rgmgr.cli.orders import classic_standby, classic_takeover
from rgmgr.core.actions import Answer
from rgmgr.core.model import StandingOrder
from rgmgr.history_view import DecisionView, History
from rgmgr.view import Status, decode_status, encode_status, snapshot
from tests.unit.cli_status import CLUSTER, NODE2, SPEC, STANDING, FakeDaemon, healthy, troubled

TIMEOUT = DaemonError(Fault.NO_ANSWER, "rgmgrd did not answer in time", "Timeout")
HISTORY = History(
    decisions=(
        DecisionView(
            age_ms=90_000,
            wall_s=0,
            event="service.starting",
            facts={"service": "web", "owner": "n1"},
        ),
        DecisionView(
            age_ms=60_000,
            wall_s=0,
            event="request.accepted",
            facts={
                "request": "relocate",
                "service": "web",
                "by": "n2",
                "user": "alice (uid 0) on n2",
                "because": "CHG-123",
            },
        ),
        DecisionView(age_ms=5_000, wall_s=0, event="member.left", facts={"node": "n3"}),
    )
)


def run(*arguments: str, daemon: object = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", "TERM": "dumb"})
    return runner.invoke(cli, list(arguments), obj=daemon or FakeDaemon(healthy()))


@pytest.mark.parametrize(
    ("arguments", "asked", "terms"),
    [
        (("node", "standby", "node2"), ("standby", "node2"), Terms()),
        (
            ("node", "standby", "node2", "--for", "1h 30min", "--return", "--because", "CHG-1"),
            ("standby", "node2"),
            Terms(for_ms=5_400_000, brings_back=True, because="CHG-1"),
        ),
        (
            ("node", "unstandby", "node2", "--return"),
            ("unstandby", "node2"),
            Terms(brings_back=True),
        ),
        (("disarm", "--for", "30m"), ("disarm", ""), Terms(for_ms=1_800_000)),
        (("arm",), ("arm", ""), Terms()),
        (("lock", "--because", "power cut"), ("lock", ""), Terms(because="power cut")),
        (("unlock",), ("unlock", ""), Terms()),
    ],
)
def test_an_order_is_asked_with_its_terms(
    arguments: tuple[str, ...], asked: tuple[str, str], terms: Terms
) -> None:
    daemon = FakeDaemon(healthy(), Outcome(0, "as ordered", ""))

    result = run(*arguments, daemon=daemon)

    assert (result.exit_code, result.output) == (0, "as ordered\n")
    assert daemon.asked == [(asked[0], "", asked[1], WAIT_FOREVER_S)]
    assert daemon.ordered == [terms]


@pytest.mark.parametrize(
    "arguments",
    [
        ("disarm",),
        ("disarm", "--for", "soon"),
        ("node", "standby"),
        ("lock", "web"),
        ("node", "hug"),
    ],
)
def test_a_wrong_order_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    daemon = FakeDaemon(healthy())

    assert run(*arguments, daemon=daemon).exit_code == 2
    assert daemon.asked == []


def test_a_refused_order_says_why() -> None:
    daemon = FakeDaemon(
        healthy(), Outcome(Answer.TRY_AGAIN.value, "services are locked by bob", "")
    )

    result = run("node", "standby", "node2", daemon=daemon)

    assert result.exit_code == 3
    assert result.stderr == "rgmgr: cannot put node2 in standby: services are locked by bob\n"


def test_an_order_need_not_be_waited_for() -> None:
    result = run("node", "standby", "node2", "--no-wait", daemon=FakeDaemon(healthy(), TIMEOUT))

    assert result.exit_code == 0
    assert (
        result.output == "asked to put node2 in standby; not waiting (see 'rgmgr status node2')\n"
    )


@pytest.mark.parametrize(
    ("command", "asked", "terms"),
    [
        (classic_standby, "standby", Terms()),
        (classic_takeover, "unstandby", Terms(brings_back=True)),
    ],
)
def test_the_commands_of_heartbeat_are_about_this_node(
    command: object, asked: str, terms: Terms
) -> None:
    daemon = FakeDaemon(healthy())

    result = CliRunner().invoke(command, [], obj=daemon)  # type: ignore[arg-type]

    assert result.exit_code == 0
    assert daemon.asked == [(asked, "", "node1", WAIT_FOREVER_S)]
    assert daemon.ordered == [terms]


def test_every_changing_verb_carries_its_reason() -> None:
    daemon = FakeDaemon(healthy())
    for verb in ("enable", "disable", "stop", "restart", "relocate"):
        run(verb, "web", "--because", f"CHG {verb}", daemon=daemon)

    assert daemon.reasons == [
        "CHG enable",
        "CHG disable",
        "CHG stop",
        "CHG restart",
        "CHG relocate",
    ]


# Loud in every status.


def ordered() -> Status:
    order = StandingOrder(
        by="bob (uid 0) on node1", because="switch", since_ms=1, until_ms=9_000_000
    )
    cluster = replace(CLUSTER, disarmed=order, locked=order, standby={NODE2: order})
    return snapshot(cluster, STANDING, SPEC)


def test_orders_are_loud_in_every_status() -> None:
    daemon = FakeDaemon(ordered())

    whole, service = run("status", daemon=daemon).output, run("status", "web", daemon=daemon).output

    for output in (" ".join(whole.split()), " ".join(service.split())):
        assert "the cluster is disarmed: it starts, stops and fences nothing by itself" in output
        assert "services are locked: none starts" in output
        assert "for 3 h more" in output or "for 134 min more" in output
        assert "(ordered by bob (uid 0) on node1: switch)" in output
    assert "STANDBY" in whole


def test_orders_are_in_the_json() -> None:
    found = decode_status(encode_status(ordered()))

    assert found.disarmed
    assert found.locked
    assert found.disarmed.left_ms == 9_000_000 - 1_000_000
    assert [node.name for node in found.nodes if node.standby] == ["node2"]


# Conditions.


@pytest.mark.parametrize(
    ("condition", "status", "exit_code"),
    [
        ("quorate", healthy(), 0),
        ("joined", healthy(), 0),
        ("settled", healthy(), 0),
        ("well", healthy(), 0),
        ("well", troubled(), 1),
        ("settled", troubled(), 1),
        ("armed", healthy(), 0),
        ("armed", ordered(), 1),
        ("disarmed", ordered(), 0),
        ("locked", ordered(), 0),
        ("started web", healthy(), 0),
        ("running service:web", healthy(), 0),
        ("started db", troubled(), 1),
        ("failed db", troubled(), 0),
        ("frozen web", troubled(), 0),
        ("partial web", troubled(), 1),
        ("online node1", healthy(), 0),
        ("member node3", healthy(), 1),
        ("unclean node3", troubled(), 0),
        ("standby node2", ordered(), 0),
        ("standby node1", ordered(), 1),
        ("started nope", healthy(), 3),
        ("online nope", healthy(), 3),
        ("wonderful", healthy(), 2),
        ("started", healthy(), 2),
        ("quorate web", healthy(), 2),
    ],
)
def test_a_condition_is_told_by_the_exit_code(
    condition: str, status: Status, exit_code: int
) -> None:
    result = run("is", *condition.split(), daemon=FakeDaemon(status))

    assert result.exit_code == exit_code
    assert result.stdout == ""


def test_a_condition_can_be_told_in_words() -> None:
    assert run("is", "started", "web", "-v").output == "started web: yes\n"


def test_waiting_looks_again_at_every_change() -> None:
    daemon = FakeDaemon(troubled(), later=[troubled(), healthy()])

    result = run("wait", "started", "db", daemon=daemon)

    assert (result.exit_code, result.output) == (0, "")
    assert daemon.later == []


def test_waiting_has_an_end() -> None:
    result = run("wait", "started", "db", "--timeout", "0.001s", daemon=FakeDaemon(troubled()))

    assert result.exit_code in (4, 130)  # the fake's patience may end first


# History.


def test_the_history_tells_who_asked_and_why() -> None:
    daemon = FakeDaemon(healthy(), decided=HISTORY)

    assert run("history", daemon=daemon).output.splitlines() == [
        "1 min 30 s ago  web is given to n1",
        "1 min ago  the members accept: relocate web (user: alice (uid 0) on n2; because: CHG-123)",
        "5 s ago  n3 is lost",
    ]
    assert run("history", "n3", daemon=daemon).output == "5 s ago  n3 is lost\n"
    assert len(run("history", "service:web", "-n", "1", daemon=daemon).output.splitlines()) == 1
    assert run("history", "db", daemon=daemon).output == "nothing is kept about 'db'\n"


def test_the_history_has_json() -> None:
    fields = json.loads(
        run("history", "--json", daemon=FakeDaemon(healthy(), decided=HISTORY)).output
    )

    assert fields["schema"] == 1
    assert [entry["event"] for entry in fields["decisions"]] == [
        "service.starting",
        "request.accepted",
        "member.left",
    ]


# Watching.


def test_watching_without_a_terminal_prints_what_is_new() -> None:
    daemon = FakeDaemon(troubled(), later=[troubled(), healthy()])

    result = run("status", "web", "--watch", "--json", daemon=daemon)

    shown = [decode_status(line) for line in result.output.splitlines()]
    assert [status.services[0].flags for status in shown] == [("frozen",), ()]
    assert result.exit_code == 0


@pytest.mark.parametrize("word", ["confirm", "refuse"])
def test_a_takeover_is_decided(word: str) -> None:
    daemon = FakeDaemon(healthy(), Outcome(0, "as decided", "node1"))

    result = run("takeover", word, "web", "--because", "checked the disk", daemon=daemon)

    assert (result.exit_code, result.output) == (0, "as decided\n")
    assert daemon.asked == [(word, "web", "", WAIT_FOREVER_S)]
    assert daemon.reasons == ["checked the disk"]
