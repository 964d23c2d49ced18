# SPDX-License-Identifier: Apache-2.0
"""What services on a node mean for another one, by example."""

from __future__ import annotations

from domains.displacement import Displacement, Movable, displacement
from domains.model import NodeId, ServiceName, Tenant, Terms, Tie
from domains.occupancy import Bar, Occupancy
from domains.rank import Drawback, drawback, obstacle, rank_nodes

N1, N2, N3 = NodeId(1), NodeId(2), NodeId(3)
ALL = (N1, N2, N3)
DB, WEB = ServiceName("db"), ServiceName("web")


def tenant(name: str, **terms: object) -> Tenant:
    """Return a service without a domain."""
    return Tenant(ServiceName(name), terms=Terms(**terms))  # type: ignore[arg-type]


def seated(*places: tuple[NodeId, Tenant], **given: object) -> Occupancy:
    """Return nodes with these services on them."""
    found = Occupancy(**given)  # type: ignore[arg-type]
    for node, each in places:
        found.take(node, each)
    return found


def test_an_exclusive_service_starts_only_where_nothing_is() -> None:
    there = seated((N1, tenant("db")), (N2, tenant("mail")))
    alone = tenant("web", exclusive=True)

    assert rank_nodes(alone, ALL, there) == (N3,)
    found = obstacle(alone, N1, there)
    assert found is not None
    assert found.text == "it runs alone, and db is there"


def test_nothing_starts_beside_an_exclusive_service() -> None:
    there = seated((N1, tenant("db", exclusive=True)))
    found = obstacle(tenant("web"), N1, there)

    assert found is not None
    assert (found.bar, found.text) == (Bar.EXCLUSIVE, "db runs alone there")
    assert obstacle(tenant("db", exclusive=True), N1, there) is None, "not in its own way"


def test_a_full_node_is_left_out_and_says_how_full_it_is() -> None:
    there = seated((N1, tenant("db", load=8)), capacities={N1: 10, N2: 10})
    found = obstacle(tenant("web", load=3), N1, there)

    assert found is not None
    assert found.text == "no room: it needs 3, and 2 is left"
    assert rank_nodes(tenant("web", load=2), ALL, there) == (N2, N3, N1)


def test_with_a_capacity_everywhere_the_emptiest_part_counts() -> None:
    places = ((N1, tenant("db", load=4)), (N2, tenant("mail", load=3)))
    sizes = {N1: 100, N2: 10}

    assert rank_nodes(tenant("web"), (N1, N2), seated(*places, capacities=sizes)) == (N2, N1)
    even = seated(*places, capacities=sizes, is_relative=True)
    assert rank_nodes(tenant("web"), (N1, N2), even) == (N1, N2)


def test_equal_loads_are_told_apart_by_the_number_of_services() -> None:
    there = seated((N1, tenant("a", load=1)), (N1, tenant("b", load=1)), (N2, tenant("c", load=2)))

    assert rank_nodes(tenant("web"), (N1, N2), there) == (N2, N1)
    assert drawback(tenant("web"), N1, N2, there) is Drawback.COUNT


def test_apart_binds_both_whoever_says_it() -> None:
    web = tenant("web", apart=(Tie(DB),))

    assert rank_nodes(web, (N1, N2), seated((N1, tenant("db")))) == (N2,)
    assert rank_nodes(tenant("db"), (N1, N2), seated((N1, web))) == (N2,)


def test_a_soft_wish_decides_among_nodes_and_forbids_none() -> None:
    web = tenant("web", apart=(Tie(DB, hard=False),))

    assert rank_nodes(web, (N1, N2), seated((N1, tenant("db")))) == (N2, N1)
    assert rank_nodes(web, (N1,), seated((N1, tenant("db")))) == (N1,)
    assert drawback(web, N1, N2, seated((N1, tenant("db")))) is Drawback.TIES
    near = tenant("web", together=(Tie(DB, hard=False),))
    assert rank_nodes(near, (N1, N2), seated((N2, tenant("db")))) == (N2, N1)


def test_a_follower_draws_its_leader() -> None:
    web = tenant("web", together=(Tie(DB),))

    assert rank_nodes(tenant("db"), (N1, N2), seated((N2, web))) == (N2, N1)


