# SPDX-License-Identifier: Apache-2.0
"""Checks of what administrators and packages do to units behind the adapter's back."""

from __future__ import annotations

import asyncio
import contextlib

from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopped,
)
from rgmgr.core.spec import ServiceSpec
from tests.lab.systemd_desk import (
    UNITS,
    WEB,
    cluster,
    desk,
    resource,
    run,
    show,
    write_unit,
)

NAME = "changing.service"
UNIT = resource("changing", "systemd", unit=NAME)
SLOW = resource("slow", "exec", command="/bin/sleep 1004")
TEXT = "[Service]\nExecReload=/bin/sleep 1\nExecStart=/bin/sleep {}\n"


async def install(seconds: int) -> None:
    write_unit(NAME, TEXT.format(seconds))
    await run("systemctl", "daemon-reload")


async def check_a_unit_file_that_is_edited_counts_from_the_next_start() -> str:
    """An edit without reload disturbs nothing that runs, and its drop-in goes with the stop."""
    await install(1005)
    async with desk() as d:
        assert isinstance(await d.start(UNIT), ResourceStarted)
        write_unit(NAME, TEXT.format(1006))
        await d.quiet(0.3)
        assert (UNITS / f"{NAME}.d" / "50-rgmgr.conf").exists()
        assert isinstance(await d.stop(UNIT), ResourceStopped)
        assert not (UNITS / f"{NAME}.d" / "50-rgmgr.conf").exists()
        assert isinstance(await d.start(UNIT), ResourceStarted)
        (started,) = await show(NAME, "ExecStart")
        assert "1006" in started, started
        assert isinstance(await d.stop(UNIT), ResourceStopped)
    return ""


async def check_a_unit_file_that_vanishes_leaves_what_runs_in_hand() -> str:
    await install(1005)
    async with desk() as d:
        assert isinstance(await d.start(UNIT), ResourceStarted)
        (UNITS / NAME).unlink()
        await run("systemctl", "daemon-reload")
        await d.quiet(0.5)
        assert isinstance(await d.stop(UNIT), ResourceStopped)
        assert (await show(NAME, "ActiveState"))[0] == "inactive"
        event = await d.start(UNIT)
        assert isinstance(event, ResourceStartFailed), event
        assert isinstance(await d.stop(UNIT), ResourceStopped)
    return event.reason


async def check_a_unit_that_reloads_has_not_failed() -> str:
    await install(1005)
    async with desk() as d:
        assert isinstance(await d.start(UNIT), ResourceStarted)
        await run("systemctl", "reload", "--no-block", NAME)
        await asyncio.sleep(0.3)
        state = (await show(NAME, "ActiveState"))[0]
        await d.quiet(1.2)
        assert isinstance(await d.stop(UNIT), ResourceStopped)
    assert state == "reloading", state
    return ""


async def check_what_a_daemon_that_died_left_half_started_is_found_and_stopped() -> str:
    spec = cluster(ServiceSpec(name=WEB, resources=(SLOW, UNIT)))
    write_unit(NAME, "[Service]\nType=oneshot\nTimeoutStartSec=60\nExecStart=/bin/sleep 1005\n")
    await run("systemctl", "daemon-reload")
    async with desk() as d:
        assert isinstance(await d.start(SLOW), ResourceStarted)
        begun = asyncio.create_task(d.start(UNIT))
        await asyncio.sleep(0.5)
        begun.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await begun
    async with desk() as d:
        found = await d.probe(spec)
        assert set(found[WEB]) == {"slow", "changing"}, found
        assert isinstance(await d.stop(UNIT), ResourceStopped)
        assert isinstance(await d.stop(SLOW), ResourceStopped)
        assert (await d.probe(spec))[WEB] == ()
    return ""


async def check_a_unit_that_is_stopped_by_its_dependency_is_told() -> str:
    """Somebody stops what it needs: it goes down with it, and that is a failure here."""
    write_unit("needed.service", TEXT.format(1007))
    write_unit(NAME, "[Unit]\nBindsTo=needed.service\n" + TEXT.format(1005))
    await run("systemctl", "daemon-reload")
    async with desk() as d:
        assert isinstance(await d.start(UNIT), ResourceStarted)
        await run("systemctl", "stop", "needed.service")
        _, event = await d.event(ResourceFailed)
        assert isinstance(await d.stop(UNIT), ResourceStopped)
    return event.reason


async def restore_reality() -> None:
    """Take away what a failed check may have left."""
    await run("systemctl", "stop", NAME, "needed.service")
    for name in (NAME, "needed.service"):
        (UNITS / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (UNITS / f"{name}.d").rmdir()
