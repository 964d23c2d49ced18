# SPDX-License-Identifier: Apache-2.0
"""Whether a mount is ours, told from the mount table alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from rgmgr.adapters.systemd import mounts
from rgmgr.adapters.systemd.node import Mount, parse_mountinfo
from rgmgr.adapters.systemd.resources import definition, plan
from rgmgr.core.events import ResourceStartFailed
from tests.adapters.fake_systemd import Facts
from tests.adapters.systemd_stage import DATA, Stage, resource, stage

TABLE = """\
20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
30 20 8:2 / /srv rw shared:2 - xfs /dev/sdb1 rw
31 20 8:2 /web/data /var/www rw shared:2 - xfs /dev/sdb1 rw
32 20 8:2 /web /opt/web rw shared:2 - xfs /dev/sdb1 rw
33 20 0:50 / /mnt/nas rw shared:3 - nfs4 nas:/export/web rw
34 20 0:51 / /mnt/share rw shared:4 - cifs //nas/share rw
"""


def test_a_mount_says_whether_it_can_be_written_to() -> None:
    """Its own option says so, or that of the whole file system."""
    rows = (
        "40 20 8:3 / /a rw shared:2 - ext4 /dev/sdc1 rw,errors=remount-ro\n"
        "41 20 8:3 / /b ro,relatime shared:2 - ext4 /dev/sdc1 rw\n"
        "42 20 8:3 / /c rw shared:2 - ext4 /dev/sdc1 ro,errors=remount-ro\n"
    )

    assert [m.is_read_only for m in parse_mountinfo(rows)] == [False, True, True]


def _facts() -> Facts:
    facts = Facts()
    facts.mounted = parse_mountinfo(TABLE)
    return facts


@pytest.mark.parametrize(
    ("source", "mountpoint", "is_there"),
    [
        ("/srv/web/data", "/var/www", True),
        ("/srv/web", "/opt/web", True),
        ("/opt/web/data", "/var/www", True),  # a bind of a bind is of the same directory
        ("/srv/web", "/var/www", False),
        ("/web/data", "/var/www", False),  # of another file system
        ("/srv/web", "/nowhere", False),
    ],
)
def test_a_bind_mount_is_known_by_its_directory(
    source: str, mountpoint: str, *, is_there: bool
) -> None:
    spec = resource("b", "bind-mount", source=source, mountpoint=mountpoint)

    assert mounts.is_mounted(spec, _facts()) is is_there


@pytest.mark.parametrize(
    ("device", "mountpoint", "is_there"),
    [
        ("nas:/export/web", "/mnt/nas", True),
        ("nas:/export/web/", "/mnt/nas", True),
        ("//nas/share", "/mnt/share", True),
        ("other:/export/web", "/mnt/nas", False),
    ],
)
def test_a_network_file_system_is_known_by_its_export(
    device: str, mountpoint: str, *, is_there: bool
) -> None:
    spec = resource("n", "netfs", device=device, mountpoint=mountpoint, fstype="nfs4")

    assert mounts.is_mounted(spec, _facts()) is is_there


def test_a_bind_mount_is_defined_as_one() -> None:
    spec = resource("b", "bind-mount", source="/srv/web", mountpoint="/opt/web", options="ro")
    made = plan("web", spec)
    found = {name: value for name, _, value in definition(made, ())}

    assert made.unit == "opt-web.mount"
    assert made.description == "web: /srv/web on /opt/web"
    assert (found["What"], found["Type"], found["Options"]) == ("/srv/web", "none", "bind,ro")


def test_a_command_keeps_its_words() -> None:
    spec = resource("w", "exec", command="/bin/sh -c 'a b' c", ready="notify", user="app")
    found = {name: value for name, _, value in definition(plan("web", spec), ())}

    assert found["ExecStart"] == [["/bin/sh", ["/bin/sh", "-c", "a b", "c"], False]]
    assert (found["Type"], found["User"]) == ("notify", "app")


def test_what_is_mounted_elsewhere_on_the_node_is_not_mounted_again(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        s.facts.mounted.append(
            Mount(mountpoint="/mnt", device="/dev/vg0/web", fstype="xfs", device_number="0:0")
        )

        s.start(DATA)

        event = await s.event()
        assert isinstance(event, ResourceStartFailed)
        assert event.reason == "/dev/vg0/web is mounted on /mnt: unmount it there"
        assert s.pid1.called("StartTransientUnit") == []

    stage(tmp_path, play)
