# SPDX-License-Identifier: Apache-2.0
"""Real nodes lose power, network, daemons and units; the service runs once, and comes back."""

from __future__ import annotations

from rgmgr.lab.bmc import BmcFault
from tests.lab.observed import NODES, Observed


def test_a_cold_start_serves_the_page_from_the_preferred_node(cluster: Observed) -> None:
    assert cluster.answering() == "node1"
    assert [n for n in NODES if cluster.active_on(n)] == ["node1"]


def test_a_killed_node_is_proven_dead_before_its_service_starts_elsewhere(
    cluster: Observed,
) -> None:
    since = cluster.now_us()

    cluster.lab.kill("node1")
    cluster.await_page("node2")

    proven = cluster.when("node2", "fence.succeeded", since, "node1", "proven")
    starting = cluster.when("node2", "service.starting", since, "web")
    assert proven is not None
    assert starting is not None
    assert proven <= starting
    cluster.await_that(lambda: cluster.lab.is_on("node1"), "the power to come back")
    cluster.await_that(cluster.is_settled, "node1 to return")
    assert cluster.answering() == "node2", "the domain says nofailback"


def test_a_node_cut_off_stops_its_service_is_fenced_and_returns_clean(cluster: Observed) -> None:
    """The minority must let go by itself, and is not trusted until it was reset."""
    first_boot = cluster.boot_id("node1")

    cluster.lab.cut("node1")
    cluster.await_page("node2")
    cluster.lab.heal()
    cluster.await_that(
        lambda: cluster.boot_id("node1") not in ("", first_boot), "node1 to be reset"
    )
    cluster.await_that(cluster.is_settled, "node1 to return")

    assert not cluster.active_on("node1")
    assert cluster.answering() == "node2"


def test_a_minority_that_cannot_be_fenced_stops_its_service_itself(cluster: Observed) -> None:
    cluster.lab.bmc_fault("node1", BmcFault.DEAD)

    cluster.lab.cut("node1")
    cluster.await_that(lambda: not cluster.active_on("node1"), "node1 to stop its service", 20)

    assert not any(cluster.active_on(n) for n in ("node2", "node3"))


def test_a_killed_daemon_comes_back_and_finds_its_service_untouched(cluster: Observed) -> None:
    pid = cluster.main_pid("node1")
    since = cluster.now_us()
    daemon = cluster.do("node1", "systemctl", "show", "-P", "MainPID", "rgmgrd.service").strip()

    cluster.do("node1", "kill", "-9", daemon)
    cluster.await_that(
        lambda: cluster.when("node1", "epoch.installed", since) is not None,
        "the new daemon to join",
    )
    cluster.await_that(cluster.is_settled, "the cluster to settle")

    assert cluster.main_pid("node1") == pid
    assert cluster.service().owner == "node1"
    assert cluster.when("node2", "node.unclean", since) is None


def test_a_restarted_daemon_leaves_its_service_alone(cluster: Observed) -> None:
    pid = cluster.main_pid("node1")

    cluster.do("node1", "systemctl", "restart", "rgmgrd")
    cluster.await_that(cluster.is_settled, "the daemon to rejoin")

    assert cluster.main_pid("node1") == pid


def test_a_stopped_daemon_gives_its_service_away_first(cluster: Observed) -> None:
    since = cluster.now_us()

    cluster.do("node1", "systemctl", "stop", "rgmgrd")
    cluster.await_page("node2", 20)

    assert not cluster.active_on("node1")
    assert cluster.when("node2", "member.left_cleanly", since, "node1") is not None
    assert cluster.when("node2", "node.unclean", since) is None


def test_a_killed_corosync_is_a_lost_node(cluster: Observed) -> None:
    pid = cluster.do("node1", "pidof", "corosync").strip()
    first_boot = cluster.boot_id("node1")

    cluster.do("node1", "kill", "-9", pid)
    cluster.await_page("node2")

    cluster.await_that(
        lambda: cluster.boot_id("node1") not in ("", first_boot), "node1 to be reset"
    )
    cluster.await_that(cluster.is_settled, "node1 to return")


def test_a_killed_unit_is_restarted_where_it_was_within_a_second(cluster: Observed) -> None:
    since = cluster.now_us()
    pid = cluster.main_pid("node1")

    cluster.do("node1", "kill", "-9", pid)
    cluster.await_that(
        lambda: cluster.when("node1", "service.started", since, "web") is not None, "the restart"
    )

    failed = cluster.when("node1", "service.failed", since, "web")
    started = cluster.when("node1", "service.started", since, "web")
    assert failed is not None
    assert started is not None
    assert started - since < 1_000_000
    assert cluster.answering() == "node1"
    assert cluster.main_pid("node1") not in ("0", pid)


def test_relocate_answers_when_the_page_is_served_from_there(cluster: Observed) -> None:
    cluster.do("node2", "clusvcadm", "-r", "web", "-m", "node3")

    assert cluster.answering() == "node3"
    assert [n for n in NODES if cluster.active_on(n)] == ["node3"]


def test_disable_survives_a_restart_of_the_whole_cluster(cluster: Observed) -> None:
    cluster.do("node3", "clusvcadm", "-d", "web")

    for node in NODES:
        cluster.lab.kill(node)
    for node in NODES:
        cluster.lab.boot(node)
    cluster.lab.await_quorate()
    cluster.await_that(cluster.is_settled, "the cluster to form again")

    assert cluster.service().state == "disabled"
    assert not any(cluster.active_on(n) for n in NODES)
    cluster.do("node1", "clusvcadm", "-e", "web", "-m", "node1")
    assert cluster.answering() == "node1"


def test_nothing_starts_while_the_fence_device_does_not_confirm(cluster: Observed) -> None:
    since = cluster.now_us()
    cluster.lab.bmc_fault("node1", BmcFault.DEAD)

    cluster.lab.kill("node1")
    cluster.await_that(
        lambda: cluster.when("node2", "fence.failed", since, "node1") is not None,
        "the first attempt to fail",
    )
    assert not any(cluster.active_on(n) for n in ("node2", "node3"))
    because = cluster.service("node2").because
    cluster.lab.bmc_fault("node1", None)
    cluster.await_page("node2", 90)

    assert because
    assert "node1" in because
    proven = cluster.when("node2", "fence.succeeded", since, "node1")
    starting = cluster.when("node2", "service.starting", since, "web")
    assert proven is not None
    assert starting is not None
    assert proven <= starting


def test_a_node_that_shuts_down_gives_its_services_away_and_is_not_fenced(
    cluster: Observed,
) -> None:
    since = cluster.now_us()

    cluster.lab.run("node1", ["systemctl", "--no-block", "poweroff"])
    cluster.await_page("node2", 30)
    cluster.await_that(lambda: not cluster.lab.is_on("node1"), "node1 to be off", 30)

    assert cluster.when("node2", "member.left_cleanly", since, "node1") is not None
    assert cluster.when("node2", "node.unclean", since) is None
