# SPDX-License-Identifier: Apache-2.0
"""Real nodes without any fence device: they reset themselves, and the others wait until then."""

from __future__ import annotations

import re

import pytest

from rgmgr.lab import defaultconfig
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import plan
from tests.lab.observed import Observed
from tests.lab.overlap import overlaps

SETTINGS = """[fencing]
watchdog = "systemd"
watchdog_timeout = "8s"
"""
DEVICE = '\n[fencing.device.time]\nagent = "fence_watchdog"\n'
WAIT_S = 1.5 + 2 * 8 + 3
PATIENCE_S = 90.0


@pytest.fixture
def guarded(own_lab: Lab) -> Observed:
    """Boot nodes that have nothing but their systemd to reset them."""
    text = defaultconfig.render(plan(3)).replace(
        "version = 1\n", 'version = 1\nsync_timeout = "3s"\n'
    )
    text = re.sub(r"fence = \[\[.*\]\]", 'fence = [[{ device = "time" }]]', text)
    text = re.sub(r"\[fencing.device.bmc\d\]\n(\w.*\n)+", "", text)
    own_lab.up(3, text.replace("[fencing]\n", SETTINGS) + DEVICE)
    cluster = Observed(own_lab)
    cluster.await_page("node1")
    cluster.await_that(cluster.is_settled, "all nodes online and nothing under way")
    return cluster


def test_a_node_resets_itself_or_has_stopped_before_another_starts(guarded: Observed) -> None:
    since = guarded.now_us()
    cut_off = guarded.boot_id("node1")
    guarded.lab.cut("node1")
    guarded.await_that(lambda: bool(guarded.when("node2", "node.unclean", since)), "the loss")
    guarded.await_that(lambda: guarded.answering() == "node2", "the page on node2", PATIENCE_S)
    lost, proven = (guarded.when("node2", e, since) for e in ("node.unclean", "fence.succeeded"))
    guarded.lab.heal()
    guarded.await_that(guarded.is_settled, "node1 to return", PATIENCE_S)
    assert guarded.boot_id("node1") == cut_off, "it stopped in order, so nothing had to reset it"
    assert proven is not None
    assert lost is not None
    assert (proven - lost) / 1e6 >= WAIT_S

    standing = guarded.boot_id("node2")
    guarded.do("node2", "systemctl", "kill", "--kill-whom=main", "-s", "STOP", "rgmgrd")
    guarded.await_that(
        lambda: guarded.boot_id("node2") not in ("", standing), "node2 to be reset", PATIENCE_S
    )
    guarded.await_that(guarded.is_settled, "all to be well", PATIENCE_S)
    guarded.await_that(lambda: guarded.answering() != "", "the page", PATIENCE_S)

    assert overlaps(guarded, since) == []
