# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ASYNC240 - it has a node to itself
"""Checks of file systems on the lab's shared disk, which nobody else uses then."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
)
from rgmgr.core.spec import ResourceSpec
from tests.lab.systemd_desk import Desk, desk, ms, resource, run

DISK = "/srv/rglab-disk"
PLACE = "/srv/rgmgr-disk"
OTHER = "/srv/rgmgr-disk-too"
STUBBORN = (
    "python3",
    "-c",
    "import signal; signal.signal(15, 1); print(flush=True); signal.pause()",
)


def disk(**parameters: str) -> ResourceSpec:
    given = {"device": DISK, "mountpoint": PLACE, "fstype": "ext4", **parameters}
    return resource("disk", "fs", **given)


@contextlib.asynccontextmanager
async def holder(*command: str, told: bool = False) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program that keeps the mount busy. `told`: it says when it is ready."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PLACE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if told and process.stdout is not None:
            await process.stdout.readline()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def up(d: Desk, spec: ResourceSpec) -> None:
    event = await d.start(spec)
    assert isinstance(event, ResourceStarted), event


def is_there() -> bool:
    return f" {PLACE} " in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


async def checked_at() -> str:
    told = await run("dumpe2fs", "-h", DISK)
    return next(line for line in told.splitlines() if line.startswith("Last checked"))


async def check_users_of_a_mount_are_ended_when_that_is_wanted() -> str:
    """Who heeds SIGTERM is not killed, and who uses another place is left alone."""
    spec = disk(force_unmount="yes")
    async with desk() as d:
        await up(d, spec)
        bystander = await asyncio.create_subprocess_exec("sleep", "60", cwd="/srv")
        async with holder("sleep", "60") as process:
            begin = time.monotonic()
            outcome = await d.stop(spec)
            assert isinstance(outcome, ResourceStopped), outcome
            assert await process.wait() == -signal.SIGTERM
        took = time.monotonic() - begin
        assert bystander.returncode is None
        bystander.kill()
        await bystander.wait()
        assert not is_there()
    return ms(took)


async def check_a_user_that_ignores_the_request_is_killed() -> str:
    spec = replace(disk(force_unmount="yes"), stop_timeout_ms=20_000)
    async with desk() as d:
        await up(d, spec)
        async with holder(*STUBBORN, told=True) as process:
            begin = time.monotonic()
            assert isinstance(await d.stop(spec), ResourceStopped)
            assert await process.wait() == -signal.SIGKILL
        assert not is_there()
    return ms(time.monotonic() - begin)


async def check_a_file_system_is_checked_when_that_is_wanted() -> str:
    """Always is a full check; auto leaves one with a journal to its mount."""
    await run("tune2fs", "-T", "20000101", DISK)
    before = await checked_at()
    async with desk() as d:
        for fsck, is_checked in (("auto", False), ("always", True)):
            await up(d, disk(fsck=fsck))
            assert isinstance(await d.stop(disk(fsck=fsck)), ResourceStopped)
            assert (await checked_at() != before) is is_checked, fsck
    assert "rgmgr-web" not in await run("systemctl", "list-units", "--all", "*-prepare.service")
    return ""


async def check_a_file_system_that_needs_a_human_is_not_mounted() -> str:
    spec = disk(fsck="always")
    await run("debugfs", "-w", "-R", "clri <2>", DISK)
    async with desk() as d:
        try:
            outcome = await d.start(spec)
            assert isinstance(outcome, ResourceStartFailed), outcome
            assert "errors that need a human" in outcome.reason, outcome
            assert isinstance(await d.stop(spec), ResourceStopped)
            assert not is_there()
        finally:
            await run("mkfs.ext4", "-q", "-F", DISK)
    return outcome.reason


async def check_a_device_that_is_mounted_elsewhere_is_neither_taken_nor_let_go() -> str:
    """What is still mounted by hand is still in use: another node must not mount it."""
    spec = replace(disk(), stop_timeout_ms=1_000)
    Path(OTHER).mkdir(exist_ok=True)
    async with desk() as d:
        await run("mount", "-t", "ext4", DISK, OTHER)
        refused = await d.start(spec)
        assert isinstance(refused, ResourceStartFailed), refused
        await run("umount", OTHER)
        await up(d, spec)
        await run("mount", "--bind", PLACE, OTHER)
        left = await d.stop(spec)
        assert isinstance(left, ResourceStopFailed), left
        await run("umount", OTHER)
        assert isinstance(await d.stop(spec), ResourceStopped)
    return f"{refused.reason}; {left.reason}"


async def check_a_file_system_that_becomes_read_only_is_told() -> str:
    """As the kernel makes it after an error; whatever makes the adapter look finds it."""
    async with desk() as d:
        await up(d, disk())
        await d.quiet(0.3)
        await run("mount", "-o", "remount,ro", PLACE)
        await run("systemctl", "daemon-reload")
        _, event = await d.event(ResourceFailed)
        assert isinstance(await d.stop(disk()), ResourceStopped)
    return event.reason


async def restore_disks() -> None:
    """Take away what a failed check may have left."""
    await run("umount", OTHER)
    await run("umount", PLACE)
    for place in (PLACE, OTHER):
        await run("rmdir", place)
