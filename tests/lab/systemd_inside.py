# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: T201, E501, ASYNC240 - it prints what it finds, and has a node to itself
"""Drives the systemd adapter against the real PID 1 of the node it runs on; run it inside a node.

`python3 systemd_inside.py [CHECK...]` runs all checks, or the named ones, and prints one line for
each with what it measured; exit status 1 when one failed. `systemd_inside.py restore` only takes
away what checks that were cut off have left. Needs root, nginx, rgmgr-ip in
/usr/lib/rgmgr, no running rgmgrd, and an interface in the network of RGMGR_TEST_ADDRESS (without
it: in that of the lab). It starts and stops units: never run it on a machine that matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from rgmgr.core.events import (
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
    Shutdown,
)
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from tests.lab import systemd_disks, systemd_kinds, systemd_reality
from tests.lab.systemd_desk import (
    ADDRESS,
    APP,
    DATA,
    MOUNTPOINT,
    UNITS,
    VIP,
    WEB,
    WEB_CLUSTER,
    Check,
    cluster,
    desk,
    has_address,
    is_mounted,
    listed,
    ms,
    resource,
    run,
    show,
    write_unit,
)

KINDS = {
    name: each
    for part in (systemd_kinds, systemd_disks, systemd_reality)
    for name, each in vars(part).items()
    if name.startswith("check_")
}


async def check_tree() -> str:
    """The tree comes up in order and goes down in reverse; nothing is left of it."""
    async with desk() as d:
        begin = time.monotonic()
        await d.up()
        up_s = time.monotonic() - begin
        assert await has_address()
        assert is_mounted()
        slice_name = "rgmgr-web\\x2d1.slice"
        assert slice_name in await show("nginx.service", "Slice")
        assert "no" in await show("nginx.service", "Restart")
        assert slice_name in await show("srv-rgmgr\\x2dweb.mount", "Slice")
        for unit in ("rgmgr-web\\x2d1-vip.service", "srv-rgmgr\\x2dweb.mount"):
            assert unit in await listed("nginx.service", "After"), unit
        for unit in ("nginx.service", "srv-rgmgr\\x2dweb.mount", "rgmgr-web\\x2d1-vip.service"):
            assert "rgmgrd.service" in await listed(unit, "Before"), unit
        begin = time.monotonic()
        await d.down()
        down_s = time.monotonic() - begin
        assert not await has_address()
        assert not is_mounted()
        assert not (UNITS / "nginx.service.d/50-rgmgr.conf").exists()
        failed = await run("systemctl", "--failed", "--no-legend", "--plain")
        assert "rgmgr" not in failed, failed
        await d.quiet(0.2)
    return f"up {ms(up_s)}, down {ms(down_s)}"


async def check_start_and_stop_twice() -> str:
    """What is up starts with success, what is gone stops with success."""
    async with desk() as d:
        await d.up()
        before = await show("nginx.service", "MainPID")
        await d.up()
        assert await show("nginx.service", "MainPID") == before
        await d.down()
        await d.down()
        await d.quiet(0.2)
    return ""


async def check_killed_process_is_told_at_once() -> str:
    async with desk() as d:
        samples = []
        for _ in range(10):
            await d.up()
            (pid,) = await show("nginx.service", "MainPID")
            begin = time.monotonic()
            os.kill(int(pid), signal.SIGKILL)
            at, event = await d.event(ResourceFailed)
            assert event.resource == "app", event
            assert "signal 9" in event.reason, event
            samples.append(at - begin)
            await d.down()
        await d.quiet(0.2)
    samples.sort()
    return f"median {ms(samples[5])}, worst {ms(samples[-1])}; {event.reason}"


async def check_admin_stop_is_a_failure_and_restart_is_not() -> str:
    async with desk() as d:
        await d.up()
        await run("systemctl", "restart", "nginx.service")
        await d.quiet(0.7)
        await run("systemctl", "stop", "nginx.service")
        _, event = await d.event(ResourceFailed)
        assert "somebody else" in event.reason, event
        await d.down()
    return event.reason


async def check_address_and_mount_removed_outside() -> str:
    async with desk() as d:
        await d.up()
        await run("systemctl", "stop", "nginx.service")
        await d.event(ResourceFailed)
        begin = time.monotonic()
        await run("ip", "addr", "del", ADDRESS, "dev", "eth0")
        at, event = await d.event(ResourceFailed)
        assert event.resource == "vip", event
        address_s = at - begin
        begin = time.monotonic()
        await run("umount", MOUNTPOINT)
        at, event = await d.event(ResourceFailed)
        assert event.resource == "data", event
        await d.down()
        await d.quiet(0.2)
    return f"address {ms(address_s)}, mount {ms(at - begin)} (with the commands that did it)"


async def check_adoption() -> str:
    """A new daemon finds what the old one started, and watches it."""
    async with desk() as d:
        await d.up()
        before = await show("nginx.service", "MainPID")
    async with desk() as d:
        assert await d.probe(WEB_CLUSTER) == {WEB: ("vip", "data", "app")}
        await d.quiet(0.3)
        assert await show("nginx.service", "MainPID") == before
        os.kill(int(before[0]), signal.SIGKILL)
        _, event = await d.event(ResourceFailed)
        assert event.resource == "app", event
        assert await d.probe(WEB_CLUSTER) == {WEB: ("vip", "data")}
        left = await d.probe(cluster())
        assert sorted(left[WEB]) == ["data", "vip"], left
        await d.down()
        assert await d.probe(WEB_CLUSTER) == {WEB: ()}
        assert await d.probe(cluster()) in ({}, {WEB: ()})
    return ""


async def check_reload_and_reexec_disturb_nothing() -> str:
    async with desk() as d:

        async def disturb() -> None:
            while True:
                await run("systemctl", "daemon-reload")
                await asyncio.sleep(0.1)
                await run("systemctl", "daemon-reexec")
                await asyncio.sleep(0.4)

        disturber = asyncio.create_task(disturb())
        begin = time.monotonic()
        rounds = 0
        try:
            while rounds < 5:
                await d.up()
                await d.down()
                rounds += 1
            await d.up()
            await asyncio.sleep(0.5)
        finally:
            disturber.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await disturber
        told = [event for _, event in d.events if not isinstance(event, ServiceProbed)]
        assert not told, told
        await asyncio.sleep(0.5)
        await d.down()
        assert not await has_address()
        assert not is_mounted()
    return f"{rounds} rounds in {time.monotonic() - begin:.1f} s"


async def check_bus_restart_disturbs_nothing() -> str:
    async with desk() as d:
        await d.up()
        (pid,) = await show("dbus.service", "MainPID")
        os.kill(int(pid), signal.SIGKILL)
        await d.quiet(1.0)
        (pid,) = await show("nginx.service", "MainPID")
        os.kill(int(pid), signal.SIGKILL)
        _, event = await d.event(ResourceFailed)
        assert event.resource == "app", event
        await d.down()
    return ""


async def check_frozen_bus_does_not_stop_a_stop() -> str:
    async with desk() as d:
        await d.up()
        (pid,) = await show("dbus.service", "MainPID")
        os.kill(int(pid), signal.SIGSTOP)
        begin = time.monotonic()
        try:
            await d.down()
        finally:
            os.kill(int(pid), signal.SIGCONT)
        took_s = time.monotonic() - begin
        assert not await has_address()
        assert not is_mounted()
    return f"three resources in {took_s:.1f} s"


async def check_masked_and_missing_units() -> str:
    async with desk() as d:
        missing = await d.start(resource("x", "systemd", unit="no-such.service"))
        assert isinstance(missing, ResourceStartFailed), missing
        assert "no-such.service does not exist on this node" in missing.reason, missing
        assert isinstance(
            await d.stop(resource("x", "systemd", unit="no-such.service")), ResourceStopped
        )
        await run("systemctl", "mask", "--runtime", "nginx.service")
        try:
            masked = await d.start(APP)
            assert isinstance(masked, ResourceStartFailed), masked
            assert "masked" in masked.reason, masked
            assert isinstance(await d.stop(APP), ResourceStopped)
        finally:
            await run("systemctl", "unmask", "--runtime", "nginx.service")
        await d.quiet(0.2)
    return masked.reason


async def check_a_unit_that_ignores_term() -> str:
    write_unit(
        "stubborn.service",
        "[Service]\nTimeoutStopSec=60\nExecStart=/bin/bash -c 'trap \"\" TERM; while :; do sleep 1; done'\n",
    )
    await run("systemctl", "daemon-reload")
    spec = ResourceSpec(
        name=ResourceName("stubborn"),
        type="systemd",
        parameters={"unit": "stubborn.service"},
        stop_timeout_ms=1000,
    )
    async with desk() as d:
        started = await d.start(spec)
        assert isinstance(started, ResourceStarted), started
        await asyncio.sleep(0.3)
        begin = time.monotonic()
        stopped = await d.stop(spec)
        assert isinstance(stopped, ResourceStopped), stopped
        took_s = time.monotonic() - begin
        await d.quiet(0.2)
    assert took_s < 3, took_s
    return f"stopped after {took_s:.2f} s with a stop timeout of 1 s"


async def check_a_daemon_that_dies_right_after_its_start() -> str:
    """Job done, then dead: told as a start failure or as a failure, never lost."""
    write_unit("short.service", "[Service]\nExecStart=/bin/sleep 0.05\nRestart=always\n")
    write_unit("absent.service", "[Service]\nType=simple\nExecStart=/no/such/program\n")
    await run("systemctl", "daemon-reload")
    async with desk() as d:
        short = resource("short", "systemd", unit="short.service")
        assert isinstance(await d.start(short), ResourceStarted)
        begin = time.monotonic()
        at, failed = await d.event(ResourceFailed)
        assert "ended by itself" in failed.reason, failed
        assert isinstance(await d.stop(short), ResourceStopped)
        absent = resource("absent", "systemd", unit="absent.service")
        outcome = await d.start(absent)
        if isinstance(outcome, ResourceStarted):
            _, event = await d.event(ResourceFailed)
            reason = f"failed later: {event.reason}"
        else:
            reason = outcome.reason
        assert "203" in reason, reason
        assert isinstance(await d.stop(absent), ResourceStopped)
        await d.quiet(0.2)
    return f"told after {ms(at - begin)}; {reason}"


async def check_a_start_that_hangs() -> str:
    write_unit(
        "hanging.service", "[Service]\nType=oneshot\nTimeoutStartSec=60\nExecStart=/bin/sleep 60\n"
    )
    await run("systemctl", "daemon-reload")
    spec = ResourceSpec(
        name=ResourceName("hanging"),
        type="systemd",
        parameters={"unit": "hanging.service"},
        start_timeout_ms=500,
    )
    async with desk() as d:
        begin = time.monotonic()
        outcome = await d.start(spec)
        took_s = time.monotonic() - begin
        assert isinstance(outcome, ResourceStartFailed), outcome
        assert took_s < 2, took_s
        assert (await show("hanging.service", "ActiveState"))[0] in ("inactive", "failed")
        assert isinstance(await d.stop(spec), ResourceStopped)
    return f"{took_s:.2f} s; {outcome.reason}"


async def check_a_busy_mount() -> str:
    spec = ResourceSpec(name=DATA.name, type="fs", parameters=DATA.parameters, stop_timeout_ms=1500)
    async with desk() as d:
        assert isinstance(await d.start(spec), ResourceStarted)
        holder = await asyncio.create_subprocess_exec("sleep", "60", cwd=MOUNTPOINT)
        try:
            begin = time.monotonic()
            outcome = await d.stop(spec)
            took_s = time.monotonic() - begin
            assert isinstance(outcome, ResourceStopFailed), outcome
            assert f"{holder.pid} (sleep)" in outcome.reason, outcome
        finally:
            holder.kill()
            await holder.wait()
        assert isinstance(await d.stop(spec), ResourceStopped)
        assert not is_mounted()
    return f"{took_s:.1f} s; {outcome.reason}"


async def check_somebody_elses_mount_is_left_alone() -> str:
    Path(MOUNTPOINT).mkdir(exist_ok=True)
    await run("mount", "-t", "ramfs", "other", MOUNTPOINT)
    async with desk() as d:
        outcome = await d.start(DATA)
        assert isinstance(outcome, ResourceStartFailed), outcome
        assert isinstance(await d.stop(DATA), ResourceStopped)
        assert is_mounted()
        await run("umount", MOUNTPOINT)
    return outcome.reason


async def check_an_address_without_its_unit_is_removed() -> str:
    """The unit was collected, the address is left: a stopped unit runs no command again."""
    async with desk() as d:
        await run("ip", "addr", "add", ADDRESS, "dev", "eth0")
        probed = await d.probe(WEB_CLUSTER)
        assert probed == {WEB: ("vip",)}, probed
        assert isinstance(await d.stop(VIP), ResourceStopped)
        assert not await has_address()
    return ""


async def check_an_address_that_fits_nowhere() -> str:
    async with desk() as d:
        spec = resource("vip", "ip", address="192.0.2.7/24")
        outcome = await d.start(spec)
        assert isinstance(outcome, ResourceStartFailed), outcome
        assert "no interface" in outcome.reason, outcome
        assert isinstance(await d.stop(spec), ResourceStopped)
    return outcome.reason


async def check_configuration() -> str:
    async with desk() as d:
        services = ServiceSpec(
            name=WEB,
            resources=(
                APP,
                resource("x", "systemd", unit="no-such.service"),
                resource("c", "systemd", unit="corosync.service"),
            ),
        )
        await d.probe(cluster())  # systemd is in reach from here on
        problems = await d.systemd.check_units(cluster(services))
        assert len(problems) == 2, problems
        assert "no-such.service does not exist" in problems[0]
        assert "disable corosync.service" in problems[1]
    return ""


async def check_how_we_end() -> str:
    """The daemon's own unit tells a restart from a stop; a restart of corosync is a stop."""
    write_unit(
        "rgmgrd.service",
        "[Service]\nType=notify\nNotifyAccess=all\nTimeoutStopSec=5\nExecStart=/bin/bash -c"
        " 'trap \"sleep 1; exit\" TERM; systemd-notify --ready; while :; do sleep 0.1; done'\n",
    )
    await run("systemctl", "daemon-reload")
    seen = []
    async with desk() as d:
        for verb in ("restart", "stop"):
            await run("systemctl", "start", "rgmgrd.service")
            (pid,) = await show("rgmgrd.service", "MainPID")
            await run("systemctl", verb, "--no-block", "rgmgrd.service")
            await asyncio.sleep(0.3)
            seen.append(await d.systemd.shutdown_kind(int(pid)))
            await asyncio.sleep(1.5)
        await run("systemctl", "stop", "rgmgrd.service")
    assert seen == [Shutdown.RESTART, Shutdown.STOP], seen
    return ""


