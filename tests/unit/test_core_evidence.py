# SPDX-License-Identifier: Apache-2.0
"""What survivors saw of their links to a lost node becomes part of its history."""

from __future__ import annotations

from rgmgr.core.events import LinksLooked, LinkState
from rgmgr.core.evidence import NEWS_MS, RIPE_MS
from rgmgr.core.model import LinkSight
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed


def look(cluster: Cluster, by: int, *, is_up: bool) -> None:
    """Let a member look at its one link to node1."""
    state = LinkState(node=N1, link=0, is_up=is_up, first_ms=1, before_ms=0, losses=1)
    cluster.feed((N2, N3)[by - 2], LinksLooked((state,)))
    cluster.run(1)


def lost() -> Cluster:
    """Return a cluster that has just lost node1."""
    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    return cluster


def told(cluster: Cluster) -> list[tuple[int, bool]]:
    """Return who told, and whether its link was up, as all members know it."""
    sights = [case.sights for case in cluster.cases(N2)][-1]
    assert cluster.cases(N3)[-1].sights == sights
    assert all(isinstance(sight, LinkSight) and sight.losses == 1 for sight in sights)
    return [(sight.by, sight.is_up) for sight in sights]


def test_each_survivor_tells_once_of_links_that_are_down() -> None:
    cluster = lost()
    look(cluster, 2, is_up=False)
    look(cluster, 3, is_up=False)
    cluster.run(RIPE_MS)
    look(cluster, 2, is_up=True)

    assert told(cluster) == [(N2, False), (N3, False)]


def test_a_link_counts_as_up_only_when_it_had_time_to_go_down() -> None:
    """knet may notice later than totem that nobody is there."""
    cluster = lost()
    look(cluster, 2, is_up=True)
    look(cluster, 3, is_up=True)
    assert told(cluster) == []

    cluster.run(RIPE_MS)
    look(cluster, 2, is_up=False)
    look(cluster, 3, is_up=True)
    assert told(cluster) == [(N2, False), (N3, True)]


def test_a_link_says_nothing_about_a_loss_of_long_ago() -> None:
    cluster = lost()
    cluster.run(NEWS_MS)
    look(cluster, 2, is_up=False)

    assert told(cluster) == []


def test_nothing_is_told_where_nobody_was_lost() -> None:
    cluster = formed()
    look(cluster, 2, is_up=False)

    assert cluster.cases(N2) == ()
