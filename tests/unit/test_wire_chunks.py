# SPDX-License-Identifier: Apache-2.0
"""Long messages in pieces: whole again or not at all, whatever is sent."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgmgr.wire.chunks import (
    MESSAGE_BYTES_MAX,
    PART_BYTES,
    WHOLE_BYTES_MAX,
    Garbage,
    Reassembler,
    split,
)

LONG = bytes(range(251)) * 1000


def sizes() -> st.SearchStrategy[int]:
    """Sizes at which something changes, and some between."""
    edges = [0, 1, WHOLE_BYTES_MAX, WHOLE_BYTES_MAX + 1, 2 * PART_BYTES, 2 * PART_BYTES + 1]
    return st.one_of(st.sampled_from(edges), st.integers(0, 5 * PART_BYTES))


def payloads() -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda size, salt: (salt * (size + 1))[:size], sizes(), st.binary(min_size=1, max_size=7)
    )


def take_all(peer: Reassembler[int], sender: int, frames: tuple[bytes, ...]) -> list[bytes]:
    taken = [peer.take(sender, frame) for frame in frames]
    return [message for message in taken if isinstance(message, bytes)]


@given(payload=payloads(), message_id=st.integers(0, 2**70))
def test_what_is_split_comes_together(payload: bytes, message_id: int) -> None:
    peer: Reassembler[int] = Reassembler()

    taken = [peer.take(1, frame) for frame in split(payload, message_id)]

    assert taken[:-1] == [None] * (len(taken) - 1)
    assert taken[-1] == payload
    assert peer.pending == 0


@given(messages=st.lists(st.tuples(st.integers(1, 3), payloads()), max_size=6), data=st.data())
def test_senders_do_not_disturb_each_other(
    messages: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    """Frames of one sender stay in order; those of different senders mix at will."""
    waiting: dict[int, list[bytes]] = {}
    for number, (sender, payload) in enumerate(messages):
        waiting.setdefault(sender, []).extend(split(payload, number))
    peer: Reassembler[int] = Reassembler()
    taken: dict[int, list[bytes]] = {sender: [] for sender in waiting}

    while waiting:
        sender = data.draw(st.sampled_from(sorted(waiting)))
        taken[sender] += take_all(peer, sender, (waiting[sender].pop(0),))
        if not waiting[sender]:
            del waiting[sender]

    for sender, received in taken.items():
        assert received == [payload for who, payload in messages if who == sender]


@given(
    messages=st.lists(payloads(), min_size=1, max_size=3),
    changes=st.sets(st.integers(0, 20)),
)
def test_a_membership_change_in_the_middle_never_lets_a_torn_message_through(
    messages: list[bytes], changes: set[int]
) -> None:
    frames = [
        (number, frame)
        for number, payload in enumerate(messages)
        for frame in split(payload, number)
    ]
    owners = [number for number, _frame in frames]
    torn = {owners[at] for at in changes if 0 < at < len(owners) and owners[at - 1] == owners[at]}
    peer: Reassembler[int] = Reassembler()
    received = []

    for at, (_number, frame) in enumerate(frames):
        if at in changes:
            peer.forget()
        received += take_all(peer, 1, (frame,))

    assert received == [payload for number, payload in enumerate(messages) if number not in torn]


@given(frames=st.lists(st.binary(max_size=200), max_size=20))
def test_random_bytes_never_raise_and_never_stay(frames: list[bytes]) -> None:
    peer: Reassembler[int] = Reassembler()

    for frame in frames:
        taken = peer.take(1, frame)
        assert taken is None or isinstance(taken, Garbage) or frame == b"W" + taken

    assert peer.pending == 0


@given(data=st.data())
def test_damaged_frames_never_make_another_message(data: st.DataObject) -> None:
    frames = list(split(LONG, 7))
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(frames) - 1))
        damaged = bytearray(frames[index])
        damaged[data.draw(st.integers(0, min(60, len(damaged) - 1)))] ^= data.draw(
            st.integers(1, 255)
        )
        frames[index] = bytes(damaged)
    peer: Reassembler[int] = Reassembler()

    received = take_all(peer, 1, tuple(frames))

    assert all(
        message == LONG or message[:1] != LONG[:1] or len(message) < len(LONG)
        for message in received
    )


def test_a_whole_message_between_chunks_drops_both() -> None:
    peer: Reassembler[int] = Reassembler()
    first, *rest = split(LONG, 1)

    peer.take(1, first)
    between = peer.take(1, b"Wintruder")
    tail = [peer.take(1, frame) for frame in rest]

    assert isinstance(between, Garbage)
    assert tail == [None] * len(rest)


def test_a_missing_chunk_drops_the_message() -> None:
    peer: Reassembler[int] = Reassembler()
    frames = split(LONG, 1)

    taken = [peer.take(1, frame) for frame in (*frames[:2], *frames[3:])]

    assert isinstance(taken[2], Garbage)
    assert not any(isinstance(message, bytes) for message in taken)


def test_a_restarted_message_supersedes_its_first_try() -> None:
    peer: Reassembler[int] = Reassembler()

    taken = take_all(peer, 1, (*split(LONG, 1)[:3], *split(LONG, 2)))

    assert taken == [LONG]


def test_a_wrong_checksum_drops_the_message() -> None:
    peer: Reassembler[int] = Reassembler()
    frames = list(split(LONG, 1))
    frames[1] = frames[1][:-1] + bytes([frames[1][-1] ^ 1])

    taken = [peer.take(1, frame) for frame in frames]

    assert isinstance(taken[-1], Garbage)
    assert "checksum" in taken[-1].reason


def test_a_long_message_is_bounded() -> None:
    with pytest.raises(ValueError, match="limit"):
        split(bytes(MESSAGE_BYTES_MAX + 1), 1)


def test_an_overlong_whole_frame_is_garbage() -> None:
    assert isinstance(Reassembler[int]().take(1, b"W" + bytes(WHOLE_BYTES_MAX + 1)), Garbage)


def test_the_frames_on_the_wire_never_change() -> None:
    """Members of different versions share a group: these bytes are a promise."""
    frames = split(bytes(WHOLE_BYTES_MAX + 1), 5)

    assert split(b"x", 5) == (b"Wx",)
    headers = [struct.unpack("!1s8s4s4s4s4s", frame[:25]) for frame in frames]
    assert [" ".join(field.hex() for field in header) for header in headers] == [
        "43 0000000000000005 00000000 00000002 00010001 e50d43f3",
        "43 0000000000000005 00000001 00000002 00010001 e50d43f3",
    ]


@pytest.mark.parametrize(
    ("index", "count", "size", "part_bytes"),
    [
        (0, 2, WHOLE_BYTES_MAX, PART_BYTES),  # short enough to go whole
        (0, 342, MESSAGE_BYTES_MAX + 1, PART_BYTES),  # above the limit
        (0, 3, 2 * PART_BYTES, PART_BYTES),  # more chunks than the size needs
        (2, 2, 2 * PART_BYTES, PART_BYTES),  # beyond the last
        (0, 2, 2 * PART_BYTES, PART_BYTES - 1),  # too short
        (1, 2, 2 * PART_BYTES, PART_BYTES + 1),  # too long
    ],
)
def test_a_chunk_that_contradicts_itself_is_garbage(
    index: int, count: int, size: int, part_bytes: int
) -> None:
    header = struct.pack("!cQIIII", b"C", 1, index, count, size, 0)
    peer: Reassembler[int] = Reassembler()

    assert isinstance(peer.take(1, header + bytes(part_bytes)), Garbage)
    assert peer.pending == 0


def test_a_chunk_shorter_than_its_header_is_garbage() -> None:
    assert isinstance(Reassembler[int]().take(1, b"C123"), Garbage)
