# SPDX-License-Identifier: Apache-2.0
"""Why a service is here and not there: the words of the decisions themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import FailoverDomain, NodeId, ServiceName, Tenant
from domains.occupancy import Occupancy
from domains.rank import Drawback, drawback
from rgmgr.core.model import ClusterState, Node, NodeStatus, Proof, ProofKind, ServiceState
from rgmgr.core.reasons import why_absent, why_not, why_there, would_move
from tests.unit.core_cluster import N1, N2, N3, WEB, formed

ORDERED = FailoverDomain(name="d", priorities={N1: 1, N2: 2}, ordered=True)
RESTRICTED = replace(ORDERED, restricted=True)
PLAIN = FailoverDomain(name="d", priorities={N1: 1, N2: 2})


def _state(
    domain: FailoverDomain | None, owner: NodeId | None = N1, **changes: object
) -> ClusterState:
    """Three nodes online, and one service on `owner`."""
    cluster = formed().states[N1].cluster
    spec = replace(cluster.spec, domains={"d": domain} if domain else {})
    record = cluster.services[WEB]
    state = ServiceState.STARTED if owner else ServiceState.STOPPED
    service = replace(
        record,
        spec=replace(record.spec, domain="d" if domain else None),
        **{"owner": owner, "state": state} | changes,
    )
    return replace(cluster, spec=spec, services={WEB: service})


def _with(cluster: ClusterState, node: NodeId, **changes: object) -> ClusterState:
    nodes = {**cluster.nodes, node: replace(cluster.nodes[node], **changes)}
    return replace(cluster, nodes=nodes)


@pytest.mark.parametrize(
    ("domain", "node", "load", "expected"),
    [
        (ORDERED, N3, {}, Drawback.OUTSIDE),
        (ORDERED, N2, {N1: 9}, Drawback.PRIORITY),
        (PLAIN, N2, {N2: 1}, Drawback.LOAD),
        (PLAIN, N2, {}, Drawback.ID),
        (None, N2, {}, Drawback.ID),
        (None, N2, {N1: 1}, None),
    ],
)
def test_the_weightiest_drawback_is_named(
    domain: FailoverDomain | None, node: NodeId, load: dict[NodeId, int], expected: Drawback
) -> None:
    seated = Occupancy()
    for busy, count in load.items():
        for number in range(count):
            seated.take(busy, Tenant(ServiceName(f"{busy}-{number}")))

    assert drawback(Tenant(WEB, domain), node, N1, seated) is expected


@pytest.mark.parametrize(
    ("domain", "owner", "expected"),
    [
        (None, N1, "any node may run it, and it stays where it was started"),
        (ORDERED, N1, "the best of domain 'd' that is online (priority 1)"),
        (PLAIN, N2, "a member of domain 'd', whose members are alike"),
    ],
)
def test_a_service_in_its_place_says_what_for(
    domain: FailoverDomain | None, owner: NodeId, expected: str
) -> None:
    assert why_there(_state(domain, owner), WEB) == expected


def test_a_service_that_stays_on_a_worse_node_says_why() -> None:
    moved = _state(ORDERED, N2)
    sticky = _state(replace(ORDERED, nofailback=True), N2)

    assert "though node1 is preferred: a running service moves only" in why_there(moved, WEB)
    assert "domain 'd' has nofailback" in why_there(sticky, WEB)
    assert why_not(sticky, WEB, N1) == "preferred, but domain 'd' has nofailback"


def test_the_last_node_that_may_run_it_is_named_as_such() -> None:
    alone = _with(_state(RESTRICTED), N2, status=NodeStatus.LEFT)

    assert why_there(alone, WEB) == "the only node online that may run it"
    outside = _with(
        _with(_state(ORDERED, N3), N1, status=NodeStatus.LEFT), N2, status=NodeStatus.LEFT
    )
    alive = replace(outside, nodes={**outside.nodes, NodeId(4): Node(status=NodeStatus.ONLINE)})
    assert why_there(alive, WEB) == "no member of domain 'd' is online"


@pytest.mark.parametrize(
    ("domain", "node", "expected"),
    [
        (RESTRICTED, N3, "restricted domain 'd' does not have it"),
        (ORDERED, N3, "outside domain 'd', of which node1 is a member"),
        (ORDERED, N2, "priority 2 in domain 'd', node1 has 1"),
        (PLAIN, N2, "as good as node1, where the service runs"),
    ],
)
def test_the_first_reason_against_a_node_is_told(
    domain: FailoverDomain, node: NodeId, expected: str
) -> None:
    assert why_not(_state(domain), WEB, node) == expected


def test_equals_and_less_busy_nodes_are_no_reason_to_move() -> None:
    state = _state(PLAIN, N2)
    other = ServiceName("other")
    busy = replace(
        state,
        services={
            **state.services,
            other: replace(state.services[WEB], spec=replace(state.services[WEB].spec, name=other)),
        },
    )

    assert why_not(state, WEB, N1) == "as good as node2, where the service runs"
    assert why_not(busy, WEB, N1) == (
        "runs fewer other services than node2, but nothing is moved for that"
    )
    assert why_not(busy, WEB, N3) == "outside domain 'd', of which node2 is a member"


def test_a_busier_node_says_how_busy_it_is() -> None:
    state = _state(PLAIN)
    other = ServiceName("other")
    spec = replace(state.services[WEB].spec, name=other)
    busy = replace(
        state,
        services={**state.services, other: replace(state.services[WEB], spec=spec, owner=N2)},
    )

    assert why_not(busy, WEB, N2) == "other services: it runs 1, node1 0"


def test_a_service_whose_owner_is_lost_waits_for_proof() -> None:
    lost = _with(_state(ORDERED), N1, status=NodeStatus.UNCLEAN)

    assert why_there(lost, WEB) == "waiting for proof that node1 is down"


def test_two_alike_in_everything_have_no_drawback() -> None:
    assert drawback(Tenant(WEB, ORDERED), N1, N1, Occupancy()) is None


def test_a_failed_start_counts_against_a_node() -> None:
    state = _state(ORDERED, failed_on=(N2,), fault="vip: exited with status 1")

    assert why_not(state, WEB, N2) == "it failed there: vip: exited with status 1"


def test_a_service_that_is_not_running_tells_its_own_reason_for_every_node() -> None:
    state = _state(ORDERED, None, state=ServiceState.DISABLED)

    assert why_not(state, WEB, N1) == "disabled until an administrator enables it"
    assert why_there(state, WEB) == "disabled until an administrator enables it"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (NodeStatus.UNSEEN, "not seen since the cluster formed"),
        (NodeStatus.LEAVING, "leaving: it gives its services away"),
        (NodeStatus.LEFT, "offline: its rgmgrd was stopped"),
        (NodeStatus.DETACHED, "its rgmgrd is gone"),
        (NodeStatus.UNCLEAN, "lost, and not proven down yet"),
        (NodeStatus.FENCED, "down, and not back yet"),
    ],
)
def test_an_absent_node_is_described_by_what_became_of_it(status: NodeStatus, words: str) -> None:
    state = _with(_state(ORDERED), N2, status=status)

    assert why_not(state, WEB, N2) == words


def test_proof_and_faults_of_a_lost_node_are_part_of_the_reason() -> None:
    state = _state(ORDERED)
    proof = Proof(kind=ProofKind.FENCED, at_ms=1, by=N3)

    assert "(proven by node3)" in why_absent(state, Node(status=NodeStatus.FENCED, proof=proof))
    unclean = Node(status=NodeStatus.UNCLEAN, last_fault="ipmi: timed out")
    assert "(last attempt: ipmi: timed out)" in why_absent(state, unclean)


def test_a_joiner_gets_what_it_suits_better_and_nothing_frozen() -> None:
    running = _state(ORDERED, N2)

    assert would_move(running, WEB, N1)
    assert not would_move(running, WEB, N3)
    assert not would_move(_state(ORDERED, N2, frozen=True), WEB, N1)
    assert not would_move(_state(ORDERED, None), WEB, N1)
