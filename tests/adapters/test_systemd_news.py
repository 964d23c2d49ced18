# SPDX-License-Identifier: Apache-2.0
"""Failures, losses, adoption and shutdown, as a badly behaved PID 1 tells them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from dbus_next.signature import Variant
from structlog.testing import capture_logs

from domains.model import ServiceName
from rgmgr.adapters.systemd import names
from rgmgr.core.events import (
    ProbeFinished,
    ResourceFailed,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopped,
    ServiceProbed,
    Shutdown,
)
from rgmgr.core.spec import LEFT_OVER, ResourceName, ResourceSpec
from tests.adapters.fake_systemd import NAME, Unit, never
from tests.adapters.systemd_stage import (
    APP,
    APP_UNIT,
    DATA,
    DATA_UNIT,
    STARTED,
    STOPPED,
    VIP,
    VIP_UNIT,
    WEB,
    Stage,
    cluster,
    resource,
    stage,
)


def test_an_action_waits_for_the_one_before_on_the_same_resource(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        s.stop()
        s.start(op=3)
        assert [await s.event() for _ in range(3)] == [STARTED, STOPPED, replace(STARTED, op=3)]

    stage(tmp_path, play)


def test_a_failure_is_told_once_in_a_storm_of_signals(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.units[APP_UNIT].of_type = {
            "Result": Variant("s", "signal"),
            "ExecMainStatus": Variant("i", 9),
        }
        for at in range(1000):
            s.pid1.change(APP_UNIT, "failed", "failed")
            if at % 50 == 0:
                await asyncio.sleep(0)  # or the fake's own socket overflows
        event = await s.event()
        assert event == ResourceFailed(
            service=WEB,
            resource=APP.name,
            reason="nginx.service failed: killed by signal 9 (Result signal)",
        )
        await s.settled()
        assert s.nothing_told()

    stage(tmp_path, play)


def test_a_stop_by_an_administrator_is_told_as_such(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.units[APP_UNIT].job_type = "stop"
        s.pid1.change(APP_UNIT, "deactivating", "stop-sigterm", 77)
        event = await s.event()
        assert isinstance(event, ResourceFailed)
        assert "stopped by somebody else" in event.reason

    stage(tmp_path, play)


def test_a_unit_that_somebody_starts_by_hand_is_told(tmp_path: Path) -> None:
    """It may run on another node, too: only the cluster can judge that."""

    async def play(s: Stage) -> None:
        s.systemd.probe(cluster(APP))
        assert await s.event() == ServiceProbed(service=WEB, active=())
        assert await s.event() == ProbeFinished()

        s.pid1.change(APP_UNIT, "active", "running")

        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))

    stage(tmp_path, play)


def test_a_service_that_is_new_in_the_configuration_is_looked_at(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.systemd.probe(cluster())
        assert await s.event() == ProbeFinished()
        s.pid1.change(APP_UNIT, "active", "running")
        await s.settled()

        s.systemd.configure(cluster(APP).services)

        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))

    stage(tmp_path, play)


def test_a_restart_by_an_administrator_is_no_failure(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.units[APP_UNIT].job_type = "restart"
        s.pid1.change(APP_UNIT, "deactivating", "stop-sigterm", 77)
        await s.settled()
        s.pid1.change(APP_UNIT, "active", "running")
        s.pid1.remove_job(77, APP_UNIT)
        await s.settled()
        assert s.nothing_told()

    stage(tmp_path, play)


def test_down_just_after_a_reload_is_not_believed(tmp_path: Path) -> None:
    """PID 1 answers what waited during a reload before all units have their state back."""

    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.reloading(begins=True)
        s.pid1.change(APP_UNIT, "inactive", "dead")
        s.pid1.reloading(begins=False)
        asked = len(s.pid1.called("ListUnitsByNames"))
        await s.pid1.wait_called("ListUnitsByNames", asked + 1)
        s.pid1.change(APP_UNIT, "active", "running", quietly=True)
        await asyncio.sleep(0.5)
        assert s.nothing_told()

    stage(tmp_path, play)


def test_a_unit_that_reloads_its_configuration_is_up(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.change(APP_UNIT, "reloading", "reload")
        s.systemd.probe(cluster(APP))  # as a daemon that comes back just then
        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))
        assert await s.event() == ProbeFinished()
        s.pid1.change(APP_UNIT, "failed", "failed")
        failed = await s.event()
        assert isinstance(failed, ResourceFailed)
        assert "failed" in failed.reason
        assert "reloading" not in failed.reason

    stage(tmp_path, play)


def test_neither_a_lost_bus_nor_a_lost_pid_1_is_a_failure(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        await s.pid1.leave()
        await s.pid1.come_back()
        await s.settled()
        assert s.nothing_told()
        await s.bus.kill()
        await s.pid1.close()
        await s.bus.start()
        await s.pid1.connect(s.bus.address)
        subscribed = len(s.pid1.called("Subscribe"))
        await s.pid1.wait_called("Subscribe", max(subscribed, 2))
        s.pid1.change(APP_UNIT, "failed", "failed")
        event = await s.event()
        assert isinstance(event, ResourceFailed)

    stage(tmp_path, play)


def test_a_start_survives_the_loss_of_the_bus(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.script("StartUnit", never)
        s.start(replace(APP, start_timeout_ms=8000))
        await s.pid1.wait_called("StartUnit", 1)
        await s.bus.kill()
        await s.pid1.close()
        await s.bus.start()
        await s.pid1.connect(s.bus.address)
        assert await s.event() == STARTED

    stage(tmp_path, play)


def test_the_probe_tells_all_that_may_hold_something(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT] = Unit("deactivating", "stop-sigterm")
        s.facts.ips.append("10.0.0.100")  # its unit is gone
        gone = "rgmgr-old-db.service"
        s.pid1.units[gone] = Unit("active", "running")
        s.pid1.units["rgmgr-old.slice"] = Unit(
            "active", "active", of_unit={"SliceOf": Variant("as", [gone])}
        )
        with capture_logs() as written:
            s.systemd.probe(cluster(VIP, DATA, APP))
            told = [await s.event() for _ in range(3)]
        orphans = [line for line in written if line["event"] == "service.orphaned"]
        hints = [(line["service"], line["units"], line["hint"]) for line in orphans]
        assert hints == [("old", "db", "systemctl stop 'rgmgr-old.slice'")]
        assert told == [
            ServiceProbed(service=WEB, active=(VIP.name, APP.name)),
            ServiceProbed(service=ServiceName("old"), active=(ResourceName("db"),)),
            ProbeFinished(),
        ]

    stage(tmp_path, play)


def test_what_was_adopted_is_watched(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT] = Unit("active", "running")
        s.systemd.probe(cluster(APP))
        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))
        assert await s.event() == ProbeFinished()
        s.pid1.change(APP_UNIT, "inactive", "dead")
        assert isinstance(await s.event(), ResourceFailed)

    stage(tmp_path, play)


def test_a_transient_unit_carries_all_that_shutdown_and_adoption_need(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start(VIP)
        assert isinstance(await s.event(), ResourceStarted)
        s.start(DATA, after=(VIP,))
        assert isinstance(await s.event(), ResourceStarted)
        vip, data = s.pid1.made[VIP_UNIT], s.pid1.made[DATA_UNIT]
        assert vip["ExecStopPost"] == [
            ["/usr/lib/rgmgr/rgmgr-ip", ["/usr/lib/rgmgr/rgmgr-ip", "stop"], False]
        ]
        assert vip["Description"] == "web: address 10.0.0.100/24"
        assert data["After"] == [VIP_UNIT]
        assert data["DefaultDependencies"] is False
        assert data["Conflicts"] == ["umount.target"]
        assert data["Before"] == ["umount.target", "rgmgrd.service"]
        for made in (vip, data):
            assert made["Slice"] == "rgmgr-web.slice"
            assert made["StartLimitIntervalUSec"] == 0
            assert any(str(line).startswith("RGMGR_GEN=") for line in list(made["Environment"]))  # type: ignore[call-overload]
            assert not any(set("$;\n") & set(str(value)) for value in made.values())

    stage(tmp_path, play)


@pytest.mark.parametrize(
    ("job_type", "corosync", "kind"),
    [
        ("restart", Unit("active", "running"), Shutdown.RESTART),
        ("stop", Unit("active", "running"), Shutdown.STOP),
        ("", Unit("active", "running"), Shutdown.STOP),
        ("restart", Unit("active", "running", job=9, job_type="restart"), Shutdown.STOP),
        ("restart", Unit("inactive", "dead"), Shutdown.STOP),
    ],
)
def test_a_restart_of_the_daemon_is_told_from_its_end(
    tmp_path: Path, job_type: str, corosync: Unit, kind: Shutdown
) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units["corosync.service"] = corosync
        s.pid1.units["rgmgrd.service"] = Unit(
            "deactivating", "stop-sigterm", job=5 if job_type else 0, job_type=job_type
        )
        s.start()
        await s.event()
        assert await s.systemd.shutdown_kind() is kind

    stage(tmp_path, play)


def test_units_that_start_by_themselves_are_reported(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[APP_UNIT].of_unit["UnitFileState"] = Variant("s", "enabled")
        s.start()
        await s.event()
        missing = resource("x", "systemd", unit="no.service")
        assert await s.systemd.check_units(cluster(APP, missing)) == [
            (
                "service web, resource app: nginx.service is enabled, so it starts by itself at"
                " boot: run 'systemctl disable nginx.service'"
            ),
            (
                "service web, resource x: no.service does not exist on this node:"
                " install it, or keep the service away from here"
            ),
        ]

    stage(tmp_path, play)


def test_an_unknown_type_is_a_failed_start_not_a_crash(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.start(resource("x", "teapot"))
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert "unknown type 'teapot'" in event.reason

    stage(tmp_path, play)


def test_the_fake_speaks_of_the_real_name() -> None:
    assert names.object_path(APP_UNIT) == "/org/freedesktop/systemd1/unit/nginx_2eservice"
    assert NAME == "org.freedesktop.systemd1"


def test_a_unit_that_somebody_starts_by_hand_is_told_of(tmp_path: Path) -> None:
    """Its service may belong to another node: two of it must not go on unseen."""

    async def play(s: Stage) -> None:
        s.systemd.probe(cluster(APP))
        assert await s.event() == ServiceProbed(service=WEB, active=())
        assert await s.event() == ProbeFinished()
        s.pid1.change(APP_UNIT, "active", "running")
        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))

    stage(tmp_path, play)


def test_a_service_that_is_new_in_the_configuration_is_looked_for_at_once(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.change(APP_UNIT, "active", "running")
        s.systemd.probe(cluster())
        assert await s.event() == ProbeFinished()
        s.systemd.configure(cluster(APP).services)
        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))

    stage(tmp_path, play)


@pytest.mark.parametrize("comes_back", [True, False])
def test_an_address_fails_with_its_link_but_not_with_a_blip(
    tmp_path: Path, *, comes_back: bool
) -> None:
    async def play(s: Stage) -> None:
        s.start(VIP)
        assert isinstance(await s.event(), ResourceStarted)
        s.facts.links.clear()
        s.systemd._on_link_lost()
        if comes_back:
            asyncio.get_running_loop().call_later(0.3, s.facts.links.add, "eth0")
            with pytest.raises(TimeoutError):
                await s.event(1.6)
            return
        failed = await s.event()
        assert isinstance(failed, ResourceFailed)
        assert failed.reason == "eth0 has lost its link, and web: address 10.0.0.100/24 with it"

    stage(tmp_path, play)


def test_a_mount_that_becomes_read_only_has_failed(tmp_path: Path) -> None:
    """The kernel does that after an error of the device; the server above fails bit by bit."""

    async def play(s: Stage) -> None:
        s.start(DATA)
        assert isinstance(await s.event(), ResourceStarted)
        await s.settled()
        (mount,) = s.facts.mounted
        s.facts.mounted = [replace(mount, is_read_only=True)]
        s.pid1.reloading(begins=True)
        s.pid1.reloading(begins=False)  # whatever makes the adapter look again
        event = await s.event()
        assert isinstance(event, ResourceFailed)
        assert event.reason.startswith("web: /dev/vg0/web on /srv/web has become read-only")

    stage(tmp_path, play)


def test_what_nobody_knows_is_looked_at_until_it_is_gone(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        left, slice_ = "rgmgr-old-db.service", "rgmgr-old.slice"
        s.pid1.units[left] = Unit("active", "running")
        s.pid1.units[slice_] = Unit("active", "active", of_unit={"SliceOf": Variant("as", [left])})
        s.systemd.probe(cluster())
        old = ServiceName("old")
        assert await s.event() == ServiceProbed(service=old, active=(ResourceName("db"),))
        assert await s.event() == ProbeFinished()

        s.pid1.units[left] = Unit("inactive", "dead")

        while (told := await s.event()) != ServiceProbed(service=old, active=()):
            assert told == ServiceProbed(service=old, active=(ResourceName("db"),))

    stage(tmp_path, play, resync_period_s=0.1)


def test_what_is_in_no_configuration_is_stopped_by_its_name(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        left, slice_ = "rgmgr-web-db.service", "rgmgr-web.slice"
        s.pid1.units[left] = Unit("active", "running")
        s.pid1.units[slice_] = Unit("active", "active", of_unit={"SliceOf": Variant("as", [left])})
        s.systemd.probe(cluster(APP))
        found = ServiceProbed(service=WEB, active=(ResourceName("db"),))
        assert [await s.event(), await s.event()] == [found, ProbeFinished()]
        db = ResourceSpec(name=ResourceName("db"), type=LEFT_OVER, parameters={})

        for op in (2, 3):  # when it is gone, nothing is left to stop
            s.stop(db, op)
            assert await s.event() == ResourceStopped(service=WEB, resource=db.name, op=op)
            assert left not in s.pid1.units

    stage(tmp_path, play)
