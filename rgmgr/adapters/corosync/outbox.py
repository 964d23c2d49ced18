# SPDX-License-Identifier: Apache-2.0
"""Our messages on their way to corosync: in order, never dropped, never too many at once.

Corosync takes a message and only its delivery back to us proves that it was sent. With more than
277 of them unread `cpg_mcast_joined` can spin for ever, so few are allowed in flight. When it
says "try again", the message stays at the head and is tried again later. A long message goes out
alone and is sent anew when a membership change tears it, because receivers drop the pieces.
"""

from collections import deque
from collections.abc import Callable

from rgmgr.adapters.corosync.raw import Sent
from rgmgr.errors import CorosyncError
from rgmgr.wire.chunks import CHUNK, MESSAGE_BYTES_MAX, parts_of, split

IN_FLIGHT_MAX = 64
CHUNKS_IN_FLIGHT_MAX = 16
QUEUED_MAX = 10_000
QUEUED_BYTES_MAX = 64 * 1024 * 1024
_WHOLE_ID = 0  # ids of long messages begin at 1
_BACKOFF_MS = (5, 10, 20, 40, 80, 160, 200)


class Outbox:
    """Sends through `multicast`, which raises `CorosyncError` when the connection is gone."""

    def __init__(self, multicast: Callable[[bytes], Sent]) -> None:
        self._multicast = multicast
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._frames: deque[bytes] = deque()  # what is left to send of the message under way
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
        while self._frames or self._next_message():
            if len(self._in_flight) >= self._window:
                return None  # a delivery will make room
            frame = self._frames[0]
            if self._multicast(frame) is Sent.TRY_AGAIN:
                delay_ms = _BACKOFF_MS[min(self._refusals, len(_BACKOFF_MS) - 1)]
                self._refusals += 1
                return delay_ms
            self._refusals = 0
            self._frames.popleft()
            self._in_flight.append(self._long_id if frame[:1] == CHUNK else _WHOLE_ID)
        return None

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

    @property
    def _window(self) -> int:
        return IN_FLIGHT_MAX if self._long is None else CHUNKS_IN_FLIGHT_MAX

    def _next_message(self) -> bool:
        """Take the next message under way; say whether there is one that may go now."""
        if not self._queue or self._long is not None:
            return False
        payload = self._queue.popleft()
        self._queued_bytes -= len(payload)
        self._start(payload)
        return True

    def _start(self, payload: bytes) -> None:
        frames = split(payload, self._long_id + 1)
        if len(frames) > 1:
            self._long_id += 1
            self._long_delivered = 0
            self._long = payload
        self._frames.extend(frames)
