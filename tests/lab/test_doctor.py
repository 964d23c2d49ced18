# SPDX-License-Identifier: Apache-2.0
"""What `rgmgr doctor` and `rgmgr status --links` say of real nodes, sound and broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rgmgr.config.corosync_conf import TIMERS, Profile
from tests.lab.observed import NODES, Observed

ENABLE, DISABLE = ("systemctl", "enable"), ("systemctl", "disable")
MASK, UNMASK = ("systemctl", "mask", "--runtime"), ("systemctl", "unmask", "--runtime")
LOOK_S = 15.0  # the daemon looks at its links every 5 s


def doctor(cluster: Observed, node: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and the checks by name."""
    done = cluster.lab.run(node, ["rgmgr", "doctor", "--json"], 30)
    document = json.loads(done.stdout)
    return done.returncode, {check["name"]: check for check in document["checks"]}


def verdicts(checks: dict[str, dict[str, str]], *names: str) -> list[str]:
    return [checks[name]["verdict"] for name in names]


def links(cluster: Observed, node: str) -> dict[str, Any]:
    return dict(json.loads(cluster.do(node, "rgmgr", "status", "--links", "--json")))


@contextmanager
def undone(cluster: Observed, node: str, done: list[str], undo: list[str]) -> Iterator[None]:
    cluster.do(node, *done)
    try:
        yield
    finally:
        cluster.do(node, *undo)


def stopped(cluster: Observed, unit: str) -> AbstractContextManager[None]:
    """Stop a unit on node3, and start it again."""
    return undone(cluster, "node3", ["systemctl", "stop", unit], ["systemctl", "start", unit])


def seen_by_node1(cluster: Observed) -> int:
    """Return how many votes were there at the latest look; a node that just booted saw fewer."""
    shown = links(cluster, "node1")
    return int(shown["quorum"]["total"]) if shown["totem"] and shown["quorum"] else 0


def test_links_show_what_corosync_was_told(cluster: Observed) -> None:
    cluster.await_that(lambda: seen_by_node1(cluster) == 3, "a look at all three", LOOK_S)

    shown = links(cluster, "node1")
    screen = cluster.do("node1", "rgmgr", "status", "--links")

    fast = TIMERS[Profile.FAST]
    assert shown["node"] == "node1"
    assert shown["totem"]["token_ms"] == fast.token_ms
    assert shown["totem"]["detection_ms"] == fast.detection_ms
    assert shown["totem"]["crypto_cipher"] == "aes256"
    assert shown["quorum"]["total"] == 3
    assert [(link["node"], link["is_connected"]) for link in shown["links"]] == [
        ("node2", True),
        ("node3", True),
    ]
    assert [warning["code"] for warning in shown["warnings"]] == ["single-link"]
    assert "a dead node is noticed after 2.2 s" in screen
    assert "!! nodes have a single link" in screen


def test_a_lost_link_is_shown_signalled_and_written(cluster: Observed) -> None:
    since = cluster.now_us()

    cluster.lab.cut("node3")  # the cable stays out, however soon the fence has it on again
    cluster.await_that(
        lambda: cluster.when("node1", "link.lost", since, "node3") is not None, "the loss", LOOK_S
    )
    cluster.lab.heal()

    # the fence switches it on again at once, so the link may be back by now
    found = {link["node"]: link for link in links(cluster, "node1")["links"]}
    assert found["node2"]["is_connected"]
    assert not found["node3"]["is_connected"] or found["node3"]["down_count"]


def _has_looked(cluster: Observed, node: str) -> bool:
    """Tell whether the daemon has seen the others since whatever the test before has done."""
    _, checks = doctor(cluster, node)
    return verdicts(checks, "clocks", "quorum") == ["ok", "ok"]


