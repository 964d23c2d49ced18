# SPDX-License-Identifier: Apache-2.0
"""The state on disk is whole or set aside, and told to be saved only when it is."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.adapters.store import Store, StoreError, hold_lock
from rgmgr.core.events import StateSaved
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import ClusterSpec
from rgmgr.wire.codec import decode_state

STATE = ClusterState(spec=ClusterSpec(name="alpha", version=1, digest="d", nodes={}, services=()))


def state(applied: int) -> ClusterState:
    return replace(STATE, epoch=5, applied=applied)


class Disk:
    """A directory and what its store has told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path / "state"
        self.saved: list[StateSaved] = []
        self.errors: list[str] = []
        self.at_error: Callable[[], object] = list

    def store(self) -> Store:
        return Store(self.path, self.saved.append, self._failed, backoff_ms=1)

    def _failed(self, text: str) -> None:
        self.errors.append(text)
        self.at_error()

    def save(self, *states: ClusterState) -> None:
        async def run() -> None:
            store = self.store()
            for each in states:
                await store.save(each)
            await store.close()

        asyncio.run(run())

    def load(self) -> ClusterState | None:
        async def run() -> ClusterState | None:
            return self.store().load()

        return asyncio.run(run())

    def names(self) -> set[str]:
        return {path.name for path in self.path.iterdir()}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "lib" / "rgmgr")


def test_nothing_saved_is_no_state(disk: Disk) -> None:
    assert disk.load() is None
    assert disk.errors == []


def test_what_was_saved_is_loaded(disk: Disk) -> None:
    disk.save(state(1), state(2))
    assert disk.load() == state(2)
    assert disk.saved == [StateSaved(5, 1), StateSaved(5, 2)]
    assert decode_state((disk.path / "state.previous").read_bytes()) == state(1)
    assert disk.names() == {"state", "state.previous"}


def test_only_root_may_read_it(disk: Disk) -> None:
    disk.save(state(1))
    assert disk.path.stat().st_mode & 0o777 == 0o700
    assert disk.file.stat().st_mode & 0o777 == 0o600


def test_of_states_that_come_during_a_write_only_the_newest_is_written(disk: Disk) -> None:
    async def run() -> None:
        store = disk.store()
        first = asyncio.create_task(store.save(state(1)))
        others = [asyncio.create_task(store.save(state(n))) for n in range(2, 50)]
        await asyncio.gather(first, *others)

    asyncio.run(run())
    assert disk.load() == state(49)
    assert disk.saved[-1] == StateSaved(5, 49)
    assert len(disk.saved) <= 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="torn"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda data: bytes(len(data)), id="zeros"),
        pytest.param(lambda data: data[:-1] + bytes([data[-1] ^ 1]), id="one bit"),
    ],
)
def test_a_damaged_file_is_set_aside(disk: Disk, damage: Callable[[bytes], bytes]) -> None:
    disk.save(state(1))
    damaged = damage(disk.file.read_bytes())
    disk.file.write_bytes(damaged)
    assert disk.load() is None
    assert (disk.path / "state.corrupt-1").read_bytes() == damaged
    assert not disk.file.exists()
    assert re.search(
        r"cannot be used \(.+\); it was set aside as .*state.corrupt-1", disk.errors[0]
    )


def test_damaged_files_do_not_fill_the_disk(disk: Disk) -> None:
    disk.path.mkdir(parents=True)
    for number in range(12):
        disk.file.write_bytes(b"%d" % number)
        assert disk.load() is None
    assert disk.names() == {f"state.corrupt-{n}" for n in range(1, 10)}
    assert (disk.path / "state.corrupt-9").read_bytes() == b"11"


def test_a_file_that_the_disk_does_not_give_is_an_error(disk: Disk) -> None:
    disk.file.mkdir(parents=True)
    with pytest.raises(StoreError, match=r"cannot read the saved state .*/state: Is a directory"):
        disk.load()


def test_a_failed_save_is_tried_again_and_only_then_told(disk: Disk) -> None:
    disk.path.parent.mkdir()
    disk.path.write_text("in the way", encoding="utf-8")

    def repair() -> None:
        assert disk.saved == []
        if len(disk.errors) == 3:
            disk.path.unlink()

    disk.at_error = repair
    disk.save(state(1))
    assert disk.saved == [StateSaved(5, 1)]
    assert len(disk.errors) == 3
    assert f"cannot save the state in {disk.file}: " in disk.errors[0]
    assert disk.load() == state(1)


def test_a_save_that_fails_leaves_the_old_state(disk: Disk) -> None:
    disk.save(state(1))
    (disk.path / "state.new").mkdir()  # in the way of the new file
    disk.at_error = (disk.path / "state.new").rmdir
    before = disk.file.read_bytes()

    async def run() -> None:
        store = disk.store()
        saving = asyncio.create_task(store.save(state(2)))
        while not disk.errors:  # noqa: ASYNC110 - told from a callback of the loop
            await asyncio.sleep(0)
        assert disk.file.read_bytes() == before
        await saving

    asyncio.run(run())
    assert disk.load() == state(2)


def test_a_stalled_disk_does_not_block_the_loop(disk: Disk) -> None:
    """A named pipe in place of the new file: opening it waits until somebody reads."""
    disk.path.mkdir(parents=True)
    os.mkfifo(disk.path / "state.new")

    async def run() -> None:
        store = disk.store()
        saving = asyncio.create_task(store.save(state(1)))
        for _ in range(100):
            await asyncio.sleep(0)  # the loop turns
        assert disk.saved == []
        threading.Thread(target=(disk.path / "state.new").read_bytes, daemon=True).start()
        await saving

    disk.at_error = (disk.path / "state.new").unlink  # a pipe cannot be fsynced
    asyncio.run(run())
    assert disk.load() == state(1)


def test_closing_writes_the_newest_state_once_and_does_not_wait_for_a_broken_disk(
    disk: Disk,
) -> None:
    disk.path.parent.mkdir()
    disk.path.write_text("in the way", encoding="utf-8")

    async def run() -> None:
        store = Store(disk.path, disk.saved.append, disk._failed, backoff_ms=60_000)
        saving = asyncio.create_task(store.save(state(1)))
        while not disk.errors:  # noqa: ASYNC110 - told from a callback of the loop
            await asyncio.sleep(0)
        await store.close()
        await saving

    asyncio.run(run())
    assert disk.saved == []
    assert len(disk.errors) == 2


def test_a_second_daemon_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run" / "rgmgrd.lock"
    held = hold_lock(path)
    with pytest.raises(
        StoreError, match=f"another rgmgrd runs on this node with pid {os.getpid()} "
    ):
        hold_lock(path)
    os.close(held)
    os.close(hold_lock(path))


def test_the_lock_of_a_dead_daemon_is_free(tmp_path: Path) -> None:
    path = tmp_path / "rgmgrd.lock"
    program = f"from rgmgr.adapters.store import *; hold_lock(Path({str(path)!r}))"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
    assert path.read_text(encoding="utf-8").strip().isdecimal()
    os.close(hold_lock(path))


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot open the lock file .*lock: "):
        hold_lock(tmp_path / "file" / "lock")
