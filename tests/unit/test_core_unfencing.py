# SPDX-License-Identifier: Apache-2.0
"""Devices that cut paths instead of power: opened after a reboot, and never before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.core.actions import FenceNode, StartResource, SwitchOn
from rgmgr.core.events import Requested, SwitchOnEnded
from rgmgr.core.messages import FenceOrder, MaintenanceOrder, MaintenanceRequest
from rgmgr.core.model import NodeStatus
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec


def cut_off(*, auto_restore: bool = True) -> Cluster:
    """Return a cluster whose node1 was cut off its storage, and runs on by itself."""
    plain = spec()
    device = replace(plain.fencing.devices["ipmi"], unfence_at_join=True)
    fencing = replace(plain.fencing, devices={"ipmi": device})
    cluster = formed(spec=replace(plain, fencing=fencing), auto_restore=auto_restore)
    cluster.view(N2, N3)
    return cluster


def order(cluster: Cluster, which: MaintenanceOrder) -> None:
    number = len(cluster.actions) + 1
    asked = MaintenanceRequest(number=number, order=which, by="bob", for_ms=60_000)
    cluster.feed(N2, Requested(asked))
    cluster.settle()


def test_the_paths_of_a_node_that_may_still_run_are_not_opened() -> None:
    """Opened at once, as power is, they would let it write beside the new owner."""
    cluster = cut_off()

    assert cluster.service().owner == N2
    assert cluster.took(SwitchOn) == []


def test_a_node_that_comes_back_without_a_boot_stays_out() -> None:
    cluster = cut_off()
    cluster.view(N1, N2, N3)
    cluster.run(120_000)

    assert cluster.node(N1).status is NodeStatus.FENCED
    assert "fence.boot_needed" in cluster.records()
    assert cluster.took(SwitchOn) == []
    assert len(cluster.took(FenceNode)) == 1


def test_a_node_opens_its_own_paths_after_a_boot_and_gets_no_service_before() -> None:
    cluster = cut_off(auto_restore=False)
    cluster.kill(N1)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert cluster.node(N1).is_cut_off
    assert cluster.service().owner == N2
    ((node, action),) = cluster.took(SwitchOn)
    assert isinstance(action, SwitchOn)
    assert (node, action.node) == (N1, N1)
    before = len(cluster.took(StartResource))

    cluster.feed(N1, SwitchOnEnded(node=N1, victim=action.victim, fault=""))
    cluster.settle()

    assert not cluster.node(N1).is_cut_off
    assert cluster.service().owner == N1, "it suits the service best"
    assert len(cluster.took(StartResource)) > before


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (MaintenanceOrder.LOCK, MaintenanceOrder.UNLOCK),
        (MaintenanceOrder.DISARM, MaintenanceOrder.ARM),
    ],
)
def test_who_is_unfenced_while_nothing_starts_is_offered_the_services_afterwards(
    begin: MaintenanceOrder, end: MaintenanceOrder
) -> None:
    """It had joined in the epoch of the order, but could be given nothing before it."""
    cluster = cut_off(auto_restore=False)
    cluster.kill(N1)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    ((_, action),) = cluster.took(SwitchOn)
    assert isinstance(action, SwitchOn)
    order(cluster, begin)
    cluster.feed(N1, SwitchOnEnded(node=N1, victim=action.victim, fault=""))
    cluster.settle()
    assert cluster.service().owner == N2

    order(cluster, end)

    assert cluster.service().owner == N1


def test_paths_that_cannot_be_opened_are_tried_again() -> None:
    cluster = cut_off(auto_restore=False)
    cluster.kill(N1)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    (_, action) = cluster.took(SwitchOn)[-1]
    assert isinstance(action, SwitchOn)
    cluster.feed(N1, SwitchOnEnded(node=N1, victim=action.victim, fault="no route"))
    cluster.settle()

    assert cluster.node(N1).is_cut_off
    assert "fence.unfence_failed" in cluster.records()
    assert len(cluster.took(SwitchOn)) == 2
    assert cluster.service().owner == N2


def test_what_was_cut_is_known_after_a_full_outage() -> None:
    cluster = cut_off()
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.units.clear()
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert "fence.unfenced" in cluster.records()
    assert [node for node, _ in cluster.took(SwitchOn)] == [N1]


def test_an_ordered_fence_that_is_to_stay_off_is_unfenced_at_its_return_all_the_same() -> None:
    cluster = cut_off()
    cluster.kill(N1)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    cluster.ask_fence(N2, FenceOrder.OFF, N1)
    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)

    assert [node for node, _ in cluster.took(SwitchOn)] == [N1, N1]
