# SPDX-License-Identifier: Apache-2.0
"""The gate: a member that hears no tick of its own starts and fences nothing."""

from rgmgr.core.actions import FenceNode, Multicast, StartResource
from rgmgr.core.events import CorosyncLost
from rgmgr.core.lease import LEASE_MS, gate_is_open
from rgmgr.core.local import Turn
from rgmgr.core.messages import Tick
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed


def _is_open(cluster: Cluster, after_ms: int = 0) -> bool:
    return gate_is_open(Turn(cluster.states[N1], cluster.now_ms + after_ms))


def test_the_gate_closes_when_no_own_tick_came_back_in_time() -> None:
    cluster = formed()

    assert _is_open(cluster, LEASE_MS)
    assert not _is_open(cluster, LEASE_MS + 1)


def test_the_gate_stays_open_while_ticks_come_back() -> None:
    cluster = formed()

    cluster.run(60_000)

    assert _is_open(cluster)


def test_the_gate_closes_with_the_connection_to_corosync() -> None:
    cluster = formed()
    cluster.feed(N1, CorosyncLost("library error"))

    assert not _is_open(cluster)


def test_a_member_whose_disk_confirms_nothing_waits_for_a_majority() -> None:
    cluster = Cluster()
    react = cluster._react
    cluster._react = lambda n, a: None if type(a).__name__ == "SaveState" else react(n, a)  # type: ignore[method-assign]
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert cluster.took(StartResource) == []
    assert cluster.took(FenceNode) == []


def test_only_one_tick_is_under_way() -> None:
    cluster = formed()
    del cluster.actions[:]
    cluster.run(5_000)
    ticks = [a for n, a in cluster.took(Multicast) if n == N1 and isinstance(a.message, Tick)]

    assert len(ticks) == 10
