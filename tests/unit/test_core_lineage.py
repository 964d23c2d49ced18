# SPDX-License-Identifier: Apache-2.0
"""Whose state an epoch is built on, where numbers alone would mislead."""

from __future__ import annotations

import pytest

from domains.model import NodeId
from rgmgr.core.actions import Multicast
from rgmgr.core.lineage import candidates
from rgmgr.core.messages import Hello, Install
from rgmgr.core.model import RingId
from tests.unit.core_cluster import N1, N2, N3, formed

FOUR, FIVE = NodeId(4), NodeId(5)


def hello(epoch: int, *agreed: NodeId, is_live: bool = True) -> Hello:
    """Return what a member says that has a state of this epoch, for so many nodes."""
    return Hello(
        ring=RingId(N1, 40),
        members=agreed,
        incarnation=1,
        boot_id="boot",
        epoch=epoch,
        epoch_ring_seq=4 * epoch,
        applied=0,
        is_live=is_live,
        digest="d",
        config_version=1,
        config_digest="d",
        claims=(),
        agreed_nodes=agreed,
    )


@pytest.mark.parametrize(
    ("hellos", "able"),
    [
        ({N1: (3, N1, N2, N3), N2: (3, N1, N2, N3), N3: (4, N1, N2, N3)}, (N1, N2)),
        ({N1: (3, N1, N2, N3), N2: (4, N1, N2, N3), N3: (5, N1, N2, N3)}, (N1, N2, N3)),
        ({N1: (3, N1, N2, N3), N2: (3, N1, N2, N3), N3: (4, N1, N2, N3, FOUR, FIVE)}, (N1, N2, N3)),
        ({N1: (3, N1, N2), N2: (4, N1, N2)}, (N1, N2)),
    ],
    ids=["two of three", "none", "two of five", "one of two"],
)
def test_an_epoch_in_which_a_majority_lives_wins_over_any_number(
    hellos: dict[NodeId, tuple[int, NodeId]], able: tuple[NodeId, ...]
) -> None:
    assert candidates({n: hello(*said) for n, said in hellos.items()}) == able


def test_what_was_only_read_from_disk_is_no_epoch_in_which_somebody_lives() -> None:
    old = {n: hello(3, N1, N2, N3, is_live=n == N1) for n in (N1, N2)}

    assert candidates({**old, N3: hello(4, N1, N2, N3, is_live=False)}) == (N1, N2, N3)


def test_who_comes_back_takes_nothing_back_that_was_agreed_after_a_disk_was_lost() -> None:
    """The disk of node3 is lost, and with node1 it begins from an epoch before that of node2."""
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.view(N2, N3)
    cluster.view(N2, N3)
    late = cluster.states[N2].cluster.epoch
    cluster.kill(N2)
    cluster.kill(N3)
    del cluster.disks[N3]
    cluster.units.clear()
    cluster.boot(N1, N3)
    cluster.view(N1, N3, ring_nodes=(N1, N2, N3))
    assert cluster.states[N1].cluster.epoch < late

    cluster.boot(N2)
    del cluster.actions[:]
    cluster.view(N1, N2, N3)

    said = [(n, a.message) for n, a in cluster.took(Multicast) if isinstance(a, Multicast)]
    assert [n for n, message in said if isinstance(message, Install)] == [N1]
    assert cluster.states[N2].cluster.epoch > late
