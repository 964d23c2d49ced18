# SPDX-License-Identifier: Apache-2.0
"""Standing orders on real nodes: a reboot in standby, a network that fails while disarmed."""

from __future__ import annotations

from tests.lab.observed import NODES, Observed


def test_a_node_in_standby_is_rebooted_and_gets_its_service_back(cluster: Observed) -> None:
    cluster.do("node2", "rgmgr", "node", "standby", "node1", "--because", "new disks")
    moved = cluster.answering()
    cluster.do("node2", "rgmgr", "is", "standby", "node1")
    cluster.do("node1", "systemctl", "stop", "rgmgrd")
    cluster.lab.kill("node1")
    cluster.lab.boot("node1")
    cluster.do("node2", "rgmgr", "wait", "online", "node1", "--timeout", "60s")
    cluster.do("node3", "rgmgr", "wait", "settled", "--timeout", "30s")
    kept = cluster.answering()
    cluster.do("node3", "rgmgr", "node", "unstandby", "node1", "--return")

    assert (moved, kept) == ("node2", "node2")
    assert cluster.answering() == "node1"
    history = cluster.do("node1", "rgmgr", "history", "node1")
    assert "node1 goes into standby" in history
    assert "because: new disks" in history


def test_a_disarmed_cluster_stays_as_it_is_while_the_network_is_down(cluster: Observed) -> None:
    pid = cluster.main_pid("node1")
    since = cluster.now_us()
    cluster.do("node2", "rgmgr", "disarm", "--for", "5min", "--because", "switch")

    try:
        for node in NODES:
            cluster.lab.cut(node)
        cluster.await_that(
            lambda: cluster.when("node1", "services.forbidden", since) is not None,
            "node1 to lose quorum",
        )
        assert cluster.main_pid("node1") == pid
    finally:
        cluster.lab.heal()
        cluster.do("node1", "rgmgr", "wait", "quorate", "--timeout", "60s")
        cluster.do("node1", "rgmgr", "wait", "joined", "--timeout", "60s")
        cluster.do("node1", "rgmgr", "arm")
    cluster.await_that(cluster.is_settled, "the cluster to settle")

    assert cluster.main_pid("node1") == pid
    assert cluster.when("node2", "fence.requested", since) is None
