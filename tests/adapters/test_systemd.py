# SPDX-License-Identifier: Apache-2.0
"""Starts and stops through a PID 1 that behaves as badly as the real one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from rgmgr.adapters.systemd.node import Mount
from rgmgr.core.events import (
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
)
from tests.adapters.fake_systemd import FakeSystemd, Unit, no_reply
from tests.adapters.systemd_stage import (
    APP,
    APP_UNIT,
    DATA,
    DATA_UNIT,
    STARTED,
    STOPPED,
    VIP,
    VIP_UNIT,
    Stage,
    stage,
)


def test_a_resource_is_started_once_it_is_really_up(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        text = (s.drop_ins / f"{APP_UNIT}.d" / "50-rgmgr.conf").read_text(encoding="utf-8")
        assert "Slice=rgmgr-web.slice\nRestart=no\n" in text
        assert "Before=rgmgrd.service\n" in text

    stage(tmp_path, play)


def test_a_job_that_ends_before_its_name_is_known_is_not_waited_for(tmp_path: Path) -> None:
    """JobRemoved before the reply is the normal case when the unit is up already."""

    async def early(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.started(APP_UNIT)
        pid1.remove_job(number, APP_UNIT)
        pid1.reply(call, "o", path)

    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", early)
        s.start()
        assert await s.event(1.0) == STARTED

    stage(tmp_path, play)


def test_a_done_job_with_a_failed_unit_is_a_failed_start(tmp_path: Path) -> None:
    async def lie(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.reply(call, "o", path)
        pid1.units[APP_UNIT].of_type = {
            "Result": Variant("s", "exit-code"),
            "ExecMainCode": Variant("i", 1),
            "ExecMainStatus": Variant("i", 3),
        }
        pid1.change(APP_UNIT, "failed", "failed")
        pid1.remove_job(number, APP_UNIT, "done")

    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", lie)
        s.start()
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert event.reason == "nginx.service failed: exit status 3 (Result exit-code)"

    stage(tmp_path, play)


def test_a_call_without_reply_is_neither_believed_nor_repeated_blindly(tmp_path: Path) -> None:
    """The start was carried out although the bus said NoReply: it must not be started twice."""

    async def done_but_unanswered(pid1: FakeSystemd, call: Message) -> None:
        pid1.started(APP_UNIT)
        await no_reply(pid1, call)

    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", done_but_unanswered)
        s.start()
        assert await s.event() == STARTED
        assert len(s.pid1.called("StartUnit")) == 1

    stage(tmp_path, play)


def test_a_call_that_was_lost_is_made_again(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", no_reply, no_reply)
        s.start()
        assert await s.event() == STARTED
        assert len(s.pid1.called("StartUnit")) == 3

    stage(tmp_path, play)


def test_a_start_that_hangs_is_cancelled_and_stopped(tmp_path: Path) -> None:
    async def hang(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.reply(call, "o", path)
        pid1.change(APP_UNIT, "activating", "start", number)

    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", hang)
        s.start(replace(APP, start_timeout_ms=200))
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert event.reason == "not up within 0.2 s: nginx.service was activating (start)"
        assert s.pid1.called("CancelJob") == [[1]]
        assert s.pid1.units[APP_UNIT].active == "inactive"

    stage(tmp_path, play)


@pytest.mark.parametrize(
    ("load", "words"), [("not-found", "does not exist"), ("masked", "is masked")]
)
def test_a_unit_that_cannot_be_started_here_is_named(tmp_path: Path, load: str, words: str) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT].load = load
        s.start()
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert f"{APP_UNIT} {words}" in event.reason
        s.stop()
        assert await s.event() == STOPPED

    stage(tmp_path, play)


def test_what_is_up_is_left_alone_and_what_is_gone_counts_as_stopped(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT] = Unit("active", "running")
        s.start()
        assert await s.event() == STARTED
        assert s.pid1.called("StartUnit") == []
        s.pid1.units[APP_UNIT] = Unit()
        s.stop()
        assert await s.event() == STOPPED
        assert s.pid1.called("StopUnit") == []

    stage(tmp_path, play)


def test_an_active_unit_without_its_address_is_started_again(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[VIP_UNIT] = Unit("active", "exited")
        s.start(VIP)
        assert isinstance(await s.event(), ResourceStarted)
        assert s.facts.ips == ["10.0.0.100"]

    stage(tmp_path, play)


def test_a_mount_of_another_device_is_not_touched(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        other = Mount(mountpoint="/srv/web", device="other", fstype="xfs", device_number="0:1")
        s.facts.mounted.append(other)
        s.pid1.units[DATA_UNIT] = Unit("active", "mounted")
        s.start(DATA)
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert event.reason == "/srv/web holds other, not /dev/vg0/web: unmount that"
        s.stop(DATA)
        assert isinstance(await s.event(), ResourceStopped)
        assert s.pid1.units[DATA_UNIT].active == "active"

    stage(tmp_path, play)


def test_a_mount_that_stays_busy_is_a_failed_stop(tmp_path: Path) -> None:
    async def busy(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.reply(call, "o", path)
        pid1.remove_job(number, DATA_UNIT, "failed")

    async def play(s: Stage) -> None:
        s.start(DATA)
        assert isinstance(await s.event(), ResourceStarted)
        s.pid1.script("StopUnit", *[busy] * 50)
        s.stop(replace(DATA, stop_timeout_ms=100))
        event = await s.event(15)
        assert isinstance(event, ResourceStopFailed)
        assert "srv-web.mount is active (mounted)" in event.reason
        assert len(s.pid1.called("StopUnit")) > 1

    stage(tmp_path, play)


def test_processes_that_survive_are_killed_before_it_counts_as_stopped(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        left = Unit("failed", "failed", processes=[(4711, "worker")])
        s.pid1.units[APP_UNIT] = left
        s.stop()
        assert await s.event() == STOPPED
        assert s.pid1.called("KillUnit") == [[APP_UNIT, "all", 9]]
        assert s.pid1.units[APP_UNIT].active == "inactive"

    stage(tmp_path, play)


def test_a_failed_stop_command_of_a_oneshot_is_a_failed_stop(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        command = ["/bin/x", ["/bin/x"], False, 0, 0, 0, 0, 42, 1, 1]
        of_type = {
            "Type": Variant("s", "oneshot"),
            "ExecStop": Variant("a(sasbttttuii)", [command]),
        }
        s.pid1.units[APP_UNIT] = Unit("failed", "failed", of_type=of_type)
        s.stop()
        event = await s.event()
        assert isinstance(event, ResourceStopFailed)
        assert "ExecStop /bin/x ended with status 1" in event.reason

    stage(tmp_path, play)


def test_at_shutdown_a_stop_does_not_wait_for_our_own_end(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT] = Unit("active", "running")
        s.pid1.manager["SystemState"] = Variant("s", "stopping")
        s.stop()
        assert await s.event() == STOPPED
        assert s.pid1.called("StopUnit") == [[APP_UNIT, "ignore-dependencies"]]

    stage(tmp_path, play)
