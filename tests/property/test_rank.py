# SPDX-License-Identifier: Apache-2.0
"""Laws of placement, for every domain, membership, and every set of services on the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domains.displacement import Movable, displacement
from domains.model import (
    PRIORITY_BEST,
    PRIORITY_WORST,
    FailoverDomain,
    NodeId,
    ServiceName,
    Tenant,
    Terms,
    Tie,
)
from domains.occupancy import Occupancy
from domains.rank import (
    Score,
    drawback,
    may_own,
    may_take_over,
    obstacle,
    rank_nodes,
    score,
    should_move,
)

NODES = st.integers(1, 8).map(NodeId)
ONLINE = st.frozensets(NODES, min_size=1)
NAMES = st.sampled_from(("a", "b", "c", "d", "e", "f")).map(ServiceName)
DOMAINS = st.builds(
    FailoverDomain,
    name=st.just("d"),
    priorities=st.dictionaries(NODES, st.integers(PRIORITY_BEST, PRIORITY_WORST), min_size=1),
    ordered=st.booleans(),
    restricted=st.booleans(),
    nofailback=st.booleans(),
)
ANY_DOMAIN = st.none() | DOMAINS
TIES = st.lists(st.builds(Tie, NAMES, st.booleans()), max_size=2, unique_by=lambda t: t.service)
TERMS = st.builds(
    Terms,
    exclusive=st.sampled_from((False, False, False, True)),
    load=st.integers(0, 4),
    priority=st.integers(1, 4),
    together=TIES.map(tuple),
    apart=TIES.map(tuple),
)
TENANTS = st.lists(
    st.builds(Tenant, NAMES, ANY_DOMAIN, TERMS), max_size=6, unique_by=lambda t: t.name
)
CAPACITIES = st.dictionaries(NODES, st.integers(0, 8))
COMER = st.builds(Tenant, st.just(ServiceName("web")), ANY_DOMAIN, TERMS)


@st.composite
def seatings(draw: st.DrawFn) -> tuple[Occupancy, list[Tenant], dict[NodeId, int]]:
    """Place drawn services one after the other, by the rules."""
    tenants, capacities = draw(TENANTS), draw(CAPACITIES)
    found = Occupancy(capacities, is_relative=draw(st.booleans()))
    place(found, tenants, draw(ONLINE))
    return found, tenants, capacities


def place(
    seated: Occupancy, tenants: Sequence[Tenant], online: frozenset[NodeId]
) -> dict[ServiceName, NodeId]:
    """Give each service the first of its nodes, in this order."""
    owners = {}
    for each in tenants:
        ranked = rank_nodes(each, online, seated)
        if ranked:
            seated.take(ranked[0], each)
            owners[each.name] = ranked[0]
    return owners


SEATED = seatings()
Seating = tuple[Occupancy, list[Tenant], dict[NodeId, int]]


@given(COMER, ONLINE, SEATED, NODES)
def test_losing_a_node_never_reorders_the_others(
    comer: Tenant, online: frozenset[NodeId], seating: Seating, lost: NodeId
) -> None:
    before = rank_nodes(comer, online, seating[0])

    after = rank_nodes(comer, online - {lost}, seating[0])
    assert after == tuple(n for n in before if n != lost)


@given(COMER, ONLINE, SEATED)
def test_the_ranking_holds_exactly_the_nodes_that_nothing_keeps_it_from(
    comer: Tenant, online: frozenset[NodeId], seating: Seating
) -> None:
    ranked = rank_nodes(comer, online, seating[0])

    assert len(ranked) == len(set(ranked))
    assert set(ranked) == {n for n in online if obstacle(comer, n, seating[0]) is None}
    assert all(may_own(comer.domain, n) for n in ranked)


@given(DOMAINS, ONLINE, SEATED)
def test_a_restricted_domain_never_yields_an_outsider(
    domain: FailoverDomain, online: frozenset[NodeId], seating: Seating
) -> None:
    comer = Tenant(ServiceName("web"), replace(domain, restricted=True))

    assert set(rank_nodes(comer, online, seating[0])) <= domain.priorities.keys()


@given(COMER, ONLINE, TENANTS, CAPACITIES, st.randoms(use_true_random=False))
def test_no_order_of_what_is_given_matters(
    comer: Tenant,
    online: frozenset[NodeId],
    tenants: list[Tenant],
    capacities: dict[NodeId, int],
    chance: object,
) -> None:
    seats = [(node, each) for node, each in zip(sorted(online), tenants, strict=False)]
    one, other = Occupancy(capacities), Occupancy(dict(reversed(capacities.items())))
    for node, each in seats:
        one.take(node, each)
    for node, each in sorted(seats, key=lambda _: chance.random()):  # type: ignore[attr-defined]
        other.take(node, each)

    expected = rank_nodes(comer, sorted(online), one)
    assert rank_nodes(comer, sorted(online, reverse=True), other) == expected


@given(COMER, ONLINE, SEATED)
def test_no_node_before_another_one_is_worse_than_it(
    comer: Tenant, online: frozenset[NodeId], seating: Seating
) -> None:
    ranked = rank_nodes(comer, online, seating[0])

    for better, worse in pairwise(ranked):
        assert drawback(comer, better, worse, seating[0]) is None
        assert drawback(comer, worse, better, seating[0]) is not None


@given(ANY_DOMAIN, ONLINE)
def test_on_empty_nodes_the_first_in_the_ranking_scores_best(
    domain: FailoverDomain | None, online: frozenset[NodeId]
) -> None:
    ranked = rank_nodes(Tenant(ServiceName("web"), domain), online, Occupancy())

    assert not ranked or score(domain, ranked[0], online) is Score.BEST


@given(TENANTS, CAPACITIES, ONLINE)
def test_whatever_is_placed_keeps_every_hard_rule(
    tenants: list[Tenant], capacities: dict[NodeId, int], online: frozenset[NodeId]
) -> None:
    """Judged by what the rules say, not by the code that keeps them."""
    owners = place(Occupancy(capacities), tenants, online)

    by_name = {each.name: each for each in tenants}
    for name, node in owners.items():
        company = [by_name[n] for n, other in owners.items() if other == node and n != name]
        assert not (by_name[name].terms.exclusive and company)
        for tie in by_name[name].terms.apart:
            assert not tie.hard or owners.get(tie.service) != node or tie.service == name
    for node, capacity in capacities.items():
        assert sum(by_name[n].terms.load for n, x in owners.items() if x == node) <= capacity


@given(TENANTS, CAPACITIES, ONLINE, COMER, st.integers(0, 6), st.integers(0, 6))
def test_a_more_important_service_is_never_worse_off(
    tenants: list[Tenant],
    capacities: dict[NodeId, int],
    online: frozenset[NodeId],
    comer: Tenant,
    early: int,
    late: int,
) -> None:
    """Whoever has a place in its turn has one in an earlier turn, ties to others aside."""
    plain = [replace(t, terms=replace(t.terms, together=(), apart=())) for t in (*tenants, comer)]
    *others, web = plain
    first, last = sorted((early, late))

    had = place(Occupancy(capacities), [*others[:last], web, *others[last:]], online)
    has = place(Occupancy(capacities), [*others[:first], web, *others[first:]], online)
    assert web.name not in had or web.name in has


@given(COMER, ONLINE, SEATED)
def test_room_is_made_by_less_important_ones_and_is_enough(
    comer: Tenant, online: frozenset[NodeId], seating: Seating
) -> None:
    seated, tenants, capacities = seating
    everybody = Movable(frozenset(t.name for t in tenants))
    able = sorted(n for n in online if may_own(comer.domain, n))
    found = displacement(comer, able, seated, everybody)

    if found is None:
        assert all(obstacle(comer, n, seated) for n in able)
        return
    there = {t.name: t for t in seated.tenants(found.node)}
    assert all(there[v].terms.priority > comer.terms.priority for v in found.victims)
    left = Occupancy(capacities)
    for node in map(NodeId, range(1, 9)):
        for each in seated.tenants(node):
            if node != found.node or each.name not in found.victims:
                left.take(node, each)
    assert obstacle(comer, found.node, left) is None


@given(ANY_DOMAIN, ONLINE, NODES)
def test_a_service_never_moves_to_where_it_is(
    domain: FailoverDomain | None, online: frozenset[NodeId], node: NodeId
) -> None:
    assert not should_move(domain, node, node, online)


@given(COMER, ONLINE, NODES, NODES, SEATED)
def test_a_service_that_moved_does_not_move_back(
    comer: Tenant, online: frozenset[NodeId], owner: NodeId, joiner: NodeId, seating: Seating
) -> None:
    if may_take_over(comer, owner, joiner, online, seating[0]):
        assert not may_take_over(comer, joiner, owner, online, seating[0])


@given(DOMAINS, ONLINE, NODES, NODES)
def test_nofailback_keeps_a_service_on_a_member_that_is_there(
    domain: FailoverDomain, online: frozenset[NodeId], owner: NodeId, joiner: NodeId
) -> None:
    if owner in domain.priorities and owner in online:
        assert not should_move(replace(domain, nofailback=True), owner, joiner, online)
