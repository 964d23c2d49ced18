# SPDX-License-Identifier: Apache-2.0
"""A lease on a disk: one side of a race has it, and a disk that hangs gives it to nobody."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from domains.model import NodeId
from rgmgr.adapters.fencing.disk_lease import HeldLease
from rgmgr.adapters.fencing.runner import FenceRunner
from rgmgr.core.actions import DiskLease
from tests.adapters.fencing_bench import Lab, run, single

HELPER = Path(__file__).parents[2] / "systemd" / "rgmgr-lease"
ALPHA = "alpha"


@pytest.fixture
def disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Give a shared disk: a file where files can be read past the cache."""
    path = Path(f"/var/tmp/rgmgr-lease-{time.monotonic_ns()}-{id(request)}")
    path.write_bytes(bytes(4096))
    yield path
    path.unlink()


def lease(disk: Path, *side: int) -> DiskLease:
    return DiskLease(device=str(disk), cluster=ALPHA, side=tuple(map(NodeId, side)))


@contextmanager
def contender(disk: Path, side: str, cluster: str = ALPHA) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    words = [HELPER, str(disk), cluster, side]
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        yield process
        process.kill()


def outcome(process: subprocess.Popen[str]) -> str:
    """Return its first word, or why it ended."""
    assert process.stdout is not None
    assert process.stderr is not None
    return process.stdout.readline().strip() or process.stderr.read().strip()


def test_of_two_sides_that_begin_at_once_one_has_it(disk: Path) -> None:
    with contender(disk, "1,2") as first, contender(disk, "3,4") as second:
        found = sorted([outcome(first), outcome(second)])

    assert found[1] == "held"
    assert found[0] in (
        f"{disk}: others wrote their name after us",
        f"{disk}: the nodes 1,2 hold it and live",
        f"{disk}: the nodes 3,4 hold it and live",
    )


def test_who_lives_keeps_it_and_two_nodes_of_one_side_share_it(disk: Path) -> None:
    with contender(disk, "1,2") as first:
        assert outcome(first) == "held"
        with contender(disk, "3,4") as other:
            assert outcome(other) == f"{disk}: the nodes 1,2 hold it and live"
            assert other.wait() == 1
        with contender(disk, "2") as friend:
            assert outcome(friend) == "held"


def test_the_lease_of_a_dead_side_expires_and_one_given_back_is_free_at_once(disk: Path) -> None:
    with contender(disk, "1") as first:
        assert outcome(first) == "held"
    began = time.monotonic()
    with contender(disk, "2") as second:
        assert outcome(second) == "held"
        assert time.monotonic() - began > 8
        assert second.stdin is not None
        second.stdin.write("release\n")
        second.stdin.close()
        assert second.wait() == 0
    began = time.monotonic()
    with contender(disk, "1") as third:
        assert outcome(third) == "held"
    assert time.monotonic() - began < 6


def test_a_disk_that_holds_something_else_is_not_touched(disk: Path) -> None:
    disk.write_bytes(b"a file system".ljust(4096, b"\1"))
    with contender(disk, "1") as process:
        assert outcome(process) == f"{disk}: its first block holds something else: not touched"
        assert process.wait() == 2

    assert disk.read_bytes().startswith(b"a file system")


def test_the_disk_of_another_cluster_is_not_touched(disk: Path) -> None:
    with contender(disk, "1", "beta") as process:
        assert outcome(process) == "held"
    with contender(disk, "1") as process:
        assert outcome(process) == f"{disk}: it belongs to the cluster 'beta'"


def hanging(folder: Path) -> Path:
    """Return a helper whose disk never answers; it does not heed its input either."""
    helper = folder / "hangs"
    helper.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    helper.chmod(0o755)
    return helper


def test_a_disk_that_hangs_is_waited_for_so_long_only(tmp_path: Path) -> None:
    async def work() -> str:
        held = HeldLease(lease(Path("/dev/x"), 1), hanging(tmp_path), take_s=0.3)
        try:
            return await held.take()
        finally:
            await held.end(is_won=False)

    began = time.monotonic()

    assert asyncio.run(work()) == "/dev/x: gave no answer in 0.3 s"
    assert time.monotonic() - began < 5


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path)
    made.runner = FenceRunner(
        made.emit,
        made.note,
        reaches=made.reaches,
        secrets_dir=made.secrets,
        agent_paths=(tmp_path,),
        lease_helper=HELPER,
    )
    return made


def test_who_has_no_lease_switches_nothing(lab: Lab, disk: Path) -> None:
    lab.recorder("fence_x")
    with contender(disk, "2") as others:
        assert outcome(others) == "held"
        (ended,) = run(lab, replace(single(), lease=lease(disk, 1)))

    assert not ended.is_confirmed
    assert ended.detail == f"lease: {disk}: the nodes 2 hold it and live"
    assert lab.calls() == []


def test_who_has_it_fences_and_gives_it_back(lab: Lab, disk: Path) -> None:
    lab.recorder("fence_x")

    (ended,) = run(lab, replace(single(), lease=lease(disk, 1)))

    assert ended.is_confirmed
    assert lab.calls() == ["fence_x off "]
    with contender(disk, "2") as others:
        began = time.monotonic()
        assert outcome(others) == "held"
        assert time.monotonic() - began < 6
