# SPDX-License-Identifier: Apache-2.0
"""Outboxes and reassemblers against a corosync that does all it may, and strangers who do worse.

One queue stands for the agreed order: corosync takes some frames of a call or none, delivers at its
own pace, and changes the membership between any two frames. Every honest message must come to every
receiver once, whole and in the order of its sender, whoever babbles in between.
"""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rgmgr.adapters.corosync.outbox import CHUNKS_IN_FLIGHT_MAX, IN_FLIGHT_MAX, Outbox
from rgmgr.wire.chunks import (
    CHUNK,
    MESSAGE_BYTES_MAX,
    PART_BYTES,
    WHOLE,
    WHOLE_BYTES_MAX,
    Garbage,
    Reassembler,
    split,
)

HONEST = (1, 2)
STRANGER = 3
SIZES = (0, 1, 100, WHOLE_BYTES_MAX, WHOLE_BYTES_MAX + 1, 3 * PART_BYTES, 20 * PART_BYTES + 7)
VIEW_CHANGE = None  # in the agreed order

headers = st.builds(
    lambda *fields: struct.pack("!cQIIII", CHUNK, *fields),
    st.integers(0, 3),
    *[st.sampled_from((0, 1, 2, 3, 2**32 - 1)) for _ in range(2)],
    st.sampled_from((0, WHOLE_BYTES_MAX + 1, 3 * PART_BYTES, MESSAGE_BYTES_MAX, 2**32 - 1)),
    st.integers(0, 2**32 - 1),
)
babble = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda header, size: header + bytes(size), headers, st.sampled_from((0, PART_BYTES))),
    st.builds(lambda size: WHOLE + bytes(size), st.sampled_from((0, 70_000))),
)


class Cluster(RuleBasedStateMachine):
    """Two senders, a stranger, and two receivers of which one starts anew at a view change."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[tuple[int, bytes] | None] = []
        self.outboxes = {sender: Outbox(self.line_of(sender)) for sender in HONEST}
        self.room = 100  # frames that corosync takes of the next call
        self.sent: dict[int, list[bytes]] = {sender: [] for sender in HONEST}
        self.got: dict[int, list[bytes]] = {sender: [] for sender in HONEST}
        self.peer: Reassembler[int] = Reassembler()
        self.joiner: Reassembler[int] = Reassembler()

    def line_of(self, sender: int):
        def multicast(frames: Sequence[bytes]) -> int:
            taken = frames[: self.room]
            self.order += [(sender, frame) for frame in taken]
            return len(taken)

        return multicast

    @rule(sender=st.sampled_from(HONEST), size=st.sampled_from(SIZES), salt=st.integers(1, 255))
    def send(self, sender: int, size: int, salt: int) -> None:
        payload = bytes([salt, len(self.sent[sender]) & 0xFF]) * (size // 2 + 1)
        self.sent[sender].append(payload[:size])
        self.outboxes[sender].put(payload[:size])

    @rule(sender=st.sampled_from(HONEST), room=st.sampled_from((0, 1, 3, 100)))
    def flush(self, sender: int, room: int) -> None:
        self.room = room
        self.outboxes[sender].flush()

    @rule(frame=babble)
    def babble(self, frame: bytes) -> None:
        self.order.append((STRANGER, frame))

    @rule()
    def change_view(self) -> None:
        self.order.append(VIEW_CHANGE)

    @rule(count=st.integers(1, 40))
    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.order))):
            self.take(self.order.pop(0))

    def take(self, entry: tuple[int, bytes] | None) -> None:
        if entry is VIEW_CHANGE:
            self.peer.forget()
            self.joiner = Reassembler()
            for outbox in self.outboxes.values():
                outbox.view_changed()
            return
        sender, frame = entry
        if sender != STRANGER:
            self.outboxes[sender].delivered()
        found = self.peer.take(sender, frame)
        assert self.joiner.take(sender, frame) == found
        if sender != STRANGER:
            assert not isinstance(found, Garbage)
            if found is not None:
                self.got[sender].append(found)

    @invariant()
    def what_came_is_what_was_sent(self) -> None:
        for sender in HONEST:
            assert self.got[sender] == self.sent[sender][: len(self.got[sender])]

    @invariant()
    def little_is_in_flight(self) -> None:
        for sender in HONEST:
            mine = [entry for entry in self.order if entry is not None and entry[0] == sender]
            assert len(mine) <= IN_FLIGHT_MAX
            assert sum(e[1][:1] == CHUNK for e in mine) <= CHUNKS_IN_FLIGHT_MAX

    @invariant()
    def a_receiver_keeps_one_message_of_each_at_most(self) -> None:
        assert self.peer.pending <= len(HONEST) + 1

    def teardown(self) -> None:
        self.room = 100
        while self.order or not all(outbox.is_idle for outbox in self.outboxes.values()):
            for outbox in self.outboxes.values():
                outbox.flush()
            for _ in range(len(self.order)):
                self.take(self.order.pop(0))
        assert self.got == self.sent


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(size=st.integers(WHOLE_BYTES_MAX + 1, 4 * PART_BYTES), data=st.data())
def test_a_damaged_chunk_never_makes_another_message(size: int, data: st.DataObject) -> None:
    payload = bytes(size)
    frames = [bytearray(frame) for frame in split(payload, 7)]
    frame = frames[data.draw(st.integers(0, len(frames) - 1))]
    where = data.draw(st.one_of(st.integers(0, 24), st.integers(0, len(frame) - 1)))
    frame[where] ^= data.draw(st.integers(1, 255))
    peer: Reassembler[int] = Reassembler()

    taken = [peer.take(1, bytes(frame)) for frame in frames]

    whole = [found for found in taken if isinstance(found, bytes)]
    # a chunk whose kind became W is a whole message of its own, which the decoder refuses
    assert payload not in whole
    assert all(found == bytes(frame)[1:] for found in whole)


@pytest.mark.parametrize("size", [WHOLE_BYTES_MAX + 1, MESSAGE_BYTES_MAX])
def test_the_longest_and_the_shortest_long_message(size: int) -> None:
    peer: Reassembler[int] = Reassembler()

    taken = [peer.take(1, frame) for frame in split(bytes(size), 1)]

    assert taken[-1] == bytes(size)
