# SPDX-License-Identifier: Apache-2.0
"""What must not be done is refused on real nodes: it is said why, and nothing is changed."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from rgmgr.view import ServiceView
from tests.lab.observed import NODES, Observed

NGINX = "nginx.service"
CONFIG = "/etc/rgmgr/cluster.toml"
AS_NOBODY = ("runuser", "-u", "nobody", "--")
NO_QUORUM = 256 - 9  # rgmanager's codes, as a shell sees them
DENIED = 256 - 18
GARBAGE_FRAMES = 100
STRANGER = f"""
import asyncio, os, random
from rgmgr.adapters.corosync import Corosync, ViewChanged

async def main():
    joined = asyncio.Event()
    group = Corosync("rgmgr/1", lambda e: joined.set() if isinstance(e, ViewChanged) else None)
    run = asyncio.create_task(group.run())
    await asyncio.wait_for(joined.wait(), 20)
    send = group._session._connection.multicast
    for number in range({GARBAGE_FRAMES}):
        while not send([b"\\xff" + os.urandom(random.randint(0, 5000))]):
            await asyncio.sleep(0.01)
        while not send([b"W" + os.urandom(random.randint(0, 5000))]):
            await asyncio.sleep(0.01)
    print(os.getpid(), await group.leave())
    await run

asyncio.run(main())
"""


def asked(cluster: Observed, node: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return cluster.lab.run(node, list(argv), 60)


def at_rest(cluster: Observed, node: str = "") -> ServiceView:
    """Return the service without what only time changes."""
    view = cluster.service(node)
    return type(view)(**{**{n: getattr(view, n) for n in view.__slots__}, "age_ms": 0})


@contextlib.contextmanager
def masked(cluster: Observed, unit: str, *nodes: str) -> Iterator[None]:
    """Make a unit impossible to start; what runs of it goes on."""
    try:
        for node in nodes:
            cluster.do(node, "systemctl", "mask", "--runtime", unit)
        yield
    finally:
        for node in nodes:
            cluster.do(node, "systemctl", "unmask", "--runtime", unit)


@contextlib.contextmanager
def uninstalled(cluster: Observed, *nodes: str) -> Iterator[None]:
    """Take the web server's unit away, and the script that systemd would make one of."""
    moves = [(f"/lib/systemd/system/{NGINX}", "/root/unit"), ("/etc/init.d/nginx", "/root/script")]
    try:
        for node in nodes:
            for home, away in moves:
                cluster.do(node, "mv", home, away)
            cluster.do(node, "systemctl", "daemon-reload")
        yield
    finally:
        for node in nodes:
            for home, away in moves:
                asked(cluster, node, "mv", away, home)
            cluster.do(node, "systemctl", "daemon-reload")


@contextlib.contextmanager
def wrong_file(cluster: Observed, node: str) -> Iterator[None]:
    """Put a cluster.toml with two problems on a node."""
    try:
        cluster.do(node, "cp", "-a", CONFIG, f"{CONFIG}.good")
        cluster.do(node, "sed", "-i", "-e", "s/^domain = .*/domain = 'nowhere'/", CONFIG)
        cluster.do(node, "sed", "-i", "-e", "s/^max_restarts/max_restart/", CONFIG)
        yield
    finally:
        cluster.do(node, "mv", f"{CONFIG}.good", CONFIG)


def test_a_unit_that_one_node_lacks_is_started_on_the_next(cluster: Observed) -> None:
    cluster.do("node1", "clusvcadm", "-d", "web")
    since = cluster.now_us()

    with masked(cluster, NGINX, "node1"):
        cluster.do("node3", "rgmgr", "enable", "web")

        assert cluster.service().owner == "node2"
        assert [n for n in NODES if cluster.active_on(n)] == ["node2"]
        assert cluster.when("node1", "resource.start_failed", since, "web/nginx", "masked")
        for node in NODES:
            said = cluster.when(node, "service.start_failed", since, "web", "node1", NGINX)
            assert said is not None, f"{node} does not say what failed where"
    cluster.await_page("node2")


