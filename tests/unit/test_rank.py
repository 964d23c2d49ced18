# SPDX-License-Identifier: Apache-2.0
"""Failover domains by example: who may own a service, and who should."""

import pytest

from domains.model import FailoverDomain, NodeId, ServiceName, Tenant
from domains.occupancy import Occupancy
from domains.rank import Score, may_own, rank_nodes, score, should_move

N1, N2, N3, N4 = (NodeId(i) for i in range(1, 5))
PAIR = {N2: 1, N3: 2}


def _ranked(
    domain: FailoverDomain | None, online: tuple[NodeId, ...], load: dict[NodeId, int]
) -> tuple[NodeId, ...]:
    """Rank for a service of this domain while others run on the nodes, so many on each."""
    seated = Occupancy()
    for node, count in load.items():
        for number in range(count):
            seated.take(node, Tenant(ServiceName(f"{node}-{number}")))
    return rank_nodes(Tenant(ServiceName("web"), domain), online, seated)


def _domain(
    *, ordered: bool = True, restricted: bool = False, nofailback: bool = False
) -> FailoverDomain:
    return FailoverDomain(
        name="d", priorities=PAIR, ordered=ordered, restricted=restricted, nofailback=nofailback
    )


def test_without_a_domain_the_least_loaded_node_is_first_then_the_lowest_id() -> None:
    assert _ranked(None, (N3, N1, N2), {N1: 2, N2: 1}) == (N3, N2, N1)
    assert _ranked(None, (N3, N1, N2), {}) == (N1, N2, N3)


def test_an_ordered_domain_ranks_by_priority_whatever_the_load() -> None:
    assert _ranked(_domain(), (N1, N2, N3, N4), {N2: 9, N1: 1}) == (N2, N3, N4, N1)


def test_an_unordered_domain_ranks_its_members_by_load() -> None:
    assert _ranked(_domain(ordered=False), (N1, N2, N3), {N2: 1}) == (N3, N2, N1)


def test_a_restricted_domain_yields_its_members_only() -> None:
    assert _ranked(_domain(restricted=True), (N1, N3, N4), {}) == (N3,)
    assert _ranked(_domain(restricted=True), (N1, N4), {}) == ()


@pytest.mark.parametrize(
    ("domain", "node", "allowed"),
    [
        (None, N1, True),
        (_domain(), N1, True),
        (_domain(restricted=True), N1, False),
        (_domain(restricted=True), N2, True),
    ],
)
def test_only_a_restricted_domain_forbids_outsiders(
    domain: FailoverDomain | None, node: NodeId, *, allowed: bool
) -> None:
    assert may_own(domain, node) is allowed


@pytest.mark.parametrize(
    ("domain", "node", "online", "settled_on", "expected"),
    [
        (None, N1, (N2,), None, Score.ILLEGAL),
        (None, N1, (N1,), None, Score.BEST),
        (_domain(restricted=True), N1, (N1, N2), None, Score.ILLEGAL),
        (_domain(restricted=True), N1, (N1,), None, Score.ILLEGAL),
        (_domain(), N1, (N1, N4), None, Score.BEST),
        (_domain(), N1, (N1, N3), None, Score.GOOD),
        (_domain(), N3, (N2, N3), None, Score.BETTER),
        (_domain(), N3, (N1, N3), None, Score.BEST),
        (_domain(ordered=False), N3, (N2, N3), None, Score.BEST),
        (_domain(nofailback=True), N2, (N2, N3), N3, Score.BETTER),
        (_domain(nofailback=True), N3, (N2, N3), N3, Score.BEST),
        (_domain(nofailback=True), N2, (N1, N2, N3), N1, Score.BEST),
    ],
)
def test_how_fit_a_node_is(
    domain: FailoverDomain | None,
    node: NodeId,
    online: tuple[NodeId, ...],
    settled_on: NodeId | None,
    expected: Score,
) -> None:
    assert score(domain, node, online, settled_on) is expected


def test_a_service_moves_to_a_preferred_node_that_joins_unless_told_to_stay() -> None:
    assert should_move(_domain(), N3, N2, (N1, N2, N3))
    assert should_move(_domain(), N1, N3, (N1, N3))
    assert not should_move(_domain(), N2, N3, (N1, N2, N3))
    assert not should_move(_domain(nofailback=True), N3, N2, (N1, N2, N3))
    assert should_move(_domain(nofailback=True), N1, N3, (N1, N3))
