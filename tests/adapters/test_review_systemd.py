# SPDX-License-Identifier: Apache-2.0
"""News that is stale, forged or cut short: none of it may be taken for the truth."""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Self

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from rgmgr.adapters.bus import Bus
from rgmgr.adapters.systemd import names
from rgmgr.adapters.systemd import node as node_facts
from rgmgr.adapters.systemd.node import ThisNode
from rgmgr.core.events import ProbeFinished, ServiceProbed
from rgmgr.core.spec import ServiceSpec
from tests.adapters.fake_systemd import MANAGER, NAME, PATH, FakeSystemd, Unit
from tests.adapters.systemd_stage import (
    APP,
    APP_UNIT,
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


async def probed(s: Stage, *resources: object) -> None:
    s.systemd.probe(cluster(*resources))  # type: ignore[arg-type]
    while await s.event() != ProbeFinished():
        pass


def test_a_survey_that_a_start_overtakes_tells_nothing_of_its_service(tmp_path: Path) -> None:
    """What it saw is past: the core would take a healthy service for a failed one."""

    async def play(s: Stage) -> None:
        await probed(s, APP)
        release = asyncio.Event()

        async def held(systemd: FakeSystemd, call: Message) -> None:
            await release.wait()
            systemd.reply(call, "a(ssssssouso)", [])

        s.pid1.script("ListUnitsByPatterns", held)
        seen = len(s.pid1.called("ListUnitsByPatterns"))
        s.pid1.reloading(begins=False)
        await s.pid1.wait_called("ListUnitsByPatterns", seen + 1)
        s.start()
        assert await s.event() == STARTED
        release.set()
        await s.settled()
        assert s.nothing_told()

    stage(tmp_path, play)


def test_a_survey_goes_by_the_present_configuration(tmp_path: Path) -> None:
    moved = resource("vip", "ip", address="10.0.0.101/24")

    async def play(s: Stage) -> None:
        await probed(s, VIP)
        s.pid1.on_started = lambda _: s.facts.ips.append("10.0.0.101")
        s.start(moved)
        await s.event()
        s.systemd.configure([ServiceSpec(name=WEB, resources=(moved,))])
        s.pid1.reloading(begins=False)
        assert await s.event() == ServiceProbed(service=WEB, active=(moved.name,))

    stage(tmp_path, play)


def test_what_was_started_by_an_older_definition_is_held(tmp_path: Path) -> None:
    """The address in the file is not here, but the one of the unit that is active may be."""

    async def play(s: Stage) -> None:
        environment = Variant("as", ["RGMGR_SERVICE=web", "RGMGR_GEN=0123456789abcdef"])
        s.pid1.units[VIP_UNIT] = Unit("active", "exited", of_type={"Environment": environment})
        s.systemd.probe(cluster(VIP))
        assert await s.event() == ServiceProbed(service=WEB, active=(VIP.name,))

    stage(tmp_path, play)


def test_a_stop_does_not_wait_for_the_end_of_the_daemon_that_asks_for_it(tmp_path: Path) -> None:
    """`systemctl stop rgmgrd`: resources are ordered before it, so systemd would stop it first."""

    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        s.pid1.units["rgmgrd.service"] = Unit(
            "deactivating", "stop-sigterm", job=99, job_type="stop"
        )
        s.stop()
        assert await s.event() == STOPPED
        assert s.pid1.called("StopUnit") == [[APP_UNIT, "ignore-dependencies"]]

    stage(tmp_path, play)


@pytest.mark.parametrize(
    ("path", "interface", "member", "signature", "body"),
    [
        (
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "NameOwnerChanged",
            "sss",
            [NAME, "", ""],
        ),
        (PATH, MANAGER, "Reloading", "b", [True]),
    ],
)
def test_signals_of_strangers_are_not_believed(
    tmp_path: Path, path: str, interface: str, member: str, signature: str, body: list[object]
) -> None:
    """The policy of the system bus lets every user send signals straight to a connection."""

    async def play(s: Stage) -> None:
        manager = s.systemd._manager
        await manager.wait_ready()
        assert manager._bus is not None
        stranger = await Bus.connect(s.bus.address)
        forged = Message.new_signal(path, interface, member, signature, body)
        forged.destination = manager._bus.unique_name
        stranger._connection.send(forged)
        bus = "org.freedesktop.DBus"
        await stranger.call(bus, "/", bus, "GetId")  # so the bus has passed it on
        await s.settled()
        await stranger.close()
        assert manager.is_ready
        assert not manager._is_reloading

    stage(tmp_path, play)


class Link:
    """A kernel that gives up in the middle of a list."""

    def __init__(self, *_: int) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def sendto(self, *_: object) -> None: ...

    def recv(self, _: int) -> bytes:
        return struct.pack("=IHHIIi", 20, self.kind, 0, 1, 0, -errno.ENOMEM)

    kind = 2


@pytest.mark.parametrize("kind", [2, 3])
def test_an_unfinished_list_of_addresses_is_no_list(
    monkeypatch: pytest.MonkeyPatch, kind: int
) -> None:
    monkeypatch.setattr(Link, "kind", kind)
    fake = {name: getattr(socket, name) for name in ("AF_NETLINK", "SOCK_RAW", "NETLINK_ROUTE")}
    module = SimpleNamespace(socket=Link, AF_UNSPEC=socket.AF_UNSPEC, **fake)
    monkeypatch.setattr(node_facts, "socket", module)
    with pytest.raises(OSError, match="cannot list what the network"):
        ThisNode().addresses()


def test_a_device_with_a_strange_name_can_be_told_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason with half a character could not be sent, and the daemon would die of it."""
    table = tmp_path / "mountinfo"
    table.write_bytes(b"36 35 0:40 / /srv/web rw - cifs //nas/B\xfcro rw\n")
    monkeypatch.setattr(node_facts, "_MOUNTINFO", (table,))
    (mount,) = ThisNode().mounts()
    assert mount.device.encode("utf-8")
    assert names.mount_unit(mount.mountpoint) == "srv-web.mount"
