# SPDX-License-Identifier: Apache-2.0
"""What `rgmgr corosync-conf` promises, kept by real corosync nodes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from rgmgr.config.corosync_conf import Profile
from tests.adapters.corosync_nodes import missing
from tests.adapters.detection import KEY_BYTES, detection_ms, expected_ms, formed

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=f"real corosync nodes: {missing()}"),
]

FAST_MS_MAX = 3_500
SAFE_MS_MIN, SAFE_MS_MAX = 3_500, 8_000
OUTAGE_S = 3.0  # the token, 1 s, and a link's ping timeout, 2 s, are over by then


@pytest.mark.parametrize("count", [2, 3])
def test_a_fast_cluster_sees_a_power_cut_in_about_two_seconds(tmp_path: Path, count: int) -> None:
    with formed(count, tmp_path, Profile.FAST) as talking:
        taken_ms = detection_ms(talking)

    assert 1_000 < taken_ms < FAST_MS_MAX
    assert expected_ms(Profile.FAST) < FAST_MS_MAX


def test_a_safe_cluster_sees_it_in_about_five_seconds(tmp_path: Path) -> None:
    with formed(3, tmp_path, Profile.SAFE) as talking:
        taken_ms = detection_ms(talking)

    assert SAFE_MS_MIN < taken_ms < SAFE_MS_MAX


def test_losing_one_of_two_links_changes_no_membership(tmp_path: Path) -> None:
    """On other ports than usual, since the links must not share one."""
    with formed(3, tmp_path, Profile.FAST, links=2, port=5500) as talking:
        first, *_ = talking.clients
        first.find("QuorumChanged", nodes=[1, 2, 3])  # the last that forming them tells
        known = len(first.seen)
        ports = talking.nodes[0].output("ss", "-lnuH")

        for node in talking.nodes:
            node.cut(link=0)
        deadline = time.monotonic() + OUTAGE_S
        while time.monotonic() < deadline:  # a message turns the ring
            first.tell("send", text="there?")
            for client in talking.clients:
                client.wait_for_kind("MessageReceived", text="there?")
        since = {event["event"] for event in first.seen[known:]}

    assert since == {"MessageReceived"}
    assert ":5500 " in ports
    assert ":5502 " in ports


def test_a_node_with_another_key_is_not_let_in(tmp_path: Path) -> None:
    ours, theirs = os.urandom(KEY_BYTES), os.urandom(KEY_BYTES)

    with formed(3, tmp_path, Profile.FAST, keys=[ours, ours, theirs]) as talking:
        stranger = talking.nodes[2].client()
        alone = stranger.wait_for_kind("ViewChanged")
        talking.clients[0].tell("send", text="for us only")
        for client in talking.clients:
            client.wait_for_kind("MessageReceived", text="for us only")
        talking.nodes[1].power_cut()
        talking.clients[0].wait_for(lambda e: e["event"] == "ViewChanged" and e["nodes"] == [1])
        stranger.tell("send", text="hello?")
        heard = stranger.wait_for_kind("MessageReceived")

        assert alone["nodes"] == [3]
        assert heard["text"] == "hello?", "it hears nothing but itself"
        assert stranger.find("QuorumChanged")["is_quorate"] is False
        rings = [e["nodes"] for c in talking.clients for e in c.seen if "nodes" in e]
        assert [1, 2] in rings
        assert [ring for ring in rings if 3 in ring] == []
