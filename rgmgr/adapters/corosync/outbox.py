# SPDX-License-Identifier: Apache-2.0
"""Our messages on their way to corosync: in order, never dropped, never too many at once.

Corosync takes a message and only its delivery back to us proves that it was sent. With more than
277 of them unread `cpg_mcast_joined` can spin for ever, so few are allowed in flight. When it
says "try again", the message stays at the head and is tried again later. A long message goes out
alone and is sent anew when a membership change tears it, because receivers drop the pieces.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile

from rgmgr.errors import CorosyncError
from rgmgr.wire.chunks import MESSAGE_BYTES_MAX, WHOLE, WHOLE_BYTES_MAX, parts_of, split

IN_FLIGHT_MAX = 64
CHUNKS_IN_FLIGHT_MAX = 16
QUEUED_MAX = 10_000
QUEUED_BYTES_MAX = 64 * 1024 * 1024
_CALL_BYTES_MAX = 256 * 1024  # handed over in one call
_WHOLE_ID = 0  # ids of long messages begin at 1
_BACKOFF_MS = (5, 10, 20, 40, 80, 160, 200)


class Outbox:
    """Sends through `multicast`, which takes frames and tells how many of them corosync took.

    It raises `CorosyncError` when the connection is gone.
    """

    def __init__(self, multicast: Callable[[Sequence[bytes]], int]) -> None:
        self._multicast = multicast
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._frames: deque[bytes] = deque()  # what is left to send of a long message
        self._long: bytes | None = None  # the long message under way, until it is delivered
        self._long_id = 0
        self._long_delivered = 0  # chunks of it that came back
        self._in_flight: deque[int] = deque()  # message id of each frame
        self._refusals = 0

    @property
    def is_idle(self) -> bool:
        """Say whether everything was sent and has come back."""
        return not (self._queue or self._frames or self._in_flight or self._long)

    @property
    def queued(self) -> int:
        """Return how many messages have not been sent whole."""
        return len(self._queue) + bool(self._frames)

    def put(self, payload: bytes) -> None:
        """Queue a message.

        Raises:
            CorosyncError: it is too long, or too much is queued; nothing was queued.
        """
        if len(payload) > MESSAGE_BYTES_MAX:
            hint = f"a message of {len(payload)} bytes, the limit is {MESSAGE_BYTES_MAX}"
            raise CorosyncError("send", "CS_ERR_TOO_BIG", hint)
        queued_bytes = self._queued_bytes + len(payload)
        if len(self._queue) >= QUEUED_MAX or queued_bytes > QUEUED_BYTES_MAX:
            hint = (
                f"{len(self._queue)} messages of {self._queued_bytes} bytes wait for corosync, "
                "which takes none; see whether it runs and its ring is whole (corosync-cfgtool -n)"
            )
            raise CorosyncError("send", "CS_ERR_QUEUE_FULL", hint)
        self._queue.append(payload)
        self._queued_bytes = queued_bytes

    def flush(self) -> int | None:
        """Send what may be sent now; return after how many ms to call again, None for never.

        Raises:
            CorosyncError: the connection is gone.
        """
        if not (self._queue or self._frames or self._long):
            return None  # as nearly always
        while frames := self._next_frames():
            taken = self._multicast(frames)
            self._note_taken(taken)
            if taken < len(frames):
                delay_ms = _BACKOFF_MS[min(self._refusals, len(_BACKOFF_MS) - 1)]
                self._refusals += 1
                return delay_ms
        return None  # all is sent, or a delivery will make room

    def delivered(self) -> None:
        """Note that a frame of ours came back; frames come back in the order sent."""
        if not self._in_flight:
            return
        message_id = self._in_flight.popleft()
        if self._long is None or message_id != self._long_id:
            return
        self._long_delivered += 1
        if self._long_delivered == parts_of(len(self._long)):
            self._long = None

    def view_changed(self) -> None:
        """Start a torn long message anew, under a new id: receivers dropped what came of it.

        If nothing of it has come back, nothing was torn: all of it will come in the new view.
        """
        if self._long is None or self._long_delivered == 0:
            return
        self._frames.clear()
        self._start(self._long)

    def _next_frames(self) -> list[bytes]:
        """Return what may be handed over now: many short messages, or pieces of one long one."""
        if self._long is None and self._queue and not _is_short(self._queue[0]):
            self._start(self._unqueue())
        window = IN_FLIGHT_MAX if self._long is None else CHUNKS_IN_FLIGHT_MAX
        room = max(window - len(self._in_flight), 0)
        if self._long is not None:
            return _of_one_call(islice(self._frames, room))
        short = takewhile(_is_short, islice(self._queue, room))
        return _of_one_call(WHOLE + payload for payload in short)

    def _note_taken(self, count: int) -> None:
        if count:
            self._refusals = 0
        for _ in range(count):
            if self._long is None:
                self._unqueue()
                self._in_flight.append(_WHOLE_ID)
            else:
                self._frames.popleft()
                self._in_flight.append(self._long_id)

    def _unqueue(self) -> bytes:
        payload = self._queue.popleft()
        self._queued_bytes -= len(payload)
        return payload

    def _start(self, payload: bytes) -> None:
        self._long_id += 1
        self._long_delivered = 0
        self._long = payload
        self._frames.extend(split(payload, self._long_id))


def _is_short(payload: bytes) -> bool:
    return len(payload) <= WHOLE_BYTES_MAX


def _of_one_call(frames: Iterable[bytes]) -> list[bytes]:
    """Return the first frames, one at least, up to a bound of bytes."""
    found: list[bytes] = []
    size = 0
    for frame in frames:
        size += len(frame)
        if found and size > _CALL_BYTES_MAX:
            break
        found.append(frame)
    return found
