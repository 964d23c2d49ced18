# SPDX-License-Identifier: Apache-2.0
"""Each kind of our agents really switches a node, as the cluster uses it: PDU, ssh, and a human.

IPMI is what all other tests of this folder fence with.
"""

from __future__ import annotations

import pytest

from rgmgr.lab import defaultconfig
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import PDU_ADDRESS, PDU_NAME, plan
from tests.lab.observed import NODES, Observed
from tests.lab.overlap import overlaps

DEVICES = f"""
[fencing.device.pdu]
agent = "fence_pdu"
ip = "{PDU_ADDRESS}"
community = "secret:{PDU_NAME}"

[fencing.device.ssh]
agent = "fence_ssh"
identity_file = "/root/.ssh/id_ed25519"
test_cluster = true

[fencing.device.human]
agent = "fence_meatware"
"""
STEP_BY_NODE = {
    "node1": '{ device = "pdu", plug = "node1" }',
    "node2": '{ device = "ssh", ip = "node2" }',
    "node3": '{ device = "human", alive_check = "node3" }',
}


@pytest.fixture
def kinds(own_lab: Lab) -> Observed:
    """Boot nodes that are each fenced by another kind of device."""
    text = defaultconfig.render(plan(3)) + DEVICES
    for node in plan(3):
        text = text.replace(
            f'[[{{ device = "{node.bmc_name}" }}]]', f"[[{STEP_BY_NODE[node.name]}]]"
        )
    own_lab.up(3, text)
    cluster = Observed(own_lab)
    cluster.await_page("node1")
    cluster.await_that(cluster.is_settled, "all nodes online and nothing under way")
    return cluster


def returned(cluster: Observed, node: str, former: str) -> None:
    """Wait until a node lives again, with another boot id, and is a member."""
    cluster.await_that(lambda: cluster.boot_id(node) not in ("", former), f"{node} to be reset")
    cluster.await_that(cluster.is_settled, f"{node} to return")


def acknowledged(cluster: Observed, node: str) -> bool:
    """Answer the question where it is asked; False while it is asked nowhere."""
    argv = ["fence_meatware", "-o", "ack", "-n", node, "--answer=done"]
    asked = [other for other in NODES if other != node]
    return any(cluster.lab.run(other, argv).returncode == 0 for other in asked)


def test_a_pdu_an_ssh_server_and_a_human_each_fence_a_node(kinds: Observed) -> None:
    since = kinds.now_us()

    hung = kinds.boot_id("node1")
    kinds.lab.pause("node1")
    kinds.await_page("node2")
    returned(kinds, "node1", hung)
    commands = (kinds.lab.layout.run / PDU_NAME / "commands").read_text(encoding="utf-8")
    assert commands.splitlines() == ["1 off", "1 on"]

    cut_off = kinds.boot_id("node2")
    kinds.lab.run("node2", ["pkill", "-KILL", "-x", "corosync"])
    kinds.await_page("node1")
    returned(kinds, "node2", cut_off)

    kinds.lab.kill("node3")
    kinds.await_that(lambda: acknowledged(kinds, "node3"), "a human to be asked")
    kinds.await_that(
        lambda: any(kinds.when(node, "fence.succeeded", since) for node in NODES[:2]), "the proof"
    )

    assert overlaps(kinds, since) == []