def test_a_unit_that_no_node_has_leaves_nothing_behind_and_status_says_why(
    cluster: Observed,
) -> None:
    cluster.do("node1", "clusvcadm", "-d", "web")

    with uninstalled(cluster, *NODES):
        said = asked(cluster, "node3", "rgmgr", "enable", "web")
        shown = " ".join(cluster.do("node3", "rgmgr", "status", "web").split())

        assert said.returncode == 1, said
        assert NGINX in said.stderr
        assert f"start failed on {', '.join(NODES)}: nginx: {NGINX} does not exist" in shown
        assert not any(cluster.active_on(n) for n in NODES)
        assert cluster.answering() == ""
    cluster.do("node3", "rgmgr", "enable", "web")
    cluster.await_page("node1")


def test_without_quorum_a_request_is_refused_and_leaves_no_trace(cluster: Observed) -> None:
    for node in ("node1", "node2"):
        cluster.lab.kill(node)
    cluster.await_that(lambda: not has_quorum(cluster, "node3"), "node3 to lose quorum")
    before = at_rest(cluster, "node3")

    said = asked(cluster, "node3", "clusvcadm", "-d", "web")
    plain = asked(cluster, "node3", "rgmgr", "disable", "web")

    assert said.returncode == NO_QUORUM, said
    assert "Operation requires quorum" in said.stdout
    assert plain.returncode == 3, plain
    assert "quorum" in plain.stderr
    assert "NO QUORUM" in cluster.do("node3", "rgmgr", "status")
    assert at_rest(cluster, "node3") == before
    for node in ("node1", "node2"):
        cluster.lab.boot(node)
    cluster.lab.await_quorate()
    cluster.await_that(cluster.is_settled, "the cluster to form again")
    assert cluster.service().state == "started", "the refused request must not come true later"


def has_quorum(cluster: Observed, node: str) -> bool:
    status = cluster.status(node)
    return status is None or status.is_quorate


def test_who_is_nobody_may_neither_look_nor_act(cluster: Observed) -> None:
    before = at_rest(cluster)

    for argv in (("rgmgr", "status"), ("rgmgr", "disable", "web"), ("clustat",)):
        said = asked(cluster, "node1", *AS_NOBODY, *argv)
        assert said.returncode != 0, said
        assert "ermission denied" in said.stderr, said
    said = asked(cluster, "node1", *AS_NOBODY, "clusvcadm", "-d", "web")
    assert said.returncode == DENIED, said
    assert "Permission denied" in said.stderr

    assert at_rest(cluster) == before
    assert cluster.answering() == "node1"


def test_what_does_not_exist_is_refused_by_its_name(cluster: Observed) -> None:
    before = at_rest(cluster)

    no_service = asked(cluster, "node2", "rgmgr", "disable", "wbe")
    no_node = asked(cluster, "node2", "rgmgr", "relocate", "web", "-m", "node9")

    assert no_service.returncode == 3
    assert "'wbe'" in no_service.stderr
    assert no_node.returncode == 3
    assert "'node9'" in no_node.stderr
    assert at_rest(cluster) == before


def test_random_bytes_in_the_group_are_dropped_and_every_daemon_goes_on(
    cluster: Observed,
) -> None:
    pids = [daemon_of(cluster, node) for node in NODES]
    nginx = cluster.main_pid("node1")
    since = cluster.now_us()

    said = cluster.do(
        "node3", "env", "PYTHONPATH=/usr/lib/rgmgr/python", "python3", "-s", "-c", STRANGER
    )
    stranger, has_left = said.split()
    assert has_left == "True"
    cluster.await_that(cluster.is_settled, "the cluster to settle")

    for node in NODES:
        lines = [line.text for line in cluster.lines(node, since)]
        dropped = [text for text in lines if text.startswith("message.dropped ")]
        assert len(dropped) == 2 * GARBAGE_FRAMES, f"{node}: {len(dropped)}"
        assert all(f"node=3 pid={stranger} reason=" in text for text in dropped)
        assert not any(text.startswith(("daemon.", "node.unclean")) for text in lines)
    assert [daemon_of(cluster, node) for node in NODES] == pids
    assert cluster.main_pid("node1") == nginx
    cluster.do("node2", "clusvcadm", "-r", "web", "-m", "node3")
    assert cluster.answering() == "node3"


