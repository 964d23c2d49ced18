# SPDX-License-Identifier: Apache-2.0
"""The system bus of a real node: who may look, who may operate, and a client that means no good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.observed import Observed

FLOOD = Path(__file__).parent / "scripts" / "flood.py"
USERS = {"nobody-special": "", "reader": "rgmgr-reader", "operator": "rgmgr-operator"}
FLOOD_S = 5
MEANWHILE = '"$@" & sleep 1; rgmgr status > /dev/null; code=$?; wait; echo "status $code"'


@pytest.fixture
def users(cluster: Observed) -> Iterator[Observed]:
    """Give a cluster whose node1 has a user of each role."""
    for name, group in USERS.items():
        groups = ["-G", group] if group else []
        cluster.do("node1", "useradd", "--no-create-home", *groups, f"test-{name}")
    try:
        yield cluster
    finally:
        for name in USERS:
            cluster.lab.run("node1", ["userdel", f"test-{name}"])


def codes(cluster: Observed, name: str, *commands: str) -> list[int]:
    """Return the exit codes of commands run by a user on node1."""
    return [
        cluster.lab.run("node1", ["runuser", "-u", f"test-{name}", "--", *line.split()]).returncode
        for line in commands
    ]


def test_roles_are_kept_on_a_real_bus(users: Observed) -> None:
    commands = ("rgmgr status", "rgmgr history", "rgmgr restart web", "clusvcadm -q -R web")

    assert codes(users, "nobody-special", *commands) == [3, 3, 3, 238]
    assert codes(users, "reader", *commands) == [0, 0, 3, 238]
    assert codes(users, "operator", *commands) == [0, 0, 0, 0]
    assert "(user: test-operator (uid " in users.do("node1", "rgmgr", "history", "web")


def test_the_bus_shows_what_there_is(users: Observed) -> None:
    tree = users.do("node1", "busctl", "tree", "--list", "org.rgmgr")
    manager = users.do("node1", "busctl", "introspect", "org.rgmgr", "/org/rgmgr")
    service = users.do("node1", "busctl", "introspect", "org.rgmgr", "/org/rgmgr/service/web")

    assert "/org/rgmgr/node/node2" in tree
    assert all(word in manager for word in (".Request", ".Order", ".History", ".Quorate"))
    assert all(word in service for word in (".Enable", ".Relocate", ".State", ".Because"))
    call = ("busctl", "call", "org.rgmgr", "/org/rgmgr/service/web", "org.rgmgr.Service1")
    assert users.do("node1", *call, "Relocate", "sa{sv}", "node2", "0") == 's "node2"\n'
    refused = users.lab.run("node1", [*call, "Relocate", "sa{sv}", "node9", "0"])
    assert "no node is named 'node9'" in refused.stderr


def test_a_client_that_floods_and_dies_harms_nobody(cluster: Observed) -> None:
    since = cluster.now_us()
    python = cluster.do("node1", "sh", "-c", "sed -n '1s/^#!//p' $(command -v rgmgr)").split()
    text = FLOOD.read_text(encoding="utf-8")
    flood = [*python, "-c", text, str(FLOOD_S)]

    said = cluster.do(
        "node1",
        "sh",
        "-c",
        '"$@" & sleep 1; rgmgr status > /dev/null; s=$?; wait; echo "status $s"',
        "sh",
        *flood,
    )

    lines = said.splitlines()
    assert lines[-1] == "status 0", "somebody else was answered meanwhile"
    assert lines[0] == "org.rgmgr.Error.InvalidVerb"
    assert int(lines[-2]) > 1_000
    cluster.await_that(cluster.is_settled, "the restart that nobody waited for")
    assert cluster.service().owner == "node1"
    assert cluster.when("node2", "node.unclean", since) is None
    assert cluster.when("node2", "member.detached", since) is None
