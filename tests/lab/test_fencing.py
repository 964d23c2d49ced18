# SPDX-License-Identifier: Apache-2.0
"""Operators and fencing on real nodes: orders, a human's word, tested paths, a fencer that dies."""

from __future__ import annotations

import json

from rgmgr.lab.bmc import BmcFault
from tests.lab.observed import Observed
from tests.lab.overlap import overlaps


def cases(cluster: Observed, node: str) -> list[dict[str, object]]:
    told = json.loads(cluster.do(node, "rgmgr", "fence", "history", "--json"))
    return list(told["cases"])


def test_a_healthy_node_is_fenced_by_order_and_its_service_runs_once(cluster: Observed) -> None:
    since = cluster.now_us()
    first_boot = cluster.boot_id("node1")

    said = cluster.do("node3", "rgmgr", "fence", "node1", "--yes")
    cluster.await_page("node2")
    cluster.await_that(
        lambda: cluster.boot_id("node1") not in ("", first_boot), "node1 to be reset"
    )
    cluster.await_that(cluster.is_settled, "node1 to return")

    assert said.startswith("node1 is fenced: proven by node")
    latest = cases(cluster, "node1")[-1]
    assert (latest["node"], latest["outcome"], latest["attempts"]) == ("node1", "proven", 1)
    assert str(latest["cause"]).startswith("asked for by ")
    assert overlaps(cluster, since) == []


def test_a_humans_word_stands_in_for_a_dead_device_and_not_while_the_node_lives(
    cluster: Observed,
) -> None:
    cluster.lab.bmc_fault("node1", BmcFault.DEAD)
    alive = cluster.lab.run("node2", ["rgmgr", "fence", "ack", "node1", "--yes"])
    since = cluster.now_us()

    cluster.lab.kill("node1")
    cluster.await_that(
        lambda: cluster.when("node2", "node.unclean", since) is not None, "the loss to be noticed"
    )
    waiting = cluster.service("node2")
    said = cluster.do("node3", "rgmgr", "fence", "ack", "node1", "--yes")
    cluster.await_page("node2")

    assert alive.returncode == 3
    assert "node1" in alive.stderr
    assert waiting.owner == "node1"
    assert "human by node3" in said
    assert cases(cluster, "node2")[-1]["outcome"] == "human"
    cluster.lab.bmc_fault("node1", None)


def test_a_dead_device_is_found_by_a_test_before_it_is_needed(cluster: Observed) -> None:
    whole = cluster.do("node1", "rgmgr", "fence", "test")
    since = cluster.now_us()
    cluster.lab.bmc_fault("node3", BmcFault.DEAD)
    broken = cluster.lab.run("node1", ["rgmgr", "fence", "test", "node3"])
    told = cluster.when("node2", "fence.path_failed", since, "ipmi3")
    shown = cluster.do("node1", "rgmgr", "status")
    cluster.lab.bmc_fault("node3", None)
    mended = cluster.do("node1", "rgmgr", "fence", "test", "node3")

    assert "6 of 6 fence paths work" in whole
    assert broken.returncode == 1
    assert "0 of 2 fence paths work" in broken.stdout
    assert told is not None
    assert "node3: NO fence path works" in " ".join(shown.split())
    assert "2 of 2 fence paths work" in mended
    assert cluster.answering() == "node1"


def test_an_incident_tells_how_each_survivor_saw_its_link(cluster: Observed) -> None:
    cluster.lab.kill("node1")
    cluster.await_page("node2")

    def told() -> str:
        return cluster.do("node3", "rgmgr", "incident", "node1")

    cluster.await_that(lambda: told().count("link 0") == len(("node2", "node3")), "the evidence")
    words = " ".join(told().split())

    assert "link 0 from node2 to node1 is DOWN: found so at" in words
    assert "link 0 from node3 to node1 is DOWN: found so at" in words
    assert "decided by node2, node3 together, in epoch" in words
    assert "method 1" in words
    assert "service web: back on node2 after" in words


def test_a_fencer_that_dies_in_the_middle_is_followed_by_another(cluster: Observed) -> None:
    """The device hangs, so the first fencer is surely at it when its daemon is killed."""
    cluster.lab.bmc_fault("node1", BmcFault.DEAD)
    since = cluster.now_us()
    cluster.lab.cut("node1")
    cluster.await_that(
        lambda: cluster.when("node2", "fence.requested", since, "by=node2") is not None,
        "node2 to fence node1",
    )
    daemon = cluster.do("node2", "systemctl", "show", "-P", "MainPID", "rgmgrd.service").strip()
    cluster.do("node2", "kill", "-9", daemon)
    cluster.await_that(
        lambda: cluster.when("node3", "fence.requested", since, "by=node3") is not None,
        "node3 to take over",
    )
    assert not any(cluster.active_on(node) for node in ("node2", "node3"))

    cluster.lab.bmc_fault("node1", None)
    cluster.await_that(lambda: cluster.answering() in ("node2", "node3"), "the page")
    cluster.lab.heal()
    cluster.await_that(cluster.is_settled, "node1 to return")

    assert overlaps(cluster, since) == []