def test_a_sound_node_is_found_sound(cluster: Observed) -> None:
    for node in NODES:
        cluster.await_that(lambda: _has_looked(cluster, node), "a look at ticks and votes", 20)  # noqa: B023 - awaited here
        code, checks = doctor(cluster, node)

        bad = {n: c for n, c in checks.items() if c["verdict"] != "ok"}
        # the lab has one link, and each node's BMC loses its power with the node
        assert set(bad) == {"single-link", *(f"node.{name}.fence" for name in NODES)}
        assert {check["verdict"] for check in bad.values()} == {"warn"}
        assert code == 0
        assert "node1, node2, node3" in checks["same cluster.toml"]["found"]
        assert "nginx.service" in checks


def test_what_is_dangerous_is_found(cluster: Observed) -> None:
    secret = "/etc/rgmgr/secrets.d/ipmi2"
    with (
        undone(
            cluster, "node2", ["systemctl", "enable", "nginx"], ["systemctl", "disable", "nginx"]
        ),
        undone(cluster, "node2", ["chmod", "644", secret], ["chmod", "600", secret]),
        undone(cluster, "node2", ["hostname", "elsewhere"], ["hostname", "node2"]),
    ):
        code, checks = doctor(cluster, "node2")
    after, _ = doctor(cluster, "node2")

    assert code == 1
    assert verdicts(checks, "nginx.service", "node2", "node names") == ["fail", "fail", "warn"]
    assert "systemctl disable nginx.service" in checks["nginx.service"]["advice"]
    assert "mode 0644" in checks["node2"]["found"]
    assert after == 0


def test_a_unit_that_runs_beside_its_service_is_stopped_and_the_doctor_is_content(
    cluster: Observed,
) -> None:
    """`web` runs on node1; somebody starts its web server by hand on node3."""

    def is_active() -> bool:
        state = cluster.lab.run("node3", ["systemctl", "is-active", "nginx"]).stdout
        return state.strip() == "active"

    with undone(cluster, "node3", ["systemctl", "start", "nginx"], ["systemctl", "stop", "nginx"]):
        cluster.await_that(lambda: not is_active(), "the cluster to stop it", 20)
        cluster.await_that(cluster.is_settled, "an epoch after that", 20)
        code, checks = doctor(cluster, "node3")

    assert code == 0
    assert checks["nginx.service"]["verdict"] == "ok"
    assert cluster.service().owner == "node1"


def test_the_doctor_works_without_the_daemon_and_without_corosync(cluster: Observed) -> None:
    with stopped(cluster, "rgmgrd"):
        code, without_daemon = doctor(cluster, "node3")
        with stopped(cluster, "corosync"):
            _, without_both = doctor(cluster, "node3")

    assert code == 1
    names = ("rgmgrd", "corosync", "quorum", "node names", "nginx.service")
    assert verdicts(without_daemon, *names) == ["fail", "ok", "unknown", "ok", "ok"]
    assert verdicts(without_both, *names) == ["fail", "fail", "unknown", "ok", "ok"]


def test_a_daemon_without_corosync_says_so(cluster: Observed) -> None:
    with (
        stopped(cluster, "rgmgrd"),
        stopped(cluster, "corosync"),
        undone(cluster, "node3", [*MASK, "corosync"], [*UNMASK, "corosync"]),
    ):
        cluster.do("node3", "systemctl", "start", "rgmgrd")
        cluster.await_that(
            lambda: "systemctl status corosync" in str(links(cluster, "node3")["fault"]),
            "the daemon to look",
            LOOK_S,
        )
        _, checks = doctor(cluster, "node3")

    assert verdicts(checks, "corosync", "quorum", "links") == ["fail", "unknown", "unknown"]


def test_a_unit_that_nobody_knows_is_told_with_the_command_that_ends_it(cluster: Observed) -> None:
    """Its service was lost by file and state alike; nothing of the cluster may stop it unasked."""
    run = ["systemd-run", "--slice=rgmgr-ghost.slice", "--unit=rgmgr-ghost-app", "sleep", "1000"]
    cluster.do("node3", *run)

    code, checks = doctor(cluster, "node3")
    told = checks["service ghost"]
    cluster.do("node3", *told["advice"].replace("'", "").split())

    assert code == 1
    assert told["verdict"] == "fail"
    assert "rgmgr-ghost-app.service run here" in told["found"]
    assert "service ghost" not in doctor(cluster, "node3")[1]
