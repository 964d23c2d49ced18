# SPDX-License-Identifier: Apache-2.0
"""Laws of failover domains, for every domain, membership and load."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from domains.model import PRIORITY_BEST, PRIORITY_WORST, FailoverDomain, NodeId
from domains.rank import Score, may_own, rank_nodes, score, should_move

NODES = st.integers(1, 8).map(NodeId)
ONLINE = st.frozensets(NODES, min_size=1)
LOADS = st.dictionaries(NODES, st.integers(0, 5))
DOMAINS = st.builds(
    FailoverDomain,
    name=st.just("d"),
    priorities=st.dictionaries(NODES, st.integers(PRIORITY_BEST, PRIORITY_WORST), min_size=1),
    ordered=st.booleans(),
    restricted=st.booleans(),
    nofailback=st.booleans(),
)
ANY_DOMAIN = st.none() | DOMAINS


@given(ANY_DOMAIN, ONLINE, LOADS, NODES)
def test_losing_a_node_never_reorders_the_others(
    domain: FailoverDomain | None, online: frozenset[NodeId], load: dict[NodeId, int], lost: NodeId
) -> None:
    before = rank_nodes(domain, online, load)

    assert rank_nodes(domain, online - {lost}, load) == tuple(n for n in before if n != lost)


@given(ANY_DOMAIN, ONLINE, LOADS)
def test_the_ranking_holds_exactly_the_online_nodes_that_may_own_it(
    domain: FailoverDomain | None, online: frozenset[NodeId], load: dict[NodeId, int]
) -> None:
    ranked = rank_nodes(domain, online, load)

    assert len(ranked) == len(set(ranked))
    assert set(ranked) == {n for n in online if may_own(domain, n)}


@given(DOMAINS, ONLINE, LOADS)
def test_a_restricted_domain_never_yields_an_outsider(
    domain: FailoverDomain, online: frozenset[NodeId], load: dict[NodeId, int]
) -> None:
    ranked = rank_nodes(replace(domain, restricted=True), online, load)

    assert set(ranked) <= domain.priorities.keys()


@given(ANY_DOMAIN, ONLINE, LOADS)
def test_the_order_of_the_members_given_does_not_matter(
    domain: FailoverDomain | None, online: frozenset[NodeId], load: dict[NodeId, int]
) -> None:
    ascending = rank_nodes(domain, sorted(online), load)

    assert rank_nodes(domain, sorted(online, reverse=True), load) == ascending


@given(ONLINE, LOADS)
def test_ties_go_to_the_smallest_load_then_to_the_lowest_id(
    online: frozenset[NodeId], load: dict[NodeId, int]
) -> None:
    keys = [(load.get(n, 0), n) for n in rank_nodes(None, online, load)]

    assert keys == sorted(keys)


@given(ANY_DOMAIN, ONLINE, LOADS)
def test_the_first_in_the_ranking_scores_best(
    domain: FailoverDomain | None, online: frozenset[NodeId], load: dict[NodeId, int]
) -> None:
    ranked = rank_nodes(domain, online, load)

    assert not ranked or score(domain, ranked[0], online) is Score.BEST


@given(ANY_DOMAIN, ONLINE, NODES)
def test_a_service_never_moves_to_where_it_is(
    domain: FailoverDomain | None, online: frozenset[NodeId], node: NodeId
) -> None:
    assert not should_move(domain, node, node, online)


@given(ANY_DOMAIN, ONLINE, NODES, NODES)
def test_a_service_that_moved_does_not_move_back(
    domain: FailoverDomain | None, online: frozenset[NodeId], owner: NodeId, joiner: NodeId
) -> None:
    if should_move(domain, owner, joiner, online):
        assert not should_move(domain, joiner, owner, online)


@given(DOMAINS, ONLINE, NODES, NODES)
def test_nofailback_keeps_a_service_on_a_member_that_is_there(
    domain: FailoverDomain, online: frozenset[NodeId], owner: NodeId, joiner: NodeId
) -> None:
    if owner in domain.priorities and owner in online:
        assert not should_move(replace(domain, nofailback=True), owner, joiner, online)
