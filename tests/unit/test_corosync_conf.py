# SPDX-License-Identifier: Apache-2.0
"""The corosync.conf that we write, and what we refuse to write."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from rgmgr.cli.main import cli
from rgmgr.config.corosync_conf import (
    NODES_MAX,
    TIMERS,
    ConfNode,
    Plan,
    Profile,
    read_nodes,
    read_plan,
    render,
)
from rgmgr.errors import ConfigError
from tests.conftest import Golden

THREE = ["node1=10.0.0.1,10.1.0.1", "node2=10.0.0.2,10.1.0.2", "node3=10.0.0.3,10.1.0.3"]
FOUR = [f"n{number}=10.0.0.{number}" for number in range(1, 5)]
TWO = ["a=fd00::1", "b=fd00::2"]
LINKS_DOWN_MS = 200
"""knet's timers tick no faster. Source: measured."""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["corosync-conf", *map(str, arguments)])


def problems(words: list[str], **others: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as refused:
        read_plan(words, **others)  # type: ignore[arg-type] # bad input is the point
    return [(found.path, found.problem) for found in refused.value.problems]


def test_three_nodes_with_two_links(golden: Golden) -> None:
    golden("corosync_conf/three.conf", render(read_plan(THREE, cluster="prod")))


def test_two_nodes_given_time_on_another_port(golden: Golden) -> None:
    golden("corosync_conf/two.conf", render(read_plan(TWO, profile=Profile.SAFE, port=5500)))


def test_two_nodes_with_an_arbiter_need_no_two_node(golden: Golden) -> None:
    golden("corosync_conf/arbiter.conf", render(read_plan(TWO, qnetd="arbiter.example.org")))


def test_four_nodes_whose_ties_are_broken(golden: Golden) -> None:
    golden("corosync_conf/tie-breaker.conf", render(read_plan(FOUR, breaks_ties=True)))
    assert run("--tie-breaker", *FOUR).exit_code == 0


@pytest.mark.parametrize("words", [["a=10.0.0.1", "b=10.0.0.2"], FOUR[:3]])
def test_a_tie_breaker_where_there_is_no_tie_is_refused(words: list[str]) -> None:
    text = f"with {len(words)} nodes there is no tie for it to decide"
    assert problems(words, breaks_ties=True) == [("tie-breaker", text)]


def test_a_tie_has_one_breaker() -> None:
    text = "corosync takes it or an arbiter, not both"
    assert problems(FOUR, breaks_ties=True, qnetd="q") == [("tie-breaker", text)]


@pytest.mark.parametrize(
    ("words", "qnetd", "problem"),
    [
        (THREE, "q", ("qnetd", "with 3 nodes there is no tie to decide")),
        (TWO, "fd00::1", ("qnetd", "fd00::1 is one of the nodes")),
        (TWO, "a b", ("qnetd", "expected a host name or an address, got 'a b'")),
    ],
)
def test_an_arbiter_that_is_no_use_is_refused(
    words: list[str], qnetd: str, problem: tuple[str, str]
) -> None:
    assert problems(words, qnetd=qnetd) == [problem]


def test_the_command_says_what_the_arbiter_needs() -> None:
    result = run("a=10.0.0.1", "b=10.0.0.2", "--qnetd", "10.9.9.9")

    assert result.exit_code == 0
    assert "    host: 10.9.9.9\n" in result.output
    assert "corosync-qdevice-net-certutil -Q -n CLUSTER 10.9.9.9 NODES..." in result.output


@pytest.mark.parametrize("count", range(1, NODES_MAX + 1))
@pytest.mark.parametrize("profile", Profile)
def test_the_time_to_detect_does_not_depend_on_the_number_of_nodes(
    profile: Profile, count: int
) -> None:
    """corosync adds token_coefficient for each node above two, 650 ms unless told otherwise."""
    text = render(read_plan([f"n{n}=10.0.0.{n}" for n in range(1, count + 1)], profile=profile))

    settings = dict(re.findall(r"^  (\w+): (\d+)$", text, flags=re.MULTILINE))
    assert settings["token_coefficient"] == "0"
    assert int(settings["token"]) + int(settings["consensus"]) == TIMERS[profile].detection_ms
    assert ("two_node" in settings, "wait_for_all" in settings) == (count == 2, count == 2)


@pytest.mark.parametrize("profile", Profile)
def test_timers_keep_what_was_measured_to_be_safe(profile: Profile) -> None:
    """Links that flap before the ring breaks take it down; see docs/corosync-conf.md."""
    timers = TIMERS[profile]

    assert timers.token_ms >= 1_000
    assert timers.consensus_ms >= 1.2 * timers.token_ms
    assert timers.ping_interval_ms >= LINKS_DOWN_MS
    assert timers.ping_timeout_ms > timers.token_ms


def test_ids_stay_when_a_node_is_taken_out() -> None:
    """A node that changes its id is another node to the cluster, with another's votes."""
    plan = read_plan(["node1=10.0.0.1", "node3:3=10.0.0.3"])

    assert plan.nodes == (ConfNode(1, "node1", ("10.0.0.1",)), ConfNode(3, "node3", ("10.0.0.3",)))


@pytest.mark.parametrize(
    ("words", "path", "problem"),
    [
        ([], "nodes", "a cluster has 1 to 16 nodes here, got 0"),
        (["10.0.0.1"], "node 10.0.0.1", "expected NAME=ADDRESS, got '10.0.0.1'"),
        (["=10.0.0.1"], "node 1", "expected NAME=ADDRESS, got '=10.0.0.1'"),
        (["a="], "node a", "expected an IP address, got ''"),
        (["a=host.example"], "node a", "expected an IP address, got 'host.example'"),
        (["a=10.0.0.1,"], "node a", "expected an IP address, got ''"),
        (["a=127.0.0.1"], "node a", "127.0.0.1 is no address that other nodes can reach"),
        (["a=224.0.0.1"], "node a", "224.0.0.1 is no address that other nodes can reach"),
        (["a=fe80::1"], "node a", "fe80::1 is link-local"),
        (["a=fd00::1%{"], "node a", "expected an IP address, got 'fd00::1%{'"),
        (["a=10.0.0.1,10.1.0.1,10.2.0.1"], "node a", "expected 1 to 2 addresses, got 3"),
        (
            ["a:0=10.0.0.1"],
            "node a",
            "expected a node id from 1 to 2147483647, got '0'",
        ),
        (["a:x=10.0.0.1"], "node a", "expected a node id from 1 to 2147483647, got 'x'"),
        (["a=10.0.0.1", "b:1=10.0.0.2"], "node b", "the node id '1' is already that of a"),
        (["a=10.0.0.1", "a=10.0.0.2"], "node a", "the name 'a' twice"),
        (["a=10.0.0.1", "b=10.0.0.1"], "node b", "the address '10.0.0.1' is already that of a"),
        (["a=10.0.0.1,10.0.0.1"], "node a", "the address '10.0.0.1' twice"),
        (["a=fd00::1", "b=fd00:0::1"], "node b", "the address 'fd00::1' is already that of a"),
        (
            ["a=10.0.0.1", "b=fd00::1"],
            "nodes",
            "link 0 mixes IPv4 and IPv6: 10.0.0.1, fd00::1",
        ),
        (
            ["a=10.0.0.1,10.1.0.1", "b=10.0.0.2"],
            "nodes",
            "every node needs as many addresses as the others; with one: b",
        ),
        (
            [f"n{n}=10.0.0.{n}" for n in range(1, 18)],
            "nodes",
            "a cluster has 1 to 16 nodes here, got 17",
        ),
        (
            ["a{=10.0.0.1"],
            "node a{",
            "'a{' is no name here: letters, digits and _ . : - are allowed",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_node(words: list[str], path: str, problem: str) -> None:
    assert (path, problem) in problems(words)


def test_cluster_and_port_are_checked_too() -> None:
    found = problems(["a=10.0.0.1"], cluster="x {", port=65_534)

    assert [path for path, _ in found] == ["cluster", "port"]


def test_all_problems_are_told_at_once() -> None:
    result = run("a=10.0.0.1", "b=nowhere", "c", "--cluster", "")

    assert result.exit_code == 2
    assert [word in result.stderr for word in ("'nowhere'", "'c'", "the name is empty")] == [
        True,
        True,
        True,
    ]
    assert result.stdout == ""


def test_what_is_written_can_be_read_again() -> None:
    plan = read_plan(THREE)

    assert read_nodes(render(plan)) == plan.nodes


def test_a_file_of_other_hands_is_read_as_corosync_reads_it() -> None:
    text = """
    # node { name: no }
    totem { # a comment after a brace
      interface {
        linknumber: 0
      }
    }
    nodelist {
      node {
        ring0_addr: 10.0.0.1
        nodeid:1
      }
      node {
        name : b
        ring1_addr: fd00::2
        ring0_addr: 10.0.0.2
      }
    }
    """

    assert read_nodes(text) == (
        ConfNode(1, "10.0.0.1", ("10.0.0.1",)),
        ConfNode(0, "b", ("10.0.0.2", "fd00::2")),
    )


@given(st.text(alphabet="{}:node list\n#name1") | st.text())
def test_no_text_makes_the_reader_fail(text: str) -> None:
    assert isinstance(read_nodes(text), tuple)


@given(st.lists(st.text(alphabet="ab12=.,:{} \n") | st.text(), max_size=20))
def test_no_words_make_a_file_with_more_sections_than_planned(words: list[str]) -> None:
    """What gets through must not be able to add settings of its own to the file."""
    try:
        plan = read_plan(words)
    except ConfigError:
        return

    assert render(plan).count("{") == 4 + plan.links + len(plan.nodes)
    assert read_nodes(render(plan)) == plan.nodes


def test_the_command_prints_the_file_and_says_what_to_do_next() -> None:
    result = run("--nodes", *THREE, "--safe", "--cluster", "prod")

    expected = render(read_plan(THREE, cluster="prod", profile=Profile.SAFE))
    assert (result.exit_code, result.stdout) == (0, expected)
    assert "systemctl restart corosync" in result.stderr


def test_nodes_may_be_introduced_again_and_keep_their_order() -> None:
    result = run("--nodes", TWO[0], "--fast", "--nodes", TWO[1])

    assert result.stdout == render(read_plan(TWO))


def test_file_and_key_are_made_with_their_modes(tmp_path: Path) -> None:
    conf, key = tmp_path / "corosync.conf", tmp_path / "authkey"

    first = run(*TWO, "--output", conf, "--key", key)
    old_key = key.read_bytes()
    again = run(*THREE, "--output", conf, "--key", key)
    kept = (conf.read_text(), key.read_bytes())
    forced = run(*THREE, "--output", conf, "--key", key, "--force")

    assert (first.exit_code, first.stdout) == (0, "")
    assert kept == (render(read_plan(TWO)), old_key)
    assert again.exit_code == 3
    assert f"{key} is there already; nothing was written, --force replaces it" in again.stderr
    assert forced.exit_code == 0
    assert conf.read_text() == render(read_plan(THREE))
    assert (len(key.read_bytes()), key.read_bytes() != old_key) == (256, True)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (conf, key)] == [0o644, 0o400]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["authkey", "corosync.conf"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    result = run(*TWO, "--output", tmp_path / "no" / "corosync.conf")

    assert result.exit_code == 1
    assert f"cannot write {tmp_path / 'no' / 'corosync.conf'}: No such file" in result.stderr


def test_a_plan_without_nodes_has_no_links() -> None:
    assert Plan(nodes=()).links == 0
