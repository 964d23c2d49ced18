# SPDX-License-Identifier: Apache-2.0
"""Virtual machines: libvirt knows of them what no unit knows, and sends them to other nodes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from domains.model import NodeId
from rgmgr.core.actions import MigrateResource, StopResource
from rgmgr.core.events import (
    Event,
    ProbeFinished,
    ResourceStarted,
    ResourceStayed,
    ResourceStopFailed,
    ResourceStopped,
    ServiceProbed,
)
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import ResourceName
from tests.adapters.fake_systemd import FakeSystemd, Script, Unit
from tests.adapters.systemd_stage import STARTED, WEB, Stage, cluster, resource, stage

GUEST = resource("guest", "vm", machine="guest")
UNIT, AGAIN = "rgmgr-web-guest.service", "rgmgr-web-guest-cleanup.service"
MIGRATE = "rgmgr-web-guest-migrate.service"
NODE2 = NodeId(2)
TO_NODE2 = MigrateResource(service=WEB, resource=GUEST, op=2, target=NODE2, target_name="node2")
HELPER = "/usr/lib/rgmgr/rgmgr-resource"


def ended(code: int, text: str = "") -> Script:
    """Return a throw-away unit that ends at once with this status; 0: it is gone."""

    async def play(pid1: FakeSystemd, call: Message) -> None:
        name = str(call.body[0])
        number, path = pid1.new_job()
        pid1.made[name] = {key: value.value for key, value in call.body[2]}
        pid1.reply(call, "o", path)
        if code:
            facts = {
                "Result": Variant("s", "exit-code"),
                "ExecMainStatus": Variant("i", code),
                "StatusText": Variant("s", text),
            }
            pid1.units[name] = Unit(active="failed", sub="failed", of_type=facts)
        pid1.remove_job(number, name, "failed" if code else "done")

    return play


async def migrated(s: Stage, script: Script, target: NodeId | None = NODE2) -> Event:
    """Start the machine, send it off, and return the answer."""
    s.start(GUEST)
    assert isinstance(await s.event(), ResourceStarted)
    s.pid1.script("StartTransientUnit", script)
    name = "node2" if target is not None else ""
    s.systemd.migrate(replace(TO_NODE2, target=target, target_name=name))
    return await s.event()


def test_one_that_has_gone_leaves_no_unit_behind(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        answer = await migrated(s, ended(0))

        assert answer == ResourceStopped(service=WEB, resource=GUEST.name, op=2)
        assert s.pid1.made[MIGRATE]["ExecStart"] == [[HELPER, [HELPER, "migrate", "node2"], False]]
        assert UNIT not in s.pid1.units

    stage(tmp_path, play)


@pytest.mark.parametrize(("code", "kind"), [(8, ResourceStayed), (1, ResourceStopFailed)])
def test_one_that_has_not_gone_stays_only_if_libvirt_says_so(
    tmp_path: Path, code: int, kind: type[ResourceStayed | ResourceStopFailed]
) -> None:
    async def play(s: Stage) -> None:
        answer = await migrated(s, ended(code, "no route to host"))

        reason = f"no route to host; see 'journalctl -u {MIGRATE}'"
        assert answer == kind(service=WEB, resource=GUEST.name, op=2, reason=reason)
        assert s.pid1.units[UNIT].active == "active"

    stage(tmp_path, play)


def test_an_order_is_as_old_as_it_came_however_long_its_turn_took(tmp_path: Path) -> None:
    """The helper only looks when it is late; the target may have been fenced meanwhile."""

    def by_ms() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000 + LEASE_MS

    async def play(s: Stage) -> None:
        def wait_for_the_clock(_unit: str) -> None:
            while by_ms() <= latest_ms:
                pass

        s.pid1.on_started = wait_for_the_clock
        s.start(GUEST)
        earliest_ms = by_ms()
        s.systemd.migrate(TO_NODE2)
        latest_ms = by_ms()
        assert isinstance(await s.event(), ResourceStarted)
        s.pid1.script("StartTransientUnit", ended(0))
        assert isinstance(await s.event(), ResourceStopped)

        environment = s.pid1.made[MIGRATE]["Environment"]
        assert isinstance(environment, list)
        told = dict(entry.split("=", 1) for entry in environment)
        assert earliest_ms <= int(told["RGMGR_BEGIN_BY_MS"]) <= latest_ms

    stage(tmp_path, play)


def test_without_a_target_it_is_only_looked_at(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        assert isinstance(await migrated(s, ended(8, "it runs here"), None), ResourceStayed)
        assert s.pid1.made[MIGRATE]["ExecStart"] == [[HELPER, [HELPER, "migrate", "-"], False]]

    stage(tmp_path, play)


@pytest.mark.parametrize(("code", "kind"), [(0, ResourceStopped), (1, ResourceStopFailed)])
def test_one_without_a_unit_is_stopped_by_libvirts_last_word(
    tmp_path: Path, code: int, kind: type[Event]
) -> None:
    """It may have come from another node: that there is no unit of it says nothing."""

    async def play(s: Stage) -> None:
        s.start()  # a stop has little time: systemd has to be there
        assert await s.event() == STARTED
        s.pid1.script("StartTransientUnit", ended(code))
        s.systemd.stop(StopResource(service=WEB, resource=GUEST, op=2))

        assert isinstance(await s.event(), kind)
        assert s.pid1.made[AGAIN]["ExecStart"] == [[HELPER, [HELPER, "stop"], False]]

    stage(tmp_path, play)


@pytest.mark.parametrize(
    ("up", "paused", "active", "doubtful"),
    [
        ("guest", "other", ("guest",), ()),
        ("guest", "guest", ("guest",), ("guest",)),
        ("other", "other", (), ()),
    ],
    ids=["runs", "comes in", "is not here"],
)
def test_one_that_libvirt_has_up_is_found_without_a_unit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    up: str,
    paused: str,
    active: tuple[ResourceName, ...],
    doubtful: tuple[ResourceName, ...],
) -> None:
    virsh = tmp_path / "virsh"
    virsh.write_text(
        f"#!/bin/sh\ncase $* in *--state-paused*) echo {paused};; *) echo {up};; esac\n"
    )
    virsh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    async def play(s: Stage) -> None:
        s.systemd.probe(cluster(GUEST))

        assert await s.event() == ServiceProbed(service=WEB, active=active, doubtful=doubtful)
        assert await s.event() == ProbeFinished()

    stage(tmp_path, play)
