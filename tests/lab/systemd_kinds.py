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
from rgmgr.core.spec import AGENT_OPTION_PREFIX, CheckKind, CheckSpec, ResourceSpec
from tests.lab.systemd_desk import (
    ADDRESS,
    IP,
    Desk,
    desk,
    has_address,
    ms,
    resource,
    run,
    show,
)

PREFIX = ADDRESS.partition("/")[2]
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


def _agent(name: str, agent: str, **options: str) -> ResourceSpec:
    monitor = CheckSpec(kind=CheckKind.MONITOR, target="0", interval_ms=300)
    named = {f"{AGENT_OPTION_PREFIX}{key}": value for key, value in options.items()}
    return replace(resource(name, "ocf", agent=agent, **named), checks=(monitor,))


async def check_agents_of_the_distribution_run_unmodified() -> str:
    """Each comes up, is watched by its own action, is lost, told, and stopped."""
    _prepare()
    state = FOLDER / "dummy"
    lose_address = ("ip", "addr", "del", ADDRESS, "dev", "eth0")
    address = _agent("a", "heartbeat:IPaddr2", ip=IP, cidr_netmask=PREFIX, nic="eth0")
    mount = _agent("f", "heartbeat:Filesystem", device="tmpfs", directory=PLACE, fstype="tmpfs")
    losses = [
        (_agent("d", "heartbeat:Dummy", state=str(state)), ("rm", str(state))),
        (address, lose_address),
        (mount, ("umount", PLACE)),
        (_agent("n", "heartbeat:nginx", configfile="/etc/nginx/nginx.conf"), ("pkill", "nginx")),
    ]
    told = []
    for spec, loss in losses:
        async with desk() as d:
            await _start(d, spec)
            await d.quiet(0.7)
            await run(*loss)
            begin = time.monotonic()
            at, event = await d.event(ResourceFailed)
            assert "check monitor 0" in event.reason, event
            told.append(f"{spec.parameters['agent']} {ms(at - begin)}")
            assert isinstance(await d.stop(spec), ResourceStopped)
    assert not await has_address()
    return "lost and told: " + ", ".join(told)


async def check_an_agent_that_lacks_something_says_what() -> str:
    async with desk() as d:
        spec = _agent("a", "heartbeat:IPaddr2", ip="none of these")
        event = await d.start(spec)
        assert isinstance(event, ResourceStartFailed), event
        missing = await d.start(_agent("m", "heartbeat:NoSuchAgent"))
        assert isinstance(missing, ResourceStartFailed), missing
        assert "cannot be executed" in missing.reason, missing
        for each in (spec, _agent("m", "heartbeat:NoSuchAgent")):
            stopped = await d.stop(each)
            assert isinstance(stopped, ResourceStopped), stopped
    return f"{event.reason}; {missing.reason}"


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
