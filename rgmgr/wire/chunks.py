# SPDX-License-Identifier: Apache-2.0
"""Frames on the wire: one message whole, or a long one in chunks.

Corosync splits messages above 1,047,552 bytes by itself, but blocks while it does so and loses
them at any membership change; so long messages are cut here. The first byte of every frame tells
its kind::

    W  payload                                        a whole message
    C  id:8 index:4 count:4 size:4 crc:4  part        one part of a long one (network byte order)

`split` makes frames, a `Reassembler` turns them back into messages. A long message counts as
delivered with its last chunk, and only if no membership change fell between its chunks (`forget`):
a member that joined in the middle has only the tail, and all members must agree on what was
delivered. The sender, who sees the same change at the same place, sends such a message anew.

Nothing here raises for what strangers send: bad bytes come back as `Garbage`.
"""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

WHOLE: Final = b"W"
CHUNK: Final = b"C"
WHOLE_BYTES_MAX: Final = 64 * 1024  # longer payloads are cut
PART_BYTES: Final = 48 * 1024
MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
PARTS_MAX: Final = -(-MESSAGE_BYTES_MAX // PART_BYTES)
ID_MAX: Final = 2**64 - 1

Sender = TypeVar("Sender")

_HEADER: Final = struct.Struct("!cQIIII")


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no frame, or a frame that contradicts the ones before it."""

    reason: str


@dataclass(slots=True)
class _Partial:
    """A long message of which some chunks have come; chunks of one sender come in order."""

    message_id: int
    count: int
    size: int
    crc: int
    parts: list[bytes] = field(default_factory=list)

    def matches(self, message_id: int, count: int, size: int, crc: int) -> bool:
        """Say whether a chunk with this header belongs to this message."""
        return (message_id, count, size, crc) == (
            self.message_id,
            self.count,
            self.size,
            self.crc,
        )


def split(payload: bytes, message_id: int) -> tuple[bytes, ...]:
    """Return the frames that carry this payload, in the order to send them.

    `message_id` must differ from the sender's other long messages of late; it is not used for
    payloads that fit into one frame.

    Raises:
        ValueError: the payload is longer than `MESSAGE_BYTES_MAX`.
    """
    if len(payload) <= WHOLE_BYTES_MAX:
        return (WHOLE + payload,)
    if len(payload) > MESSAGE_BYTES_MAX:
        message = (
            f"cannot send {len(payload)} bytes in one message: the limit is {MESSAGE_BYTES_MAX}"
        )
        raise ValueError(message)
    count = parts_of(len(payload))
    crc = zlib.crc32(payload)
    return tuple(
        _HEADER.pack(CHUNK, message_id & ID_MAX, index, count, len(payload), crc)
        + payload[index * PART_BYTES : (index + 1) * PART_BYTES]
        for index in range(count)
    )


def parts_of(size: int) -> int:
    """Return how many chunks a message of this many bytes is cut into."""
    return -(-size // PART_BYTES)


class Reassembler(Generic[Sender]):
    """Turns the frames of many senders back into messages.

    Holds at most one unfinished message per sender, of `MESSAGE_BYTES_MAX` bytes at most.
    """

    def __init__(self) -> None:
        self._partial: dict[Sender, _Partial] = {}

    def take(self, sender: Sender, frame: bytes) -> bytes | Garbage | None:
        """Take the next frame of a sender; return a message once it is complete.

        None means that nothing is complete yet, or that the frame is the tail of a message whose
        beginning was forgotten.
        """
        if frame[:1] == WHOLE:
            return self._take_whole(sender, frame)
        if frame[:1] == CHUNK:
            return self._take_chunk(sender, frame)
        return Garbage(f"unknown frame kind {frame[:1]!r} in {len(frame)} bytes")

    def forget(self) -> None:
        """Drop all unfinished messages, as every member does at a membership change."""
        self._partial.clear()

    @property
    def pending(self) -> int:
        """Return how many messages are unfinished."""
        return len(self._partial)

    def _take_whole(self, sender: Sender, frame: bytes) -> bytes | Garbage:
        if self._partial.pop(sender, None) is not None:
            return Garbage("a whole message between the chunks of another one; both were dropped")
        if len(frame) > WHOLE_BYTES_MAX + 1:
            return Garbage(f"a whole message of {len(frame) - 1} bytes, above {WHOLE_BYTES_MAX}")
        return frame[1:]

    def _take_chunk(self, sender: Sender, frame: bytes) -> bytes | Garbage | None:
        if len(frame) < _HEADER.size:
            return Garbage(f"a chunk of {len(frame)} bytes, shorter than its header")
        _kind, message_id, index, count, size, crc = _HEADER.unpack_from(frame)
        part = frame[_HEADER.size :]
        problem = _problem_of(index, count, size, len(part))
        if problem:
            self._partial.pop(sender, None)
            return Garbage(problem)
        if index == 0:  # a restarted message supersedes what came of it before
            self._partial[sender] = _Partial(message_id, count, size, crc)
        partial = self._partial.get(sender)
        if partial is None or not partial.matches(message_id, count, size, crc):
            return None  # the tail of something forgotten
        if index != len(partial.parts):
            del self._partial[sender]
            return Garbage(f"chunk {index} of {count} where {len(partial.parts)} was expected")
        partial.parts.append(part)
        return self._finish(sender, partial) if len(partial.parts) == count else None

    def _finish(self, sender: Sender, partial: _Partial) -> bytes | Garbage:
        del self._partial[sender]
        payload = b"".join(partial.parts)
        if zlib.crc32(payload) != partial.crc:
            return Garbage(f"a message of {partial.size} bytes with a wrong checksum")
        return payload


def _problem_of(index: int, count: int, size: int, part_bytes: int) -> str:
    """Return what is wrong with a chunk's header, or an empty string."""
    if not WHOLE_BYTES_MAX < size <= MESSAGE_BYTES_MAX:
        limits = f"{WHOLE_BYTES_MAX + 1} to {MESSAGE_BYTES_MAX}"
        return f"a chunk of a message of {size} bytes, outside {limits}"
    if count != parts_of(size) or index >= count:
        return f"chunk {index} of {count} of a message of {size} bytes"
    expected = min(PART_BYTES, size - index * PART_BYTES)
    if part_bytes != expected:
        return f"chunk {index} of {count} with {part_bytes} bytes where {expected} were expected"
    return ""
