# SPDX-License-Identifier: Apache-2.0
"""What the handles of all five libraries have in common.

A handle is one connection to the corosync of this node: a socket and 3 MiB of shared memory.
Opening, closing and every call that asks corosync something block, without limit while corosync is
stopped: worker threads only (`worker.in_thread`), one call at a time, which each handle sees to.
`fileno`, `dispatch` and `CpgHandle.multicast` do not block and belong to the loop's thread, whose
stack must be above 1 MiB, since corosync's libraries put a buffer of that size on it. Handles do
not survive a fork. Every call raises `CorosyncError` with the name of the call and of the
cs_error_t; CS_ERR_LIBRARY means that corosync is gone and the handle of no more use.

Source: cpg_overview(3), quorum_overview(3), votequorum_overview(3), cmap_overview(3).
"""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from rgmgr.adapters.corosync.batch import read_batch
from rgmgr.adapters.corosync.binding import check, load
from rgmgr.adapters.corosync.raw import RawEvent
from rgmgr.errors import InvariantViolation

if TYPE_CHECKING:
    from rgmgr._corosync import CData

EVENTS_MAX: Final = 64  # of one dispatch: a flood must not starve the loop
_BATCH_BYTES: Final = 256 * 1024  # a dispatch ends when it has as many
_RESERVE_BYTES: Final = 32 * 1024  # for the next event; none but a message needs more


class Handle:
    """One open handle; closed at the end of a `with`."""

    def __init__(self, library: int, name: str, reserve_bytes: int = _RESERVE_BYTES) -> None:
        binding = load()
        self._ffi, self._lib = binding.ffi, binding.lib
        self._library = library
        self._name = name
        self._handle: CData = self._ffi.new("uint64_t *")
        self._is_open = False
        self._asking = threading.Lock()  # answers to one handle share one channel
        room_bytes = _BATCH_BYTES + reserve_bytes
        self._data = self._ffi.new_allocator(should_clear_after_alloc=False)("char[]", room_bytes)
        self._batch = self._ffi.new("struct rgmgr_batch *", {"data": self._data})
        self._batch.room, self._batch.reserve = room_bytes, reserve_bytes

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable as long as an event is due, or corosync died."""
        fd = self._ffi.new("int *")
        check(self._lib.rgmgr_fd(self._library, self._number, fd), f"{self._name}_fd_get")
        return int(fd[0])

    def dispatch(self, events_max: int = EVENTS_MAX) -> list[RawEvent]:
        """Return the events that are due, `events_max` or 256 KiB of them at most; never waits.

        Raises:
            CorosyncError: the connection is gone; what came before was returned by earlier calls.
            InvariantViolation: an event was lost, so nothing that follows may be believed.
        """
        code = self._lib.rgmgr_dispatch(self._library, self._number, self._batch, events_max)
        if self._batch.is_short:
            raise InvariantViolation(f"{self._name}_dispatch: an event is longer than its batch")
        if used := self._batch.used:
            return read_batch(self._ffi.buffer(self._data, used))
        if code != self._lib.CS_ERR_TRY_AGAIN:
            check(code, f"{self._name}_dispatch")
        return []

    def close(self) -> None:
        """Finalize the handle, once; whatever that returns, everything is freed."""
        with self._asking:
            if self._is_open:
                self._is_open = False
                self._lib.rgmgr_finalize(self._library, self._number)

    def _ask(self, call: Callable[..., int], *arguments: object) -> None:
        """Call a function of the library that waits for corosync's answer."""
        with self._asking:
            code = call(self._number, *arguments)
        check(code, call.__name__)

    @property
    def _number(self) -> int:
        return int(self._handle[0])

    def _opened(self, code: int, call: str) -> None:
        check(code, call)
        self._is_open = True
