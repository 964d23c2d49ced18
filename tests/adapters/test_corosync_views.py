# SPDX-License-Identifier: Apache-2.0
"""Callbacks as corosync was seen to send them, and the views they must become."""

from rgmgr.adapters.corosync import Departure, DuplicateDaemon, GroupMember, RingId, ViewChanged
from rgmgr.adapters.corosync.raw import Change, GroupChange, Reason, RingChange
from rgmgr.adapters.corosync.views import ViewTracker

ME = GroupMember(1, 100)
TWO = GroupMember(2, 200)
THREE = GroupMember(3, 300)
RING = RingId(1, 10)
NEXT_RING = RingId(1, 14)


def change(
    *members: GroupMember,
    left: dict[GroupMember, Reason] | None = None,
    joined: dict[GroupMember, Reason] | None = None,
) -> GroupChange:
    return GroupChange(
        members=members,
        left=tuple(Change(member, reason) for member, reason in (left or {}).items()),
        joined=tuple(Change(member, reason) for member, reason in (joined or {}).items()),
    )


def view(
    ring: RingId,
    nodes: tuple[int, ...],
    members: tuple[GroupMember, ...],
    left: tuple[tuple[GroupMember, Departure], ...] = (),
    joined: tuple[GroupMember, ...] = (),
) -> ViewChanged:
    return ViewChanged(ring=ring, nodes=nodes, members=members, left=left, joined=joined)


def tracker(*others: GroupMember) -> ViewTracker:
    """Return the tracker of a member of a group on a ring of three nodes."""
    views = ViewTracker(ME)
    views.group_changed(change(ME, *others, joined={ME: Reason.JOIN}))
    views.ring_changed(RingChange(RING, (1, 2, 3)))
    return views


def test_the_first_view_waits_for_the_ring() -> None:
    views = ViewTracker(ME)

    before = views.group_changed(change(ME, joined={ME: Reason.JOIN}))
    after = views.ring_changed(RingChange(RING, (1,)))

    assert before == ()
    assert after == (view(RING, (1,), (ME,), joined=(ME,)),)


def test_a_ring_before_the_own_join_is_kept_but_no_view() -> None:
    views = ViewTracker(ME)

    before = views.ring_changed(RingChange(RING, (1, 2)))
    after = views.group_changed(change(ME, TWO, joined={ME: Reason.JOIN}))

    assert before == ()
    assert after == (view(RING, (1, 2), (ME, TWO), joined=(ME,)),)


def test_node_changes_are_collected_until_the_ring() -> None:
    views = tracker(TWO)

    down = views.group_changed(change(ME, left={TWO: Reason.NODEDOWN}))
    up = views.group_changed(change(ME, THREE, joined={THREE: Reason.NODEUP}))
    closed = views.ring_changed(RingChange(NEXT_RING, (3, 1)))

    assert (down, up) == ((), ())
    left = ((TWO, Departure.NODEDOWN),)
    assert closed == (view(NEXT_RING, (1, 3), (ME, THREE), left, (THREE,)),)


def test_processes_come_and_go_at_once_on_the_present_ring() -> None:
    views = tracker()

    joined = views.group_changed(change(ME, TWO, joined={TWO: Reason.JOIN}))
    died = views.group_changed(change(ME, left={TWO: Reason.PROCDOWN}))
    again = views.group_changed(change(ME, TWO, joined={TWO: Reason.JOIN}))
    gone = views.group_changed(change(ME, left={TWO: Reason.LEAVE}))

    nodes = (1, 2, 3)
    assert joined == again == (view(RING, nodes, (ME, TWO), joined=(TWO,)),)
    assert died == (view(RING, nodes, (ME,), ((TWO, Departure.PROCDOWN),)),)
    assert gone == (view(RING, nodes, (ME,), ((TWO, Departure.LEAVE),)),)


def test_a_process_that_ends_within_a_node_change_belongs_to_it() -> None:
    views = tracker(TWO, THREE)

    views.group_changed(change(ME, TWO, left={THREE: Reason.NODEDOWN}))
    within = views.group_changed(change(ME, left={TWO: Reason.PROCDOWN}))
    closed = views.ring_changed(RingChange(NEXT_RING, (1, 2)))

    assert within == ()
    left = ((TWO, Departure.PROCDOWN), (THREE, Departure.NODEDOWN))
    assert closed == (view(NEXT_RING, (1, 2), (ME,), left),)


def test_everybody_left_and_came_back_in_one_change_stays_visible() -> None:
    """The sign that it was I who was away: it must not cancel out."""
    views = tracker(TWO)

    views.group_changed(change(ME, left={TWO: Reason.NODEDOWN}))
    views.group_changed(change(ME, TWO, joined={TWO: Reason.NODEUP}))
    closed = views.ring_changed(RingChange(NEXT_RING, (1, 2, 3)))

    left = ((TWO, Departure.NODEDOWN),)
    assert closed == (view(NEXT_RING, (1, 2, 3), (ME, TWO), left, (TWO,)),)


def test_a_new_ring_with_the_same_nodes_is_a_view() -> None:
    views = tracker(TWO)

    assert views.ring_changed(RingChange(NEXT_RING, (1, 2, 3))) == (
        view(NEXT_RING, (1, 2, 3), (ME, TWO)),
    )


def test_a_ghost_is_no_member_while_its_node_is_not_on_the_ring() -> None:
    """Corosync 3.1.7 may keep a member for ever whose node joined and ended in one sync."""
    ghost = GroupMember(9, 900)
    views = tracker(TWO)

    views.group_changed(change(ME, TWO, ghost, joined={ghost: Reason.NODEUP}))
    without = views.ring_changed(RingChange(NEXT_RING, (1, 2, 3)))
    real = views.ring_changed(RingChange(RingId(1, 18), (1, 2, 3, 9)))

    assert without == (view(NEXT_RING, (1, 2, 3), (ME, TWO)),)
    assert real[0].members == (ME, TWO, ghost)


def test_lists_are_sorted_because_their_order_differs_among_nodes() -> None:
    views = tracker(TWO, THREE)

    views.group_changed(change(ME, left={THREE: Reason.NODEDOWN, TWO: Reason.NODEDOWN}))
    closed = views.ring_changed(RingChange(NEXT_RING, (1,)))

    assert [member for member, _ in closed[0].left] == [TWO, THREE]


def test_an_unknown_reason_is_a_departure_all_the_same() -> None:
    views = tracker(TWO)

    gone = views.group_changed(change(ME, left={TWO: Reason.UNKNOWN}))

    assert gone == (view(RING, (1, 2, 3), (ME,), ((TWO, Departure.UNKNOWN),)),)


def test_only_the_second_process_of_a_node_is_a_duplicate() -> None:
    twin = GroupMember(1, 50)
    second, first = ViewTracker(ME), tracker()
    second.ring_changed(RingChange(RING, (1, 2, 3)))

    told_second = second.group_changed(change(twin, ME, joined={ME: Reason.JOIN}))
    told_first = first.group_changed(change(twin, ME, joined={twin: Reason.JOIN}))

    assert told_second[0] == DuplicateDaemon(twin.pid)
    assert [type(event) for event in told_first] == [ViewChanged]


def test_after_the_own_leave_there_are_no_views() -> None:
    views = tracker(TWO)

    last = views.group_changed(change(TWO, left={ME: Reason.LEAVE}))
    after = views.ring_changed(RingChange(NEXT_RING, (1, 2)))

    assert views.has_left
    assert last == (view(RING, (1, 2, 3), (TWO,), ((ME, Departure.LEAVE),)),)
    assert after == ()