async def restore() -> None:
    """Take everything away that a failed check may have left."""
    await run("systemctl", "unmask", "--runtime", "nginx.service")
    await run("systemctl", "stop", "rgmgr-web\\x2d1.slice", "nginx.service", "stubborn.service")
    await run("ip", "addr", "del", ADDRESS, "dev", "eth0")
    await run("umount", MOUNTPOINT)
    await systemd_kinds.restore_kinds()
    await systemd_disks.restore_disks()
    await systemd_reality.restore_reality()
    with contextlib.suppress(OSError):
        Path(MOUNTPOINT).rmdir()
    for name in ("stubborn", "short", "absent", "hanging", "rgmgrd"):
        (UNITS / f"{name}.service").unlink(missing_ok=True)
    await run("systemctl", "daemon-reload")
    await run("systemctl", "reset-failed")


async def main(names: list[str]) -> int:
    checks: dict[str, Check] = {
        name.removeprefix("check_"): check
        for name, check in {**globals(), **KINDS}.items()
        if name.startswith("check_")
    }
    if names == ["restore"]:
        await restore()
        return 0
    failures = 0
    for name in names or list(checks):
        begin = time.monotonic()
        try:
            async with asyncio.timeout(60):
                said = await checks[name]()
            print(f"ok    {name} ({time.monotonic() - begin:.1f} s): {said}", flush=True)
        except Exception:  # noqa: BLE001 - a check may fail in any way
            failures += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            await restore()
    await restore()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