def daemon_of(cluster: Observed, node: str) -> str:
    return cluster.do(node, "systemctl", "show", "-P", "MainPID", "rgmgrd.service").strip()


def test_a_node_without_corosync_says_what_it_waits_for(cluster: Observed) -> None:
    before = at_rest(cluster, "node1")
    cluster.do("node3", "systemctl", "stop", "rgmgrd")
    absent = asked(cluster, "node3", "rgmgr", "status")
    cluster.do("node3", "systemctl", "stop", "corosync")

    with masked(cluster, "corosync.service", "node3"):
        cluster.do("node3", "systemctl", "start", "rgmgrd")
        cluster.await_that(lambda: cluster.status("node3") is not None, "the daemon on node3")
        shown = cluster.do("node3", "rgmgr", "status")
        asked_for = asked(cluster, "node3", "rgmgr", "relocate", "web", "-m", "node2")
        line = cluster.do("node3", "systemctl", "show", "-P", "StatusText", "rgmgrd")

    assert absent.returncode == 5
    assert "rgmgrd does not run on this node" in absent.stderr
    assert "waiting for corosync" in " ".join(shown.split())
    assert line.startswith("waiting for corosync: ")
    assert asked_for.returncode == 3, asked_for
    assert "waiting for corosync" in asked_for.stderr
    assert at_rest(cluster, "node1") == before
    cluster.do("node3", "systemctl", "start", "corosync")
    cluster.await_that(cluster.is_settled, "node3 to join as soon as corosync is there")


def test_a_reload_with_a_wrong_file_is_refused_key_by_key(cluster: Observed) -> None:
    before = at_rest(cluster)
    pid = daemon_of(cluster, "node1")
    since = cluster.now_us()

    with wrong_file(cluster, "node1"):
        cluster.do("node1", "systemctl", "reload", "rgmgrd")
        for key in ("service.web.domain", "service.web.max_restart"):
            cluster.await_that(
                lambda key=key: (
                    cluster.when("node1", "config.refused", since, f"key={key} ")  # type: ignore[misc]
                    is not None
                ),
                f"node1 to refuse {key}",
            )

    assert daemon_of(cluster, "node1") == pid
    assert cluster.when("node1", "config.loaded", since) is None
    assert at_rest(cluster) == before


def test_a_restart_with_a_wrong_file_moves_services_away_instead_of_getting_fenced(
    cluster: Observed,
) -> None:
    """The new daemon would end with 78, and a node that stays without one is fenced."""
    boot = cluster.boot_id("node1")
    since = cluster.now_us()

    with wrong_file(cluster, "node1"):
        restarted = asked(cluster, "node1", "systemctl", "restart", "rgmgrd")
        cluster.await_page("node2")

    assert restarted.returncode != 0
    assert cluster.when("node1", "shutdown.made_final", since, CONFIG)
    assert cluster.when("node2", "member.left_cleanly", since, "node1")
    assert not cluster.active_on("node1")
    cluster.do("node1", "systemctl", "start", "rgmgrd")
    cluster.await_that(cluster.is_settled, "node1 to return")
    assert cluster.boot_id("node1") == boot
    assert cluster.when("node2", "node.unclean", since) is None


def test_a_daemon_with_a_wrong_file_does_not_start_and_is_not_tried_again(
    cluster: Observed,
) -> None:
    before = at_rest(cluster, "node1")
    cluster.do("node3", "systemctl", "stop", "rgmgrd")
    since = cluster.now_us()

    with wrong_file(cluster, "node3"):
        started = asked(cluster, "node3", "systemctl", "start", "rgmgrd")
        checked = asked(cluster, "node3", "rgmgr", "config", "check")
        shown = asked(cluster, "node3", "systemctl", "show", "rgmgrd")

    assert started.returncode != 0
    assert "ActiveState=failed" in shown.stdout
    assert "ExecMainStatus=78" in shown.stdout
    assert f"StatusText=ending: {CONFIG} has problems" in shown.stdout
    assert checked.returncode == 78
    for key in ("service.web.domain", "service.web.max_restart"):
        assert key in checked.stderr
        assert cluster.when("node3", "config.refused", since, f"source={CONFIG}", f"key={key} ")
    assert at_rest(cluster, "node1") == before
    assert cluster.when("node1", "node.unclean", since) is None
