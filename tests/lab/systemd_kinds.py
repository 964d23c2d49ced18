# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ASYNC240 - it has a node to itself
"""Checks of the types that are programs and mounts, for `systemd_inside`."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
)
from rgmgr.core.spec import CheckKind, CheckSpec, ResourceSpec
from tests.lab.systemd_desk import Desk, desk, ms, resource, run, show

FOLDER = Path("/run/rgmgr-kinds")
SCRIPT = FOLDER / "app"
PLACE = "/srv/rgmgr-bound"
SCRIPT_TEXT = """\
#!/bin/sh
test -n "$SYSTEMCTL_SKIP_REDIRECT" || exit 4
case "$1" in
start) test ! -e {0}/no-start || exit 1; sleep 1000 & exit 0 ;;
stop) test ! -e {0}/no-stop || exit 1; pkill -f '^sleep 1000$'; exit 0 ;;
esac
exit 3
"""

COMMAND = resource(
    "worker",
    "exec",
    command="/bin/sh -c 'sleep 1001 & exec sleep 1002'",
    directory="/run",
    user="nobody",
)
INIT = resource("init", "script", file=str(SCRIPT))
BOUND = resource("bound", "bind-mount", source=str(FOLDER / "data"), mountpoint=PLACE)
COMMAND_UNIT, INIT_UNIT = "rgmgr-web\\x2d1-worker.service", "rgmgr-web\\x2d1-init.service"


def _prepare() -> None:
    (FOLDER / "data").mkdir(parents=True, exist_ok=True)
    (FOLDER / "other").mkdir(exist_ok=True)
    for name in ("no-start", "no-stop"):
        (FOLDER / name).unlink(missing_ok=True)
    SCRIPT.write_text(SCRIPT_TEXT.format(FOLDER), encoding="utf-8")
    SCRIPT.chmod(0o755)


async def _sleepers(seconds: int) -> list[str]:
    return (await run("pgrep", "-f", f"^sleep {seconds}$")).split()


async def _start(d: Desk, spec: ResourceSpec) -> None:
    event = await d.start(spec)
    assert isinstance(event, ResourceStarted), event


async def check_a_command_runs_as_told_and_nothing_of_it_is_left() -> str:
    async with desk() as d:
        await _start(d, COMMAND)
        (pid,) = await show(COMMAND_UNIT, "MainPID")
        assert os.stat(f"/proc/{pid}").st_uid != 0  # noqa: PTH116 - a process, no path work
        assert str(Path(f"/proc/{pid}/cwd").readlink()) == "/run"
        assert "rgmgr-web\\x2d1.slice" in await show(COMMAND_UNIT, "Slice")
        assert await _sleepers(1001)
        assert isinstance(await d.stop(COMMAND), ResourceStopped)
        assert not await _sleepers(1001)
        assert not await _sleepers(1002)
        await d.quiet(0.2)
    return ""


async def check_the_death_of_a_command_is_told_at_once() -> str:
    async with desk() as d:
        await _start(d, COMMAND)
        (pid,) = await show(COMMAND_UNIT, "MainPID")
        begin = time.monotonic()
        os.kill(int(pid), signal.SIGKILL)
        at, event = await d.event(ResourceFailed)
        assert "signal 9" in event.reason, event
        assert isinstance(await d.stop(COMMAND), ResourceStopped)
        assert not await _sleepers(1001)
    return ms(at - begin)


async def check_a_command_that_cannot_run_says_why() -> str:
    async with desk() as d:
        event = await d.start(resource("worker", "exec", command="/no/such/program"))
        assert isinstance(event, ResourceStartFailed), event
        assert "203" in event.reason, event
        assert isinstance(await d.stop(COMMAND), ResourceStopped)
    return event.reason


async def check_a_command_asks_whether_a_resource_works() -> str:
    """One that fails is told; one that hangs is killed, told, and leaves nothing behind."""
    _prepare()
    told = []
    for probe in (f"/usr/bin/test -e {FOLDER}/data", "/usr/bin/sleep 1003"):
        check = CheckSpec(
            kind=CheckKind.COMMAND, target=probe, interval_ms=200, timeout_ms=300, tolerance=1
        )
        async with desk() as d:
            spec = replace(COMMAND, checks=(check,))
            await _start(d, spec)
            if "data" in probe:
                await d.quiet(0.8)
                (FOLDER / "data").rmdir()
            _, event = await d.event(ResourceFailed)
            told.append(event.reason)
            assert isinstance(await d.stop(spec), ResourceStopped)
            assert not await _sleepers(1003)
            assert "check0" not in await run("systemctl", "list-units", "--all", "rgmgr-web*")
    return "; ".join(told)


async def check_an_init_script_is_a_resource() -> str:
    """Started by PID 1, watched by its processes, stopped by its own command."""
    _prepare()
    async with desk() as d:
        await _start(d, INIT)
        (pid,) = await _sleepers(1000)
        assert INIT_UNIT in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
        os.kill(int(pid), signal.SIGKILL)
        await d.event(ResourceFailed)
        assert isinstance(await d.stop(INIT), ResourceStopped)
        (FOLDER / "no-start").touch()
        event = await d.start(INIT)
        assert isinstance(event, ResourceStartFailed), event
        assert isinstance(await d.stop(INIT), ResourceStopped)
        await d.quiet(0.2)
    return event.reason


async def check_a_script_that_does_not_stop_is_not_believed() -> str:
    _prepare()
    async with desk() as d:
        await _start(d, INIT)
        (FOLDER / "no-stop").touch()
        event = await d.stop(INIT)
        assert isinstance(event, ResourceStopFailed), event
        assert "app ended with status 1" in event.reason, event
        (FOLDER / "no-stop").unlink()
        await run("systemctl", "reset-failed", INIT_UNIT)
        assert isinstance(await d.stop(INIT), ResourceStopped)
    return event.reason


async def check_a_bind_mount_is_told_from_another_mount_at_its_place() -> str:
    _prepare()
    async with desk() as d:
        await _start(d, BOUND)
        (FOLDER / "data" / "seen").touch()
        assert (Path(PLACE) / "seen").exists()
        await run("umount", PLACE)
        await d.event(ResourceFailed)
        await run("mount", "--bind", str(FOLDER / "other"), PLACE)
        assert isinstance(await d.stop(BOUND), ResourceStopped)
        assert PLACE in Path("/proc/self/mountinfo").read_text(encoding="utf-8"), "not ours"
        event = await d.start(BOUND)
        assert isinstance(event, ResourceStartFailed), event
        await run("umount", PLACE)
        assert isinstance(await d.stop(BOUND), ResourceStopped)
    return event.reason


async def check_a_server_that_cannot_be_mounted_is_a_failed_start_in_time() -> str:
    far = resource(
        "far",
        "netfs",
        device="127.0.0.1:/none",
        mountpoint=PLACE,
        fstype="nfs",
        options="soft,retry=0",
    )
    async with desk() as d:
        begin = time.monotonic()
        event = await d.start(far)
        assert isinstance(event, ResourceStartFailed), event
        assert time.monotonic() - begin < far.start_timeout_ms / 1000 + 3
        assert isinstance(await d.stop(far), ResourceStopped)
    return event.reason


async def restore_kinds() -> None:
    """Take away what a failed check may have left."""
    await run("systemctl", "stop", COMMAND_UNIT, INIT_UNIT)
    await run("umount", PLACE)
    for seconds in (1000, 1001, 1002):
        for pid in await _sleepers(seconds):
            os.kill(int(pid), signal.SIGKILL)
    await run("rm", "-rf", "--one-file-system", str(FOLDER))
    await run("rmdir", PLACE)
