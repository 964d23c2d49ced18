# SPDX-License-Identifier: Apache-2.0
"""Types whose unit only runs a helper, or podman: how they are defined, and when they are down."""

from __future__ import annotations

from pathlib import Path

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from rgmgr.adapters.systemd.resources import definition, plan
from rgmgr.core.events import ResourceStopFailed, ResourceStopped
from tests.adapters.fake_systemd import FakeSystemd, Unit
from tests.adapters.systemd_stage import Stage, resource, stage

DISKS = resource("disks", "lvm", vg_name="vg0", lv_name="web")
UNIT, AGAIN = "rgmgr-web-disks.service", "rgmgr-web-disks-cleanup.service"
FAILED_STOP = {
    "Type": Variant("s", "oneshot"),
    "ExecStopPost": Variant(
        "a(sasbttttuii)",
        [["/usr/lib/rgmgr/rgmgr-resource", ["stop"], False, 1, 1, 2, 2, 77, 1, 1]],
    ),
}


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        ("lvm", {"vg_name": "vg0"}, "volumes vg0"),
        ("lvm", {"vg_name": "vg0", "lv_name": "web"}, "volumes vg0/web"),
        ("nfsexport", {"path": "/srv/web"}, "/srv/web, to be exported"),
        ("nfsclient", {"path": "/srv", "target": "*"}, "export of /srv to *"),
        ("vm", {"machine": "guest"}, "virtual machine guest"),
    ],
)
def test_a_helper_brings_it_up_and_down(kind: str, parameters: dict[str, str], words: str) -> None:
    made = plan("web", resource("r", kind, **parameters))
    found = {name: value for name, _, value in definition(made, ())}

    assert made.description == f"web: {words}"
    helper = "/usr/lib/rgmgr/rgmgr-resource"
    assert found["ExecStart"] == [[helper, [helper, "start"], False]]
    assert found["ExecStopPost"] == [[helper, [helper, "stop"], False]]
    environment = found["Environment"]
    assert isinstance(environment, list)
    assert {f"RGMGR_TYPE={kind}", "RGMGR_STOP_TIMEOUT_S=1"} < set(environment)


def test_a_container_is_a_unit_as_podman_writes_it() -> None:
    spec = resource(
        "c",
        "podman",
        container="web",
        image="registry.example/web:7",
        options="--publish 80:80 --env 'A=b c'",
        command="serve --all",
    )
    found = {name: value for name, _, value in definition(plan("web", spec), ())}

    ((program, words, _),) = found["ExecStart"]  # type: ignore[misc]  # one command
    assert program == "/usr/bin/podman"
    assert words == [
        *("/usr/bin/podman", "run", "--name=web", "--replace", "--rm", "--detach"),
        *("--cgroups=split", "--sdnotify=conmon", "--publish", "80:80", "--env", "A=b c"),
        *("registry.example/web:7", "serve", "--all"),
    ]
    assert (found["Type"], found["NotifyAccess"], found["Delegate"]) == ("notify", "all", True)
    ((_, removal, is_failure_ignored),) = found["ExecStopPost"]  # type: ignore[misc]
    assert removal[1:] == ["rm", "--force", "--ignore", "web"]
    assert not is_failure_ignored


def test_the_nfs_server_is_the_unit_of_the_node() -> None:
    made = plan("web", resource("nfs", "nfsserver", unit="nfs-server.service"))

    assert (made.unit, made.is_existing_unit) == ("nfs-server.service", True)


def failed_unit(s: Stage) -> None:
    s.pid1.units[UNIT] = Unit(active="failed", sub="failed", of_type=FAILED_STOP)


@pytest.mark.parametrize("result", ["done", "failed"])
def test_a_stop_that_failed_is_tried_once_more_before_it_is_believed(
    tmp_path: Path, result: str
) -> None:
    """An administrator who has freed the volumes says disable, and that has to prove it."""

    async def again(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.reply(call, "o", path)
        pid1.remove_job(number, AGAIN, result)

    async def play(s: Stage) -> None:
        failed_unit(s)
        s.pid1.script("StartTransientUnit", again)
        s.stop(DISKS)
        event = await s.event()
        assert [body[0] for body in s.pid1.called("StartTransientUnit")] == [AGAIN]
        if result == "done":
            assert isinstance(event, ResourceStopped)
            assert UNIT not in s.pid1.units
        else:
            assert isinstance(event, ResourceStopFailed)
            assert "ExecStopPost /usr/lib/rgmgr/rgmgr-resource ended with status 1" in event.reason
            assert UNIT in s.pid1.units, "the next daemon must see it, too"

    stage(tmp_path, play)
