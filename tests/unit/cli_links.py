# SPDX-License-Identifier: Apache-2.0
"""What node1 of a cluster with three nodes may see of its corosync."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.links import CorosyncView, LinkView, QuorumView, TotemView, VoterView, seen

TOTEM = TotemView(
    token_ms=1_000,
    consensus_ms=1_200,
    detection_ms=2_200,
    ping_timeout_ms=2_000,
    link_count=2,
    link_mode="active",
    crypto_cipher="aes256",
    crypto_hash="sha256",
)
QUORUM = QuorumView(
    is_quorate=True,
    expected=3,
    total=3,
    needed=2,
    flags=("quorate",),
    qdevice="",
    qdevice_votes=0,
    is_qdevice_alive=False,
    voters=tuple(VoterView(node=f"node{n}", state="member", votes=1) for n in (1, 2, 3)),
)
LINKS = tuple(
    LinkView(
        node=f"node{node}",
        link=link,
        local_address=f"10.{link}.0.1",
        address=f"10.{link}.0.{node}",
        is_connected=True,
        latency_us=312,
        down_count=0,
    )
    for node in (2, 3)
    for link in (0, 1)
)


def sound() -> CorosyncView:
    """Return a view with nothing to warn of."""
    return seen(CorosyncView(node="node1", totem=TOTEM, quorum=QUORUM, links=LINKS))


def broken() -> CorosyncView:
    """Return the same with a broken cable, no key, and corosync's own timers."""
    down = replace(LINKS[1], is_connected=False, latency_us=None, down_count=3)
    totem = replace(
        TOTEM, token_ms=5_000, consensus_ms=6_000, detection_ms=11_000, crypto_cipher="none",
        crypto_hash="none",
    )  # fmt: skip
    links = (LINKS[0], down, *LINKS[2:])
    return seen(CorosyncView(node="node1", totem=totem, quorum=QUORUM, links=links))


def two_nodes(*flags: str) -> CorosyncView:
    """Return a view of two nodes with one link, and these flags of votequorum."""
    quorum = replace(
        QUORUM, expected=2, total=2, needed=1 if "two_node" in flags else 2,
        flags=("quorate", *flags), voters=QUORUM.voters[:2],
    )  # fmt: skip
    totem = replace(TOTEM, link_count=1)
    return seen(CorosyncView(node="node1", totem=totem, quorum=quorum, links=LINKS[:1]))
