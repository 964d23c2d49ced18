# SPDX-License-Identifier: Apache-2.0
"""Turns configuration and totem callbacks into views.

Corosync announces one membership change in up to three callbacks: members that went down with
their nodes, members that came up with theirs, and at the end the ring. Those are collected into
one `ViewChanged`. A process that joins, leaves or dies on a member node changes no ring and is
announced by one callback alone. Pure: no I/O, no clock.
"""

from rgmgr.adapters.corosync.events import (
    Departure,
    DuplicateDaemon,
    GroupMember,
    RingId,
    ViewChanged,
)
from rgmgr.adapters.corosync.raw import Change, GroupChange, Reason, RingChange

_DEPARTURES = {
    Reason.LEAVE: Departure.LEAVE,
    Reason.NODEDOWN: Departure.NODEDOWN,
    Reason.PROCDOWN: Departure.PROCDOWN,
}


class ViewTracker:
    """The view of one connection, from its own join to its end."""

    def __init__(self, local: GroupMember) -> None:
        self._local = local
        self._ring: RingId | None = None
        self._nodes: tuple[int, ...] = ()
        self._members: tuple[GroupMember, ...] = ()
        self._left: list[Change] = []
        self._joined: list[Change] = []
        self._awaits_ring = False
        self.has_joined = False
        self.has_left = False

    def group_changed(self, change: GroupChange) -> tuple[ViewChanged | DuplicateDaemon, ...]:
        """Take a configuration callback; return what it completes."""
        self._members = change.members
        self._left += change.left
        self._joined += change.joined
        duplicates = self._note_own(change)
        if self._ring is None or _is_of_nodes(change) or self._awaits_ring:
            self._awaits_ring = True  # the totem callback closes the change
            return duplicates
        return (*duplicates, self._view(self._ring))

    def ring_changed(self, change: RingChange) -> tuple[ViewChanged, ...]:
        """Take a totem callback; return the view it completes, if I am in the group."""
        self._ring = change.ring
        self._nodes = tuple(sorted(change.nodes))
        self._awaits_ring = False
        return (self._view(change.ring),) if self.has_joined and not self.has_left else ()

    def _view(self, ring: RingId) -> ViewChanged:
        """Close what was collected. Lists are sorted: corosync's order differs among nodes."""
        on_ring = frozenset(self._nodes)
        view = ViewChanged(
            ring=ring,
            nodes=self._nodes,
            # Corosync 3.1.7 may leave ghosts: members whose node is gone, for ever.
            members=tuple(sorted(m for m in self._members if m.node in on_ring)),
            left=tuple(sorted(map(_departed, self._left), key=lambda entry: entry[0])),
            joined=tuple(sorted({c.member for c in self._joined if c.member.node in on_ring})),
        )
        self._left.clear()
        self._joined.clear()
        return view

    def _note_own(self, change: GroupChange) -> tuple[DuplicateDaemon, ...]:
        if Change(self._local, Reason.LEAVE) in change.left:
            self.has_left = True
        if self.has_joined or not any(new.member == self._local for new in change.joined):
            return ()
        self.has_joined = True
        return tuple(
            DuplicateDaemon(member.pid)
            for member in change.members
            if member.node == self._local.node and member != self._local
        )


def _is_of_nodes(change: GroupChange) -> bool:
    """Say whether a totem callback follows: only changes of nodes come with one."""
    reasons = {entry.reason for entry in (*change.left, *change.joined)}
    return not reasons.isdisjoint({Reason.NODEDOWN, Reason.NODEUP})


def _departed(change: Change) -> tuple[GroupMember, Departure]:
    return change.member, _DEPARTURES.get(change.reason, Departure.UNKNOWN)
