# SPDX-License-Identifier: Apache-2.0
"""A file system is checked before it is mounted, by a unit that can be seen and stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from rgmgr.adapters.systemd import preparation
from rgmgr.adapters.systemd.mounts import elsewhere
from rgmgr.adapters.systemd.node import Mount, same_device
from rgmgr.adapters.systemd.resources import plan
from rgmgr.core.events import ResourceStarted, ResourceStartFailed, ResourceStopped
from tests.adapters.fake_systemd import Facts, FakeSystemd, Unit, no_reply
from tests.adapters.systemd_stage import DATA, DATA_UNIT, Stage, resource, stage

PREPARE = "rgmgr-web-data-prepare.service"
CHECKED = replace(DATA, parameters={**DATA.parameters, "fstype": "ext4", "fsck": "always"})


def made_units(pid1: FakeSystemd) -> list[object]:
    return [body[0] for body in pid1.called("StartTransientUnit")]


async def done(pid1: FakeSystemd, call: Message) -> None:
    """Run a throw-away unit to its good end."""
    number, path = pid1.new_job()
    pid1.reply(call, "o", path)
    pid1.remove_job(number, str(call.body[0]))


async def broken(pid1: FakeSystemd, call: Message) -> None:
    """Run a throw-away unit that finds what it cannot repair."""
    number, path = pid1.new_job()
    pid1.reply(call, "o", path)
    status = {"Result": Variant("s", "exit-code"), "ExecMainStatus": Variant("i", 4)}
    pid1.units[PREPARE] = Unit(active="failed", sub="failed", of_type=status)
    pid1.remove_job(number, PREPARE, "failed")


@pytest.mark.parametrize(
    ("fstype", "fsck", "words"),
    [
        ("ext4", "always", "/sbin/fsck -T -t ext4 /dev/vg0/web -a -f"),
        ("xfs", "always", "/sbin/fsck -T -t xfs /dev/vg0/web -a"),
        ("vfat", "auto", "/sbin/fsck -T -t vfat /dev/vg0/web -a"),
        ("ext2", "", "/sbin/fsck -T -t ext2 /dev/vg0/web -a"),
        ("ext4", "auto", None),
        ("ext2", "never", None),
    ],
)
def test_what_is_checked_and_how(fstype: str, fsck: str, words: str | None) -> None:
    given = {**DATA.parameters, "fstype": fstype, **({"fsck": fsck} if fsck else {})}
    made = plan("web", replace(DATA, parameters=given))

    assert (preparation.unit_of(made) is not None) == (words is not None)
    if words is not None:
        found = {name: value for name, _, value in preparation.definition(made)}
        assert found["ExecStart"] == [["/sbin/fsck", words.split(), False]]
        assert found["Slice"] == "rgmgr-web.slice"


def test_the_check_is_over_before_the_mount_begins(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.script("StartTransientUnit", done)
        s.start(CHECKED)
        assert isinstance(await s.event(), ResourceStarted)
        assert made_units(s.pid1) == [PREPARE, DATA_UNIT]

    stage(tmp_path, play)


def test_what_is_mounted_already_is_not_checked(tmp_path: Path) -> None:
    """Repairing a mounted file system destroys it."""

    async def play(s: Stage) -> None:
        s.pid1.units[DATA_UNIT] = Unit(active="active", sub="mounted")
        s.pid1.on_started(DATA_UNIT)
        s.start(CHECKED)
        assert isinstance(await s.event(), ResourceStarted)
        assert PREPARE not in made_units(s.pid1)

    stage(tmp_path, play)


def test_a_check_that_fails_says_what_and_nothing_is_mounted(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.script("StartTransientUnit", broken)
        s.start(CHECKED)
        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert event.reason.startswith("/dev/vg0/web is not mounted: it has errors that need a")
        assert made_units(s.pid1) == [PREPARE]
        assert PREPARE not in s.pid1.units

    stage(tmp_path, play)


def test_a_check_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """One left failed by an earlier try, then one of which the answer is lost."""

    async def play(s: Stage) -> None:
        s.pid1.units[PREPARE] = Unit(active="failed", sub="failed")
        s.pid1.script("StartTransientUnit", no_reply, done)
        s.start(CHECKED)
        assert isinstance(await s.event(), ResourceStarted)
        assert made_units(s.pid1) == [PREPARE, PREPARE, DATA_UNIT]

    stage(tmp_path, play)


def test_a_stop_ends_a_check_under_way_first(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.pid1.units[PREPARE] = Unit(active="activating", sub="start")
        s.stop(CHECKED)
        assert isinstance(await s.event(), ResourceStopped)
        assert s.pid1.called("StopUnit")[0][0] == PREPARE

    stage(tmp_path, play)


def mounted(device: str, mountpoint: str = "/srv/web") -> Mount:
    return Mount(mountpoint=mountpoint, device=device, fstype="ext4", device_number="0:99")


def test_a_file_system_that_is_mounted_elsewhere_too_is_known() -> None:
    facts = Facts()
    facts.mounted = [mounted("/dev/vg0/web"), mounted("/dev/vg0/web", "/mnt"), mounted("tmpfs")]

    assert elsewhere(DATA, facts) == ["/mnt"]
    assert (
        elsewhere(resource("t", "fs", device="tmpfs", mountpoint="/t", fstype="tmpfs"), facts) == []
    )


@pytest.mark.parametrize(
    ("device", "link"),
    [
        ("LABEL=web data", "/dev/disk/by-label/web\\x20data"),
        ("PARTLABEL=a/b", "/dev/disk/by-partlabel/a\\x2fb"),
        ('UUID="0a-1"', "/dev/disk/by-uuid/0a-1"),
        ("PARTUUID=77", "/dev/disk/by-partuuid/77"),
        ("LABEL=süß", "/dev/disk/by-label/süß"),
    ],
)
def test_a_device_is_known_by_what_it_holds(device: str, link: str) -> None:
    """The links are those of udev, which writes what is unsafe in a path as hex."""
    assert same_device(mounted(link), device)
    assert not same_device(mounted(link + "x"), device)