def test_who_must_be_with_another_goes_there_waits_for_it_or_is_free() -> None:
    web = tenant("web", together=(Tie(DB),))

    assert rank_nodes(web, ALL, seated((N2, tenant("db")))) == (N2,)
    assert rank_nodes(web, ALL, seated(awaited=(DB,))) == ()
    waiting = obstacle(web, N1, seated(awaited=(DB,)))
    assert waiting is not None
    assert waiting.bar is Bar.AWAITED
    assert rank_nodes(web, (N1, N2), seated()) == (N1, N2), "it is switched off: no rule"
    stopping = seated()
    stopping.take(N2, tenant("db"), is_up=False)
    assert rank_nodes(web, (N1, N2), stopping) == (N1, N2), "what stops draws nobody"


def movable(*names: str, leaving: tuple[str, ...] = ()) -> Movable:
    """Return who can be asked to go; `leaving`: goes from node2 anyway."""
    going = frozenset((N2, ServiceName(name)) for name in leaving)
    return Movable(frozenset(map(ServiceName, names)), going)


def test_the_least_important_make_room_and_no_more_than_needed() -> None:
    there = seated(
        (N1, tenant("a", load=2, priority=60)),
        (N1, tenant("b", load=2, priority=90)),
        (N1, tenant("c", load=2, priority=70)),
        capacities={N1: 6},
    )
    urgent = tenant("web", load=2, priority=10)

    found = displacement(urgent, (N1,), there, movable("a", "b", "c"))
    assert found == Displacement(N1, (ServiceName("b"),))


def test_a_small_one_is_spared_when_a_large_one_has_to_go() -> None:
    there = seated(
        (N1, tenant("a", load=1, priority=90)),
        (N1, tenant("b", load=5, priority=80)),
        capacities={N1: 6},
    )

    found = displacement(tenant("web", load=5, priority=1), (N1,), there, movable("a", "b"))
    assert found == Displacement(N1, (ServiceName("b"),))


def test_equals_and_better_ones_stay() -> None:
    there = seated((N1, tenant("a")), capacities={N1: 1})

    assert displacement(tenant("web"), (N1,), there, movable("a")) is None
    assert displacement(tenant("web", priority=51), (N1,), there, movable("a")) is None


def test_what_is_frozen_is_in_the_way_and_stays() -> None:
    there = seated((N1, tenant("a")), capacities={N1: 1})

    assert displacement(tenant("web", priority=1), (N1,), there, movable()) is None


def test_who_leaves_anyway_makes_room_and_nobody_else_has_to() -> None:
    there = seated((N1, tenant("a")), (N2, tenant("b")), capacities={N1: 1, N2: 1})

    found = displacement(tenant("web", priority=1), (N1, N2), there, movable("a", leaving=("b",)))
    assert found == Displacement(N2, (), leaving=(ServiceName("b"),))


def test_beside_those_who_make_room_and_the_one_they_make_it_for_there_is_what_both_leave() -> None:
    """They are never there together: it starts when they have gone."""
    there = seated((N1, tenant("a", load=3)), (N1, tenant("b", load=1)), capacities={N1: 10})

    there.reserve(N1, tenant("db", load=8), going=[ServiceName("a")])

    assert obstacle(tenant("web", load=1), N1, there) is None
    found = obstacle(tenant("web", load=2), N1, there)
    assert found is not None
    assert found.room == 1, "db and b are there then"
    there.reserve(N1, tenant("mail", load=1), going=[ServiceName("a")])
    assert obstacle(tenant("web", load=1), N1, there) is not None

    small = seated((N1, tenant("a", load=9)), capacities={N1: 10})
    small.reserve(N1, tenant("db", load=2), going=[ServiceName("a")])
    assert obstacle(tenant("web", load=1), N1, small) is None
    assert obstacle(tenant("web", load=2), N1, small) is not None, "a is there now"


def test_the_dearest_is_spared_first_then_the_fewest_go_then_the_better_node() -> None:
    there = seated(
        (N1, tenant("a", priority=60)),
        (N2, tenant("b", priority=90)),
        (N2, tenant("c", priority=90)),
        (N3, tenant("d", priority=90)),
    )
    alone = tenant("web", exclusive=True, priority=1)

    found = displacement(alone, ALL, there, movable("a", "b", "c", "d"))
    assert found == Displacement(N3, (ServiceName("d"),))
    assert displacement(alone, (N1, N2), there, movable("a", "b", "c")) == Displacement(
        N2, (ServiceName("b"), ServiceName("c"))
    )


def test_nobody_displaces_the_one_that_it_must_be_with() -> None:
    there = seated((N1, tenant("db", priority=99)), capacities={N1: 1})
    web = tenant("web", together=(Tie(DB),), priority=1)

    assert displacement(web, (N1,), there, movable("db")) is None
    assert displacement(web, (N2,), there, movable("db")) is None, "and it is elsewhere"
