# SPDX-License-Identifier: Apache-2.0
"""The history says why a service was given to this node."""

from __future__ import annotations

import pytest

from domains.model import NodeId
from rgmgr.core.choice import why_chosen
from rgmgr.core.evolve import replace
from rgmgr.core.messages import Verb
from rgmgr.core.model import Await, AwaitKind, ServiceState
from rgmgr.core.seating import occupancy
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed


def reasons(cluster: Cluster) -> list[str]:
    history = cluster.states[N2].cluster.history
    return [entry.facts["reason"] for entry in history if entry.event == "service.starting"]


def test_each_start_is_kept_with_its_reason() -> None:
    cluster = formed()

    cluster.ask(N2, Verb.RESTART)
    cluster.ask(N2, Verb.RELOCATE, N3)

    assert reasons(cluster) == [
        "node1 is preferred to node2 by its domain",
        "it starts again on node1",
        "node3 is where it is wanted",
    ]


@pytest.mark.parametrize(
    ("changes", "ranked", "reason"),
    [
        ({}, (N2,), "node2 is the only node that can take it now"),
        ({"domain": None}, (N2, N3), "node2 is as good as node3, and comes first"),
    ],
)
def test_the_reason_is_what_sets_it_apart_from_the_next_best(
    changes: dict[str, object], ranked: tuple[NodeId, ...], reason: str
) -> None:
    cluster = formed().states[N2].cluster
    web = cluster.services[WEB]
    idle = replace(
        web, spec=replace(web.spec, **changes), state=ServiceState.STOPPED, owner=None, target=None
    )
    cluster = replace(cluster, services={WEB: idle})

    assert why_chosen(cluster, idle, ranked, occupancy(cluster)) == reason


def test_one_that_has_waited_for_its_node_says_so() -> None:
    cluster = formed().states[N2].cluster
    wait = Await(node=N1, kind=AwaitKind.CONFIRM)
    idle = replace(cluster.services[WEB], owner=None, state=ServiceState.STOPPED, awaits=wait)

    assert why_chosen(cluster, idle, (N1,), occupancy(cluster)) == (
        "it has waited for node1, which is back"
    )
