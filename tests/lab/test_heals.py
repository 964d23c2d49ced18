# SPDX-License-Identifier: Apache-2.0
"""A node is cut off and comes back at each stage of its loss; all devices of a node fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rgmgr.lab import defaultconfig
from rgmgr.lab.bmc import BmcFault
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan
from tests.lab.observed import NODES, Observed
from tests.lab.overlap import overlaps
from tests.lab.race import DEAD_ADDRESS

METHODS = '[[{ device = "dead" }], [{ device = "ipmi3" }], [{ device = "human" }]]'
DEVICES = f"""
[fencing.device.dead]
agent = "fence_ipmi"
ip = "{DEAD_ADDRESS}"
username = "x"
password = "x"
login_timeout = "3"

[fencing.device.human]
agent = "fence_meatware"
alive_check = "node3"
"""
PATIENCE_S = 120.0

# stage, the event of a survivor after which the network is mended, is node1 fenced
STAGES = (
    ("before corosync notices", "", False),
    ("membership changed, fence delayed", "node.unclean", False),
    ("fence under way", "fence.requested", True),
    ("proof given", "fence.succeeded", True),
    ("service started elsewhere", "service.started", True),
)


@pytest.fixture(scope="module")
def delayed(booted: Lab) -> Iterator[Lab]:
    """Give nodes that are fenced some seconds after their loss; the other tests get new ones."""
    text = defaultconfig.render(plan(3)).replace('delay = "0s"', 'delay = "4s"')
    text = text.replace("[fencing]\n", '[fencing]\ntest_interval = "10min"\n')
    booted.up(3, text.replace('[[{ device = "ipmi3" }]]', METHODS) + DEVICES)
    try:
        yield booted
    finally:
        booted.up(3)


@pytest.fixture
def whole(delayed: Lab) -> Observed:
    """Give the settled cluster with the service on node1."""
    cluster = Observed(delayed)
    cluster.restore()
    return cluster


def told(cluster: Observed, event: str, since_us: int) -> bool:
    """Tell whether a survivor has logged this event since then."""
    return any(cluster.when(node, event, since_us) is not None for node in NODES[1:])


@pytest.mark.parametrize(("stage", "event", "is_fenced"), STAGES, ids=[s[0] for s in STAGES])
def test_a_node_that_is_back_at_any_stage_never_runs_a_service_twice(
    whole: Observed, stage: str, event: str, *, is_fenced: bool
) -> None:
    former, since = whole.boot_id("node1"), whole.now_us()
    if event == "fence.requested":
        whole.lab.bmc_fault("node1", BmcFault.DEAD)  # it stays under way until this is mended

    whole.lab.cut("node1")
    if event:
        whole.await_that(lambda: told(whole, event, since), stage)
    whole.lab.heal()
    whole.lab.bmc_fault("node1", None)
    if is_fenced:
        whole.await_that(lambda: whole.boot_id("node1") not in ("", former), "the reset")
    whole.await_that(whole.is_settled, "all to be well", PATIENCE_S)
    whole.await_that(lambda: whole.answering() != "", "the page")

    assert (whole.boot_id("node1") != former) == is_fenced
    assert (whole.service("node2").owner == "node1") == (not is_fenced)
    assert told(whole, "fence.succeeded", since) == is_fenced
    assert overlaps(whole, since) == []


def test_both_devices_of_a_node_are_dead_and_a_human_confirms(whole: Observed) -> None:
    whole.do("node1", "rgmgr", "relocate", "web", "-m", "node3")
    whole.await_page("node3")
    since = whole.now_us()
    whole.lab.bmc_fault("node3", BmcFault.DEAD)
    whole.lab.kill("node3")
    argv = ["fence_meatware", "-o", "ack", "-n", "node3", "--answer=done"]

    def is_accepted() -> bool:
        return any(whole.lab.run(node, argv).returncode == 0 for node in NODES[:2])

    whole.await_that(is_accepted, "a human to be asked", PATIENCE_S)
    whole.await_page("node1")
    proof = [
        line.text
        for node in NODES[:2]
        for line in whole.lines(node, since)
        if line.text.startswith("fence.succeeded ")
    ]

    assert "proof=human" in proof[0]
    assert overlaps(whole, since) == []
