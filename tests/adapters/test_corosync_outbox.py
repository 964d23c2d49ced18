# SPDX-License-Identifier: Apache-2.0
"""In order, never dropped, never too many in flight."""

from collections.abc import Sequence

import pytest

from rgmgr.adapters.corosync.outbox import (
    CHUNKS_IN_FLIGHT_MAX,
    IN_FLIGHT_MAX,
    QUEUED_BYTES_MAX,
    QUEUED_MAX,
    Outbox,
)
from rgmgr.errors import CorosyncError
from rgmgr.wire.chunks import MESSAGE_BYTES_MAX, PART_BYTES, Garbage, Reassembler

LONG = bytes(range(251)) * 8000  # 2 MB


class Wire:
    """Takes frames, refuses as often as told, delivers them back in order."""

    def __init__(self) -> None:
        self.refusals = 0
        self.takes: int | None = None  # of one call; None: all
        self.sent: list[bytes] = []
        self.delivered = 0
        self.outbox = Outbox(self.multicast)
        self.messages: list[bytes] = []
        self.peer: Reassembler[int] = Reassembler()

    def multicast(self, frames: Sequence[bytes]) -> int:
        if self.refusals:
            self.refusals -= 1
            return 0
        taken = frames[: self.takes]
        self.sent += taken
        return len(taken)

    @property
    def in_flight(self) -> int:
        return len(self.sent) - self.delivered

    def deliver(self, count: int | None = None) -> None:
        for _ in range(self.in_flight if count is None else count):
            message = self.peer.take(1, self.sent[self.delivered])
            assert not isinstance(message, Garbage)
            if message is not None:
                self.messages.append(message)
            self.delivered += 1
            self.outbox.delivered()

    def change_view(self) -> None:
        """What every member does at this place of the agreed order."""
        self.peer.forget()
        self.outbox.view_changed()

    def run_dry(self) -> None:
        while not self.outbox.is_idle:
            self.outbox.flush()
            self.deliver()


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def test_a_thousand_refusals_lose_nothing_and_change_no_order() -> None:
    wire = Wire()
    wire.refusals = 1000
    for payload in numbered(200):
        wire.outbox.put(payload)

    delays_ms = []
    while (delay_ms := wire.outbox.flush()) is not None:
        delays_ms.append(delay_ms)
    wire.run_dry()

    assert len(delays_ms) == 1000
    assert delays_ms[:9] == [5, 10, 20, 40, 80, 160, 200, 200, 200]
    assert wire.messages == numbered(200)


def test_a_success_ends_the_back_off() -> None:
    wire = Wire()
    wire.outbox.put(b"first")
    wire.refusals = 3
    waits = [wire.outbox.flush() for _ in range(4)]
    wire.outbox.put(b"second")
    wire.refusals = 1

    assert waits == [5, 10, 20, None]
    assert wire.outbox.flush() == 5


def test_no_more_than_the_window_is_in_flight() -> None:
    wire = Wire()
    for payload in numbered(200):
        wire.outbox.put(payload)

    wire.outbox.flush()
    full = wire.in_flight
    wire.deliver(10)
    wire.outbox.flush()

    assert full == wire.in_flight == IN_FLIGHT_MAX
    assert not wire.outbox.is_idle


def test_a_long_message_goes_alone_in_a_smaller_window() -> None:
    wire = Wire()
    wire.outbox.put(LONG)
    wire.outbox.put(b"after")

    wire.outbox.flush()
    full = wire.in_flight
    wire.run_dry()

    assert full == CHUNKS_IN_FLIGHT_MAX
    assert wire.messages == [LONG, b"after"]


def test_a_long_message_torn_by_a_membership_change_is_sent_anew() -> None:
    """Newcomers have only its tail, so all members drop the pieces at the same place."""
    wire = Wire()
    for payload in (b"before", LONG, b"after"):
        wire.outbox.put(payload)
    wire.outbox.flush()
    wire.deliver(4)

    wire.change_view()
    wire.run_dry()

    assert wire.messages == [b"before", LONG, b"after"]
    assert len(wire.sent) > 2 + -(-len(LONG) // PART_BYTES)


def test_a_long_message_of_which_nothing_came_back_is_not_sent_twice() -> None:
    """All of it comes in the new view; a second copy would be delivered as well."""
    wire = Wire()
    wire.outbox.put(LONG)
    wire.outbox.flush()

    wire.change_view()
    wire.run_dry()

    assert wire.messages == [LONG]
    assert len(wire.sent) == -(-len(LONG) // PART_BYTES)


def test_membership_changes_one_after_another_still_let_a_long_message_through() -> None:
    wire = Wire()
    wire.outbox.put(LONG)
    for _ in range(20):
        wire.outbox.flush()
        wire.deliver(3)
        wire.change_view()
        wire.change_view()
    wire.run_dry()

    assert wire.messages == [LONG]


def test_too_many_messages_are_refused_and_nothing_is_lost() -> None:
    wire = Wire()
    for payload in numbered(QUEUED_MAX):
        wire.outbox.put(payload)

    with pytest.raises(CorosyncError, match="CS_ERR_QUEUE_FULL") as refusal:
        wire.outbox.put(b"one too many")
    wire.run_dry()

    assert (refusal.value.call, refusal.value.code) == ("send", "CS_ERR_QUEUE_FULL")
    assert wire.messages == numbered(QUEUED_MAX)


def test_what_corosync_takes_in_part_goes_on_where_it_stopped() -> None:
    wire = Wire()
    wire.takes = 3
    wanted = [*(bytes([number]) for number in range(10)), LONG, b"last"]
    for payload in wanted:
        wire.outbox.put(payload)

    assert wire.outbox.flush() == 5
    assert (len(wire.sent), wire.outbox.queued) == (3, len(wanted) - 3)
    wire.run_dry()

    assert wire.messages == wanted


def test_many_short_messages_go_in_one_call_up_to_a_bound() -> None:
    """Corosync is woken for each message that comes alone."""
    calls: list[int] = []

    def multicast(frames: Sequence[bytes]) -> int:
        calls.append(sum(map(len, frames)))
        return len(frames)

    small, large = Outbox(multicast), Outbox(multicast)
    for _ in range(IN_FLIGHT_MAX):
        small.put(b"x")
        large.put(bytes(60_000))
    small.flush()
    large.flush()

    assert calls[0] == 2 * IN_FLIGHT_MAX
    assert len(calls) > 10
    assert max(calls) <= 256 * 1024


def test_too_many_bytes_are_refused() -> None:
    wire = Wire()
    for _ in range(QUEUED_BYTES_MAX // MESSAGE_BYTES_MAX):
        wire.outbox.put(bytes(MESSAGE_BYTES_MAX))

    with pytest.raises(CorosyncError, match="CS_ERR_QUEUE_FULL"):
        wire.outbox.put(b"x")


def test_a_message_above_the_limit_is_refused() -> None:
    with pytest.raises(CorosyncError, match="CS_ERR_TOO_BIG"):
        Wire().outbox.put(bytes(MESSAGE_BYTES_MAX + 1))


def test_a_lost_connection_is_told_to_the_caller() -> None:
    def lost(_frames: Sequence[bytes]) -> int:
        raise CorosyncError("cpg_mcast_joined", "CS_ERR_LIBRARY")

    outbox = Outbox(lost)
    outbox.put(b"x")

    with pytest.raises(CorosyncError, match="CS_ERR_LIBRARY"):
        outbox.flush()
