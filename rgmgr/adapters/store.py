# SPDX-License-Identifier: Apache-2.0
"""The durable state on disk, and the lock that keeps a second daemon out.

A save is atomic: it is written beside the old file, fsynced, and renamed; the file before it stays
as `state.previous`. What is on disk is therefore always one whole state, and a file that cannot be
read was damaged from outside: it is set aside and the node asks the others. Must not decide when
to save. Threads: each write runs in one of its own, so that a stalled disk never blocks the loop;
one write at a time. Source: fsync(2), rename(2), flock(2).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from rgmgr.core.events import StateSaved
from rgmgr.core.model import ClusterState
from rgmgr.errors import RgmgrError, WireError
from rgmgr.wire.codec import decode_state, encode_state

STATE_DIR: Final = Path("/var/lib/rgmgr")
LOCK_PATH: Final = Path("/run/rgmgr/rgmgrd.lock")
BACKOFF_FIRST_MS: Final = 1_000
BACKOFF_MAX_MS: Final = 30_000
CORRUPT_MAX: Final = 9  # set aside; the last one is replaced from then on
STATE_BYTES_MAX: Final = 32 * 1024 * 1024


class StoreError(RgmgrError):
    """The state cannot be read, or another daemon runs here."""


class Store:
    """Loads and saves the state of one directory.

    Args:
        directory: made, readable by root only, when it is not there.
        emit: takes `StateSaved`, only after the state is safe on the disk.
        on_error: takes one sentence for each failure; a failed save is tried again by itself.
        backoff_ms: pause before the second attempt; it doubles up to `BACKOFF_MAX_MS`.
    """

    def __init__(
        self,
        directory: Path,
        emit: Callable[[StateSaved], None],
        on_error: Callable[[str], None],
        *,
        backoff_ms: int = BACKOFF_FIRST_MS,
    ) -> None:
        self._directory = directory
        self._path = directory / "state"
        self._emit = emit
        self._on_error = on_error
        self._backoff_ms = backoff_ms
        self._pending: ClusterState | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_closing = asyncio.Event()

    def load(self) -> ClusterState | None:
        """Return the saved state; None when there is none, or none that can be read.

        Raises:
            StoreError: the file is there but the disk does not give it. To go on without it would
                forget what administrators said.
        """
        try:
            with self._path.open("rb") as file:
                return decode_state(file.read(STATE_BYTES_MAX))
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = f"cannot read the saved state {self._path}: {error.strerror}; check the disk"
            raise StoreError(reason) from error
        except WireError as error:
            self._set_aside(str(error))
            return None

    async def save(self, state: ClusterState) -> None:
        """Make a state durable; returns once it, or a newer one, is.

        Of the states that come while one is being written only the newest is written; only states
        that were written are emitted.
        """
        self._pending = state
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_pending(), name="save state")
        await asyncio.shield(self._writer)

    async def close(self) -> None:
        """Wait for the newest state to be written, or for the one attempt that is left to fail."""
        self._is_closing.set()
        if self._writer is not None:
            await asyncio.wait([self._writer])

    def _take_pending(self) -> ClusterState | None:
        state, self._pending = self._pending, None
        return state

    async def _write_pending(self) -> None:
        pause_ms = self._backoff_ms
        while (state := self._take_pending()) is not None:
            try:
                await in_thread(partial(self._write, state))
            except (OSError, WireError) as error:
                self._on_error(f"cannot save the state in {self._path}: {error}")
                if self._is_closing.is_set():
                    return
                self._pending = self._pending or state
                await self._pause(pause_ms)
                pause_ms = min(2 * pause_ms, BACKOFF_MAX_MS)
            else:
                pause_ms = self._backoff_ms
                self._emit(StateSaved(state.epoch, state.applied))

    async def _pause(self, pause_ms: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_ms / 1000):
                await self._is_closing.wait()

    def _write(self, state: ClusterState) -> None:
        """Replace the file; every step may fail and leaves a whole state behind."""
        payload = encode_state(state)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._directory / "state.new"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(descriptor)
        self._keep_previous()
        fresh.replace(self._path)
        _fsync_directory(self._directory)

    def _keep_previous(self) -> None:
        """Give the present file a second name; the rename that follows takes only its first."""
        link = self._directory / "state.previous.new"
        with suppress(FileNotFoundError):
            link.unlink(missing_ok=True)
            link.hardlink_to(self._path)
            link.replace(self._directory / "state.previous")

    def _set_aside(self, reason: str) -> None:
        names = (self._directory / f"state.corrupt-{n}" for n in range(1, CORRUPT_MAX + 1))
        free = (path for path in names if not path.exists())
        target = next(free, self._directory / f"state.corrupt-{CORRUPT_MAX}")
        try:
            self._path.replace(target)
        except OSError as error:
            raise StoreError(f"cannot rename {self._path} to {target}: {error.strerror}") from error
        self._on_error(
            f"the saved state {self._path} cannot be used ({reason}); it was set aside as {target},"
            " and this node asks the others"
        )


async def in_thread(work: Callable[[], None]) -> None:
    """Run in a thread of its own; a cancelled caller still waits for it, for a write goes on.

    Not the loop's pool, whose threads a stalled disk would keep from ending with the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        failure: BaseException | None = None
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the loop
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="save state", daemon=True).start()
    await done


def _fsync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hold_lock(path: Path = LOCK_PATH) -> int:
    """Take the daemon's lock; it is held until the returned descriptor is closed.

    Raises:
        StoreError: another daemon has it, or the file cannot be made.
    """
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"cannot open the lock file {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        owner = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreError(
            f"another rgmgrd runs on this node with pid {owner} (it holds {path}): stop it first"
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"cannot lock {path}: {error.strerror}") from error
    return descriptor
