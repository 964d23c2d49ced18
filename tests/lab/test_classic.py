# SPDX-License-Identifier: Apache-2.0
"""A cluster driven with clusvcadm and read with clustat by scripts written for rgmanager."""

from __future__ import annotations

from pathlib import Path
from subprocess import CompletedProcess

from tests.lab.observed import Observed

SCRIPTS = Path(__file__).parent / "scripts"


def play(cluster: Observed, node: str, script: str, *arguments: str) -> CompletedProcess[str]:
    text = (SCRIPTS / script).read_text(encoding="utf-8")
    return cluster.lab.run(node, ["sh", "-c", text, script, *arguments], 60)


def test_a_monitoring_plug_in_reads_states_and_owners(cluster: Observed) -> None:
    well = play(cluster, "node2", "check_service.sh", "web", "node1")
    elsewhere = play(cluster, "node3", "check_service.sh", "web", "node2")
    unknown = play(cluster, "node3", "check_service.sh", "nope")
    cluster.do("node1", "clusvcadm", "-d", "web")
    down = play(cluster, "node1", "check_service.sh", "web")

    assert (well.returncode, well.stdout) == (0, "OK: web runs on node1\n")
    assert (elsewhere.returncode, elsewhere.stdout) == (2, "CRITICAL: web runs on node1\n")
    assert unknown.returncode == 3
    assert (down.returncode, down.stdout) == (2, "CRITICAL: web is disabled (119)\n")


def test_a_script_empties_a_node(cluster: Observed) -> None:
    done = play(cluster, "node3", "evacuate.sh", "node1", "node2")

    assert done.returncode == 0, done
    assert done.stdout == (
        "Trying to relocate service:web to node2...Success\n"
        "service:web is now running on node2\n"
        "node1 is empty\n"
    )
    assert cluster.answering() == "node2"


def test_a_script_takes_a_service_down_for_work_and_starts_it_here(cluster: Observed) -> None:
    done = play(cluster, "node2", "maintain.sh", "web", "systemctl", "is-active", "nginx")

    assert done.returncode == 0, done
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["inactive"]
    assert ["service:web", "is", "now", "running", "on", "node2"] in lines
    assert ["Owner", ":", "node2"] in lines
    assert cluster.answering() == "node2"


def test_a_script_locks_the_cluster_before_the_power_goes(cluster: Observed) -> None:
    done = play(cluster, "node1", "site_down.sh", "web")

    try:
        assert done.returncode == 0, done
        assert "trying to enable service:web...Temporary failure; try again\n" in done.stdout
        assert done.stdout.endswith("ready to power off\n")
        assert not any(cluster.active_on(node) for node in cluster.nodes)
    finally:
        said = cluster.do("node2", "clusvcadm", "-u")
    assert said == "Resource groups unlocked\n"
    assert cluster.do("node2", "clusvcadm", "-e", "web").endswith("running on node2\n")
