# SPDX-License-Identifier: Apache-2.0
"""What administrators want of their services, on real nodes: recovery, needs, waits, places.

Driven with `clusvcadm` and read with `clustat`, as a script from 2012 would; with `rgmgr` where
that time had no word for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from rgmgr.lab.lab import Lab
from tests.lab.observed import NODES
from tests.lab.policies import Group, Policies, document, services

DEAF = """
table inet deaf {
  chain out { type filter hook output priority 0; ip daddr 10.78.0.1 icmp type echo-request drop; }
}
"""


@pytest.fixture(scope="module")
def running(booted: Lab) -> Iterator[Policies]:
    """Give the lab other services."""
    now = datetime.fromisoformat(booted.client(["date", "+%Y-%m-%dT%H:%M"]).stdout.strip())
    closed, open_ = (
        f"{now + timedelta(hours=begin):%H:%M}-{now + timedelta(hours=end):%H:%M}"
        for begin, end in ((3, 5), (-2, 2))
    )
    try:
        booted.up(3, document(booted.nodes, services(closed, open_)))
        cluster = Policies(booted)
        cluster.await_all_online()
        cluster.await_state("tonight", "started")
        yield cluster
    finally:
        booted.up(3)


@pytest.fixture
def policies(running: Policies) -> Policies:
    """Give a whole cluster in which nothing is frozen, and nothing ordered."""
    running.await_all_online()
    assert running.do("node1", "clusvcadm", "-S") == "Resource groups unlocked\n"
    return running


def test_a_ladder_is_climbed_by_kill_nine(policies: Policies) -> None:
    policies.place("web", "node1")

    first = policies.lives("web", "node1")
    policies.kill_nine("web", "node1")
    policies.await_new_life("web", "node1", first)
    policies.await_state("web", "started", "node1")
    policies.kill_nine("web", "node1")
    policies.await_state("web", "started", "node2")
    elsewhere = policies.lives("web", "node2")
    policies.kill_nine("web", "node2")
    policies.await_new_life("web", "node2", elsewhere)
    policies.await_state("web", "started", "node2")
    policies.kill_nine("web", "node2")
    policies.await_state("web", "disabled")

    code = policies.lab.run("node3", ["clustat", "-s", "web"]).returncode
    assert (code, policies.where("web")) == (119, [])
    assert "killed" in policies.because("web")
    policies.place("web", "node1")


def test_who_needs_another_one_stops_with_it_or_goes_on(policies: Policies) -> None:
    for name, node in (("db", "node1"), ("hard", "node2"), ("soft", "node2")):
        policies.place(name, node)
    hard, soft = policies.lives("hard", "node2"), policies.lives("soft", "node2")

    policies.do("node3", "clusvcadm", "-r", "db", "-m", "node3")
    policies.await_new_life("hard", "node2", hard)
    assert policies.lives("soft", "node2") == soft

    policies.do("node3", "clusvcadm", "-d", "db")
    assert policies.clustat("hard") == Group("stopped", "none", "")
    assert policies.because("hard") == "waiting for db, which is disabled"
    assert policies.lives("soft", "node2") == soft
    assert policies.refused("node3", "clusvcadm", "-e", "hard")[0] != 0

    policies.do("node3", "clusvcadm", "-e", "db", "-m", "node1")
    policies.await_state("hard", "started", "node2")
    assert policies.lives("soft", "node2") == soft


def test_a_frozen_service_and_two_that_ask_when_their_node_is_gone(policies: Policies) -> None:
    for name in ("iced", "asked", "refused"):
        policies.place(name, "node3")

    policies.do("node1", "clusvcadm", "-Z", "iced")
    assert policies.do("node1", "clustat", "-s", "iced").endswith("started    [Z]\n")
    policies.kill_nine("iced", "node3")
    assert policies.refused("node1", "clusvcadm", "-R", "iced")[0] == 245
    assert policies.clustat("iced") == Group("started", "node3", "frozen")
    assert policies.where("iced") == []

    said = ("--off", "--yes", "--because", "CHG-7")
    policies.do("node1", "rgmgr", "fence", "node3", *said)
    policies.do("node1", "rgmgr", "wait", "settled", "--timeout", "30s")
    assert "because: CHG-7" in policies.do("node2", "rgmgr", "history")
    assert policies.clustat("iced") == Group("stopped", "none", "frozen")
    assert policies.because("asked") == (
        "node3 was lost: waiting for it, or for an administrator to confirm the takeover"
    )

    policies.do("node1", "clusvcadm", "-U", "iced")
    policies.await_state("iced", "started", "node1")
    policies.do("node1", "rgmgr", "takeover", "confirm", "asked", "--because", "it burns")
    policies.await_state("asked", "started", "node1")
    policies.do("node1", "rgmgr", "takeover", "refuse", "refused", "--because", "data is old")
    assert policies.clustat("refused") == Group("stopped", "none", "")
    assert policies.because("refused").endswith(": data is old")
    told = policies.do("node2", "rgmgr", "history")
    assert "the takeover of asked from node3 is confirmed by" in told
    assert "the takeover of refused from node3 is refused by" in told

    policies.lab.boot("node3")
    policies.await_state("refused", "started", "node3")


def test_a_node_that_is_shut_down_has_its_time_to_come_back(policies: Policies) -> None:
    policies.place("patient", "node3")
    policies.place("iced", "node3")

    policies.do("node3", "systemctl", "stop", "rgmgrd")
    policies.await_state("iced", "started", "node1")
    assert policies.clustat("patient") == Group("stopped", "none", "")
    assert policies.because("patient") == (
        "waiting for node3, which was shut down, for at most 600 s"
    )

    policies.do("node3", "systemctl", "start", "rgmgrd")
    policies.await_state("patient", "started", "node3")


def test_standby_ends_by_itself_or_by_the_classic_command(policies: Policies) -> None:
    policies.place("web", "node1")

    policies.do("node2", "rgmgr", "node", "standby", "node1", "--for", "4s", "--return")
    moved = policies.clustat("web").owner
    policies.await_state("web", "started", "node1")
    assert policies.lab.run("node2", ["rgmgr", "is", "standby", "node1"]).returncode == 1

    policies.do("node1", "hb_standby")
    again = policies.clustat("web").owner
    assert ' owner="node1"' not in policies.do("node3", "clustat", "-x")
    policies.do("node1", "hb_takeover")
    policies.await_state("web", "started", "node1")

    assert (moved, again) == ("node2", "node2")


def test_a_disarmed_cluster_looks_on_until_it_is_armed(policies: Policies) -> None:
    policies.place("left", "node1")

    policies.do("node3", "rgmgr", "disarm", "--for", "10min", "--because", "CHG-8")
    policies.kill_nine("left", "node1")
    assert policies.refused("node2", "clusvcadm", "-R", "left")[0] == 245
    assert "the cluster is disarmed" in policies.do("node2", "rgmgr", "status")
    assert policies.where("left") == []
    policies.do("node1", "rgmgr", "arm")
    policies.await_new_life("left", "node1", "")

    before = policies.lives("left", "node1")
    policies.do("node3", "rgmgr", "disarm", "--for", "3s")
    policies.kill_nine("left", "node1")
    policies.do("node2", "rgmgr", "wait", "armed", "--timeout", "20s")
    policies.await_new_life("left", "node1", before)
    policies.await_state("left", "started", "node1")


def test_services_go_back_at_once_later_or_at_their_time(policies: Policies) -> None:
    for name in ("later", "tonight", "today", "web"):
        policies.place(name, "node1")

    policies.do("node1", "systemctl", "stop", "rgmgrd")
    for name in ("later", "tonight", "today", "web"):
        policies.await_state(name, "started", "node2")
    since = policies.now_us()
    policies.do("node1", "systemctl", "start", "rgmgrd")
    policies.await_state("today", "started", "node1")
    assert policies.clustat("later").owner == "node2"
    policies.await_state("later", "started", "node1")

    joined = policies.when("node2", "member.joined", since, "node1")
    back = policies.when("node1", "service.started", since, "later")
    assert joined
    assert back
    assert back - joined >= 5_000_000
    assert [policies.clustat(name).owner for name in ("tonight", "web")] == ["node2", "node2"]
    assert "it goes there between" in policies.do("node1", "rgmgr", "explain", "tonight")
    assert "has nofailback" in policies.do("node1", "rgmgr", "explain", "web")


def policies_on(policies: Policies, node: str) -> list[str]:
    """Return the services that a node owns."""
    status = policies.status(node)
    assert status
    return [service.name for service in status.services if service.owner == node]


def test_neighbours_stay_together_and_others_apart(policies: Policies) -> None:
    for name, node in (("left", "node1"), ("right", "node2")):
        policies.place(name, node)
    policies.await_state("follower", "started", "node1")

    code, said = policies.refused("node1", "clusvcadm", "-r", "right", "-m", "node1")
    assert (code, policies.clustat("right").owner) == (249, "node2"), said
    policies.do("node1", "clusvcadm", "-r", "left", "-m", "node3")
    policies.await_state("follower", "started", "node3")
    policies.do("node1", "clusvcadm", "-r", "right", "-m", "node1")
    assert policies.clustat("right") == Group("started", "node1", "")
    policies.place("right", "node2")
    policies.place("left", "node1")
    policies.await_state("follower", "started", "node1")


def test_a_node_that_does_not_reach_its_gateway_gives_its_services_away(
    policies: Policies,
) -> None:
    policies.place("web", "node1")
    life = policies.lives("soft", "node2")

    policies.do("node1", "sh", "-c", f"nft -f - <<'END'\n{DEAF}END")
    try:
        policies.await_state("web", "started", "node2")
        policies.await_that(lambda: not policies_on(policies, "node1"), "node1 to be empty")
        told = policies.do("node3", "rgmgr", "history")
        assert "node1 does not reach gateway" in told
        assert policies.lives("soft", "node2") == life
    finally:
        policies.do("node1", "nft", "delete", "table", "inet", "deaf")
    policies.await_that(
        lambda: "node1 reaches gateway again" in policies.do("node3", "rgmgr", "history"),
        "node1 to reach it again",
    )
    assert policies.clustat("web").owner == "node2"
    policies.place("web", "node1")


def test_what_ignores_the_loss_of_quorum_runs_on_and_never_twice(policies: Policies) -> None:
    policies.place("stubborn", "node1")
    policies.place("web", "node1")
    since = policies.now_us()

    policies.lab.bmc_fault("node1", "dead")
    policies.lab.cut("node1")
    policies.await_that(lambda: policies.where("web") == [], "web to stop without quorum")
    assert policies.where("stubborn") == ["node1"]
    assert policies.lab.run("node1", ["clustat", "-Q"]).returncode == 1
    policies.kill_nine("stubborn", "node1")
    assert policies.refused("node1", "clusvcadm", "-e", "stubborn")[0] == 247
    policies.await_that(
        lambda: policies.when("node2", "fence.failed", since) is not None, "a fence to fail"
    )
    assert policies.where("stubborn") == []
    assert policies.because("stubborn").startswith("waiting for proof that node1 is down")

    policies.lab.bmc_fault("node1", None)
    policies.await_state("stubborn", "started", "node2")
    policies.await_state("web", "started", "node2")
    assert [node for node in NODES if node in policies.where("stubborn")] == ["node2"]
    policies.lab.heal()
    policies.lab.await_quorate()
