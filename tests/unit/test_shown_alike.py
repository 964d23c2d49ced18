# SPDX-License-Identifier: Apache-2.0
"""What an idle daemon need not show anew."""

from __future__ import annotations

from rgmgr.core.fence_paths import DOUBT_MS
from rgmgr.core.messages import Verb
from rgmgr.core.model import PathState
from rgmgr.runtime.reporting import is_shown_alike
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec

ROUND_MS = 30_000


def idle() -> Cluster:
    """Return a cluster whose members have tested all fence paths, and found that they work."""
    cluster = formed(spec=spec(test_interval_ms=ROUND_MS))
    cluster.run(2 * DOUBT_MS + ROUND_MS)
    return cluster


def test_paths_that_are_as_they_were_are_nothing_new() -> None:
    """Each member tests each minute: with a thousand services to show anew that is not little."""
    cluster = idle()
    before = cluster.states[N2]
    cluster.run(ROUND_MS)
    now = cluster.states[N2]

    assert now.cluster is not before.cluster
    assert now.cluster.tests != before.cluster.tests
    assert is_shown_alike(before, now)


def test_a_path_that_has_broken_is_shown() -> None:
    cluster = idle()
    before = cluster.states[N2]
    cluster.found[N3, N1] = PathState.FAILS
    cluster.run(ROUND_MS)

    assert not is_shown_alike(before, cluster.states[N2])


def test_a_service_that_has_changed_is_shown() -> None:
    cluster = idle()
    before = cluster.states[N2]
    cluster.ask(N2, Verb.FREEZE)

    assert not is_shown_alike(before, cluster.states[N2])


def test_a_member_that_has_gone_is_shown() -> None:
    cluster = idle()
    before = cluster.states[N2]
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert not is_shown_alike(before, cluster.states[N2])
