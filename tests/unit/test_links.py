# SPDX-License-Identifier: Apache-2.0
"""What is unwise in a corosync is said, with what to do; and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner, Result

from rgmgr.cli.client import DaemonError, Fault
from rgmgr.cli.main import cli
from rgmgr.links import (
    CorosyncView,
    QuorumView,
    TotemView,
    encode_corosync,
    from_properties,
    properties,
    seen,
    unknown,
)
from tests.conftest import Golden
from tests.unit.cli_links import LINKS, QUORUM, TOTEM, broken, sound, two_nodes
from tests.unit.cli_status import AbsentDaemon, FakeDaemon, healthy


def codes(view: CorosyncView) -> list[str]:
    return [warning.code for warning in view.warnings]


def of(
    totem: TotemView = TOTEM, quorum: QuorumView | None = QUORUM, down: tuple[int, ...] = ()
) -> CorosyncView:
    links = tuple(replace(link, is_connected=place not in down) for place, link in enumerate(LINKS))
    return seen(CorosyncView(node="node1", totem=totem, quorum=quorum, links=links))


def test_a_sound_cluster_is_not_warned_of() -> None:
    assert codes(sound()) == []
    assert codes(two_nodes("two_node", "wait_for_all")) == ["single-link"]


@pytest.mark.parametrize(
    ("view", "code", "words"),
    [
        (of(replace(TOTEM, link_count=1)), "single-link", "second address"),
        (of(replace(TOTEM, link_mode="passive")), "passive-links", "set it to active"),
        (of(down=(1,)), "link-down", "link 1 to node2 (10.1.0.1 to 10.1.0.2) is down"),
        (
            of(replace(TOTEM, crypto_cipher="none", crypto_hash="none")),
            "no-encryption",
            "neither encrypted nor authenticated",
        ),
        (of(replace(TOTEM, crypto_cipher="none")), "no-encryption", "set crypto_cipher to aes256"),
        (
            of(replace(TOTEM, token_ms=4_600, consensus_ms=5_520, detection_ms=10_120)),
            "slow-detection",
            "after 10.1 s only (token 4600 ms and consensus 5520 ms)",
        ),
        (of(replace(TOTEM, token_ms=400)), "short-token", "token of 400 ms"),
        (of(replace(TOTEM, ping_timeout_ms=500)), "short-ping-timeout", "set it to 2000"),
        (of(quorum=None), "no-quorum-provider", "provider: corosync_votequorum"),
        (
            of(quorum=replace(QUORUM, qdevice="arbiter", qdevice_votes=1)),
            "qdevice-down",
            "'arbiter' does not vote",
        ),
        (two_nodes("two_node"), "two-node-unsafe", "remove 'wait_for_all: 0'"),
        (two_nodes(), "two-node-missing", "set 'two_node: 1'"),
    ],
)
def test_what_is_unwise_is_said_with_what_to_do(view: CorosyncView, code: str, words: str) -> None:
    assert words in {w.code: w.text for w in view.warnings}[code]


def test_what_is_just_within_the_limits_is_not_warned_of() -> None:
    totem = replace(TOTEM, token_ms=500, detection_ms=10_000, ping_timeout_ms=700)

    assert codes(of(totem)) == []
    assert codes(of(replace(TOTEM, ping_timeout_ms=0))) == [], "not known is not short"
    assert codes(of(replace(TOTEM, link_count=1, link_mode="passive"))) == ["single-link"]


def test_a_quorum_device_makes_two_nodes_safe() -> None:
    quorum = replace(
        QUORUM, voters=QUORUM.voters[:2], qdevice="net", qdevice_votes=1, is_qdevice_alive=True
    )

    assert codes(of(quorum=quorum)) == []


def test_a_node_that_is_away_is_no_broken_link() -> None:
    """Switched off on purpose, or fenced: the list of nodes says that already."""
    assert codes(of(down=(0, 1))) == []


def test_nothing_known_is_nothing_to_warn_of() -> None:
    assert seen(unknown("corosync does not run")) == CorosyncView(fault="corosync does not run")


@pytest.mark.parametrize("view", [sound(), broken(), two_nodes(), of(quorum=None), unknown("x")])
def test_what_goes_over_the_bus_comes_back(view: CorosyncView) -> None:
    assert from_properties({**properties(view), "LaterProperty": 1}) == view


def test_a_daemon_without_these_properties_is_told_from_one_without_corosync() -> None:
    with pytest.raises(ValueError, match="Links is missing"):
        from_properties({k: v for k, v in properties(sound()).items() if k != "Links"})
    with pytest.raises(ValueError, match="Expected"):
        from_properties({**properties(sound()), "Links": [{"node": 1}]})


def test_json_has_a_schema() -> None:
    assert json.loads(encode_corosync(broken()))["schema"] == 1


def shown(view: CorosyncView, *arguments: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
    daemon = FakeDaemon(healthy(), seen=view)
    return runner.invoke(cli, ["status", "--links", *arguments], obj=daemon)


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("links-sound", sound()),
        ("links-broken", broken()),
        ("links-two-nodes", two_nodes("two_node", "wait_for_all")),
        ("links-away", unknown("CS_ERR_LIBRARY; 'systemctl status corosync' says more")),
    ],
)
def test_screens(golden: Golden, name: str, view: CorosyncView) -> None:
    result = shown(view)

    assert result.exit_code == 0
    assert "\033[" not in result.output
    golden(f"cli/{name}.txt", "\n".join(map(str.rstrip, result.output.splitlines())) + "\n")


def test_the_links_to_one_node() -> None:
    one = shown(sound(), "node3").output

    assert [word in one for word in ("node2", "node3")] == [False, True]
    assert shown(sound(), "node1").exit_code == 3
    assert "node1 has no link to a node named 'node1'" in shown(sound(), "node1").stderr


def test_the_json_is_the_view() -> None:
    assert json.loads(shown(broken(), "--json").output) == json.loads(encode_corosync(broken()))


def test_a_quorum_device_is_part_of_the_arithmetic() -> None:
    quorum = replace(QUORUM, qdevice="net", qdevice_votes=1, expected=4, total=3, needed=3)

    dead = shown(of(quorum=quorum)).output
    alive = shown(of(quorum=replace(quorum, is_qdevice_alive=True, total=4))).output

    assert "quorate: 3 of 4 votes, 3 needed; device net (1) DOES NOT VOTE" in dead
    assert "quorate: 4 of 4 votes, 3 needed; device net (1) votes" in alive


def test_a_daemon_that_cannot_be_reached_is_said_as_by_every_command() -> None:
    absent = AbsentDaemon(DaemonError(Fault.UNREACHABLE, "rgmgrd does not run on this node"))

    result = CliRunner().invoke(cli, ["status", "--links"], obj=absent)

    assert (result.exit_code, result.stderr) == (5, "rgmgr: rgmgrd does not run on this node\n")


@pytest.mark.parametrize(
    ("quorum", "said"),
    [
        (QUORUM, ""),
        (None, ""),
        (replace(QUORUM, flags=("auto_tie_breaker",)), "ties: one half is chosen by its nodes"),
        (replace(QUORUM, qdevice="Qdevice"), "ties: arbiter Qdevice DOES NOT VOTE"),
        (
            replace(QUORUM, qdevice="Qdevice", is_qdevice_alive=True),
            "ties: arbiter Qdevice votes",
        ),
    ],
)
def test_the_status_says_what_decides_a_tie(quorum: QuorumView | None, said: str) -> None:
    daemon = FakeDaemon(healthy(), seen=of(quorum=quorum))

    last = CliRunner().invoke(cli, ["status"], obj=daemon).output.splitlines()[-1]

    assert last.startswith(said)
    assert last.startswith("ties") == bool(said)
