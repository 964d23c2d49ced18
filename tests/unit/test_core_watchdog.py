# SPDX-License-Identifier: Apache-2.0
"""Self-fencing: armed before the first start, fed on proof alone, waited for long enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.core.actions import (
    Action,
    ArmWatchdog,
    DisarmWatchdog,
    FeedWatchdog,
    FenceNode,
    StartResource,
)
from rgmgr.core.events import CorosyncLost, FenceEnded, WatchdogArmed
from rgmgr.core.lease import TICK_MS
from rgmgr.core.messages import FenceOrder
from rgmgr.core.model import NodeStatus, Proof, ProofKind
from rgmgr.core.promise import LEASE_MS, MARGIN_MS, is_fresh
from rgmgr.core.spec import WATCHDOG_AGENT, FenceDevice
from tests.unit.core_cluster import N1, N2, N3, Cluster, spec

TIMEOUT_MS = 15_000


def guarded(*nodes: NodeId) -> Cluster:
    """Return a cluster whose nodes have nothing but a watchdog; these have promised it."""
    devices = {"ipmi": FenceDevice(name="ipmi", agent=WATCHDOG_AGENT)}
    cluster = Cluster(spec=spec(devices=devices, watchdog="systemd", watchdog_ms=TIMEOUT_MS))
    cluster.auto_fence = False
    cluster.boot(N1, N2, N3)
    for node in nodes:
        state = cluster.states[node]
        cluster.states[node] = replace(state, local=replace(state.local, watchdog_ms=TIMEOUT_MS))
    cluster.view(N1, N2, N3)
    return cluster


def running() -> Cluster:
    """Return such a cluster with the service on the first node, which is armed."""
    cluster = guarded(N1, N2, N3)
    cluster.feed(N1, WatchdogArmed())
    cluster.run(3_000)
    return cluster


def taken_by(cluster: Cluster, node: NodeId, kind: type[Action]) -> list[Action]:
    return [action for by, action in cluster.took(kind) if by == node]


def test_nothing_starts_before_the_watchdog_is_armed() -> None:
    """Else a process that stands still at the wrong moment starts what others have by then."""
    cluster = guarded(N1, N2, N3)

    assert taken_by(cluster, N1, ArmWatchdog) == [ArmWatchdog()]
    assert cluster.took(StartResource) == []

    cluster.feed(N1, WatchdogArmed())
    cluster.settle()

    assert cluster.took(StartResource) != []


def test_a_gate_that_closed_while_it_was_armed_starts_nothing() -> None:
    cluster = guarded(N1, N2, N3)
    cluster.now_ms += LEASE_MS + 1

    cluster.feed(N1, WatchdogArmed())

    assert cluster.took(StartResource) == []


def test_a_node_without_a_watchdog_starts_at_once() -> None:
    cluster = guarded(N2, N3)

    assert taken_by(cluster, N1, StartResource) != []
    assert cluster.took(ArmWatchdog) == []


def test_it_is_fed_with_each_tick_that_comes_back() -> None:
    cluster = running()
    del cluster.actions[:]

    cluster.run(5_000)

    fed = taken_by(cluster, N1, FeedWatchdog)
    assert len(fed) == 5_000 / TICK_MS
    assert all(is_fresh(action.proven_ms, cluster.now_ms) for action in fed[-2:])  # type: ignore[attr-defined]


def test_a_node_that_is_cut_off_is_not_fed_however_its_own_ring_turns() -> None:
    cluster = running()
    cluster.view(N1)
    del cluster.actions[:]

    cluster.run(5_000)

    assert taken_by(cluster, N1, FeedWatchdog) == []


def test_it_is_disarmed_once_everything_has_stopped() -> None:
    """A node that has lost corosync and stopped in order need not be reset."""
    cluster = running()

    cluster.feed(N1, CorosyncLost("killed"))
    assert taken_by(cluster, N1, DisarmWatchdog) == []
    cluster.settle()

    assert taken_by(cluster, N1, DisarmWatchdog) == [DisarmWatchdog()]


def test_a_service_that_cannot_be_stopped_keeps_it_armed() -> None:
    cluster = running()
    cluster.broken_stops.add((N1, "nginx"))

    cluster.feed(N1, CorosyncLost("killed"))
    cluster.settle()

    assert taken_by(cluster, N1, DisarmWatchdog) == []


def test_the_others_wait_for_two_timeouts_and_more() -> None:
    """One that stood still amid a feeding was fed a timeout after its last proof."""
    cluster = running()
    cluster.view(N2, N3)

    (fence,) = [action for _, action in cluster.took(FenceNode)]
    assert isinstance(fence, FenceNode)
    assert fence.watchdog_wait_ms == LEASE_MS + 2 * TIMEOUT_MS + MARGIN_MS


def test_what_a_node_did_not_promise_is_not_waited_for() -> None:
    cluster = guarded(N2, N3)
    cluster.view(N2, N3)

    (fence,) = [action for _, action in cluster.took(FenceNode)]
    assert isinstance(fence, FenceNode)
    assert fence.watchdog_wait_ms == 0


def test_what_runs_unguarded_at_the_start_is_promised_once_it_is_armed() -> None:
    cluster = running()
    cluster.restart_daemon(N1)
    state = cluster.states[N1]
    cluster.states[N1] = replace(state, local=replace(state.local, watchdog_ms=TIMEOUT_MS))
    cluster.view(N1, N2, N3)
    assert cluster.node(N1).watchdog_ms == 0

    cluster.feed(N1, WatchdogArmed())
    cluster.settle()

    assert cluster.node(N1).watchdog_ms == TIMEOUT_MS


@pytest.mark.parametrize(
    ("stays_active", "status"), [(False, NodeStatus.ONLINE), (True, NodeStatus.UNCLEAN)]
)
def test_who_comes_back_unreset_is_welcome_if_it_holds_nothing(
    stays_active: bool,  # noqa: FBT001
    status: NodeStatus,
) -> None:
    """A watchdog need not fire where everything was stopped; what runs on shows that it failed."""
    cluster = running()
    if stays_active:
        cluster.broken_stops.add((N1, "nginx"))
    cluster.view(N1)
    cluster.view(N2, N3)
    victim = cluster.node(N1).victim
    timed = FenceEnded(
        node=N1, victim=victim, attempt=1, is_confirmed=True, detail="", kind=ProofKind.TIMED
    )
    fencer = cluster.node(N1).fencer
    assert fencer is not None
    cluster.feed(fencer, timed)
    cluster.settle((N2, N3))
    proof = cluster.node(N1).proof
    assert isinstance(proof, Proof)
    assert proof.kind is ProofKind.TIMED

    cluster.view(N1, N2, N3)

    assert cluster.node(N1).status is status


def test_who_is_to_be_fenced_by_order_does_not_escape_by_coming_back() -> None:
    cluster = running()
    cluster.ask_fence(N2, FenceOrder.FENCE, N1)

    cluster.view(N1, N2, N3)

    assert cluster.node(N1).status is NodeStatus.UNCLEAN


def test_who_is_only_waited_for_may_come_back_before_the_time_is_over() -> None:
    cluster = running()
    cluster.view(N1)
    cluster.view(N2, N3)
    assert cluster.node(N1).attempt == 1

    cluster.view(N1, N2, N3)

    assert cluster.node(N1).status is NodeStatus.ONLINE
