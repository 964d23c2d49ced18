# SPDX-License-Identifier: Apache-2.0
"""The gate: a member that hears no tick of its own starts and fences nothing."""

from dataclasses import replace

import pytest

from rgmgr.core.actions import FenceNode, Multicast, Record, StartResource
from rgmgr.core.events import CorosyncLost, Delivered
from rgmgr.core.lease import TICK_MS, gate_is_open
from rgmgr.core.local import Turn
from rgmgr.core.messages import Tick
from rgmgr.core.promise import LEASE_MS
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec


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

    assert len(ticks) == 5_000 / TICK_MS


@pytest.mark.parametrize(("warntime_ms", "told"), [(2_000, [2_100]), (2_100, []), (0, [])])
def test_a_member_that_was_silent_for_long_is_told_of_when_it_speaks_again(
    warntime_ms: int, told: list[int]
) -> None:
    cluster = formed(spec=replace(spec(), warntime_ms=warntime_ms))
    cluster.run(2 * TICK_MS)
    tick = Tick(incarnation=1, count=99, epoch=cluster.states[N2].cluster.epoch, applied=0)
    cluster.feed(N2, Delivered(N1, tick))
    cluster.now_ms += 2_100
    cluster.feed(N2, Delivered(N1, tick))

    late = [
        a.fields["silent_ms"]
        for n, a in cluster.actions
        if n == N2 and isinstance(a, Record) and a.event == "member.late"
    ]
    assert late == told


def test_a_new_epoch_makes_nobody_late() -> None:
    cluster = formed()
    cluster.run(2 * TICK_MS)
    cluster.now_ms += 60_000
    cluster.view(N1, N2, N3)
    cluster.run(2 * TICK_MS)

    assert "member.late" not in cluster.records()
