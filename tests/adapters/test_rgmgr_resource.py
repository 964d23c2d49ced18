# SPDX-License-Identifier: Apache-2.0
"""The helper of volumes, exports and virtual machines, with stand-ins for what needs a kernel."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.stand_ins import StandIns, own_name


@pytest.fixture(name="there")
def fixture_there(tmp_path: Path) -> StandIns:
    return StandIns(tmp_path)


def group_of(there: StandIns) -> dict[str, Any]:
    found = there.read()["group"]
    assert isinstance(found, dict)
    return found


def calls(there: StandIns) -> list[list[str]]:
    """Return what was run, each with its words."""
    found: Any = there.read()["calls"]
    return list(found)


EACH = [
    ("lvm", {"vg_name": "vg-0"}),
    ("lvm", {"vg_name": "vg-0", "lv_name": "log-a"}),
    ("lvm", {"vg_name": "vg-0", "protection": "tag"}),
    ("nfsclient", {"target": "10.0.0.0/24", "path": "/srv/a b"}),
    ("nfsclient", {"target": "fd00::1", "path": "/srv/web", "options": "rw", "fsid": "7"}),
    ("vm", {"machine": "web"}),
    ("vm", {"machine": "web", "xmlfile": "/etc/web.xml"}),
]


@pytest.mark.parametrize(("kind", "parameters"), EACH)
def test_it_comes_and_goes_however_often_it_is_told(
    there: StandIns, kind: str, parameters: dict[str, str]
) -> None:
    there.write(group={**group_of(there), "owner": "" if "protection" in parameters else "node2"})

    for _ in range(2):
        done = there.run("start", kind, **parameters)
        assert done.returncode == 0, done.stderr
        assert there.run("status", kind, **parameters).returncode == 0
    for _ in range(2):
        done = there.run("stop", kind, **parameters)
        assert done.returncode == 0, done.stderr
        assert there.run("status", kind, **parameters).returncode == 7


def test_a_group_is_taken_over_from_its_last_owner(there: StandIns) -> None:
    assert there.run("start", "lvm", vg_name="vg-0").returncode == 0

    group = group_of(there)
    assert (group["owner"], group["active"]) == ("node1", ["log-a", "web"])


def test_one_volume_alone_is_activated_and_let_go(there: StandIns) -> None:
    there.run("start", "lvm", vg_name="vg-0", lv_name="log-a")
    there.write(group={**group_of(there), "active": ["log-a", "web"]})

    assert there.run("stop", "lvm", vg_name="vg-0", lv_name="log-a").returncode == 0

    assert group_of(there)["active"] == ["web"], "somebody else's"


def test_a_tag_says_whose_a_group_is_and_is_let_go_of(there: StandIns) -> None:
    there.write(group={**group_of(there), "owner": "", "tags": ["node2"]})

    there.run("start", "lvm", vg_name="vg-0", protection="tag")
    started = group_of(there)["tags"]
    there.run("stop", "lvm", vg_name="vg-0", protection="tag")

    assert (started, group_of(there)["tags"]) == ([own_name()], [])


def test_a_node_without_system_id_is_not_configured_for_it(there: StandIns) -> None:
    there.write(system_id="")

    done = there.run("start", "lvm", vg_name="vg-0")

    assert done.returncode == 6
    assert 'set system_id_source = "uname" in lvm.conf' in done.stderr
    assert group_of(there)["owner"] == "node2"


def test_volumes_in_use_are_not_said_to_be_stopped(there: StandIns) -> None:
    there.run("start", "lvm", vg_name="vg-0")
    there.write(group={**group_of(there), "is_busy": True})

    done = there.run("stop", "lvm", vg_name="vg-0")

    assert done.returncode == 1
    assert "Logical volume in use" in done.stderr


def test_an_activation_that_activates_nothing_is_not_believed(there: StandIns) -> None:
    there.write(group={**group_of(there), "is_silent": True})

    done = there.run("start", "lvm", vg_name="vg-0")

    assert done.returncode == 1
    assert "vg-0 is not active, although lvm says so" in done.stderr


def test_what_is_not_active_is_stopped_although_its_disks_are_lost(there: StandIns) -> None:
    assert there.run("stop", "lvm", vg_name="gone").returncode == 0
    there.write(has_no_mapper=True)
    assert there.run("stop", "lvm", vg_name="vg-0").returncode == 0
    assert there.run("start", "lvm", vg_name="gone").returncode == 1


def test_an_export_that_is_refused_leaves_nothing_once_it_is_stopped(there: StandIns) -> None:
    """The real exportfs keeps the line of an export that it refused."""
    given = {"target": "*", "path": "/srv/web", "options": "bogus"}

    done = there.run("start", "nfsclient", **given)
    assert done.returncode == 1
    assert 'unknown keyword "bogus"' in done.stderr
    assert there.run("stop", "nfsclient", **given).returncode == 0
    assert there.read()["exports"] == []


def test_the_clients_of_others_keep_their_export(there: StandIns) -> None:
    there.write(exports=[["10.0.0.8", "/srv/web"], ["10.0.0.9", "/srv/other"]])

    there.run("start", "nfsclient", target="10.0.0.9", path="/srv/web")
    there.run("stop", "nfsclient", target="10.0.0.9", path="/srv/web")

    assert there.read()["exports"] == [["10.0.0.8", "/srv/web"], ["10.0.0.9", "/srv/other"]]


def test_a_directory_is_not_exportable_without_a_server(there: StandIns, tmp_path: Path) -> None:
    missing = there.run("start", "nfsexport", path=str(tmp_path / "none"))
    serverless = there.run("start", "nfsexport", path=str(tmp_path))

    assert "is no directory on this node" in missing.stderr
    assert "no NFS server runs here" in serverless.stderr
    assert there.run("status", "nfsexport", path=str(tmp_path)).returncode == 7
    assert there.run("stop", "nfsexport", path=str(tmp_path)).returncode == 0


def test_a_machine_that_does_not_shut_down_is_cut_off_in_time(there: StandIns) -> None:
    there.run("start", "vm", machine="web")
    there.write(is_deaf=True)

    done = there.run("stop", "vm", machine="web")

    assert done.returncode == 0
    assert "web does not shut down in time: it is cut off" in done.stderr
    assert there.read()["machines"] == {"web": "shut off"}


def test_a_machine_of_which_libvirt_says_nothing_is_not_said_to_be_stopped(there: StandIns) -> None:
    there.write(is_libvirt_dead=True)

    done = there.run("stop", "vm", machine="web")

    assert done.returncode == 1
    assert "libvirt does not say how web is: error: failed to connect" in done.stderr


def test_a_machine_that_libvirt_does_not_know_is_stopped_and_does_not_start(
    there: StandIns,
) -> None:
    assert there.run("stop", "vm", machine="none").returncode == 0
    done = there.run("start", "vm", machine="none")
    assert done.returncode == 1
    assert "failed to get domain" in done.stderr


def test_a_machine_is_sent_to_the_libvirt_of_the_other_node(there: StandIns) -> None:
    there.run("start", "vm", machine="web")

    done = there.run("migrate", "vm", "node2", machine="web")

    assert done.returncode == 0, done.stderr
    virsh = ["virsh", "--quiet", "--connect", "qemu:///system"]
    assert [*virsh, "migrate", "--live", "web", "qemu+ssh://node2/system"] in calls(there)
    assert there.run("status", "vm", machine="web").returncode == 7


def test_how_and_where_to_is_configured(there: StandIns) -> None:
    there.run("start", "vm", machine="web")

    there.run(
        "migrate", "vm", "node2",
        machine="web", migrate="pause", migrate_options="--p2p --tunnelled",
        migration_uri="qemu+tls://%s/system", migration_mapping="node1:one, node2:two",
    )  # fmt: skip

    words = next(words for words in calls(there) if "migrate" in words)
    assert words[4:] == ["migrate", "--p2p", "--tunnelled", "web", "qemu+tls://two/system"]


def test_a_machine_that_is_not_here_has_gone_already(there: StandIns) -> None:
    assert there.run("migrate", "vm", "node2", machine="web").returncode == 0
    assert not [words for words in calls(there) if "migrate" in words]


@pytest.mark.parametrize(("after", "status"), [("running", 8), ("paused", 1), ("shut off", 0)])
def test_what_libvirt_has_afterwards_counts_and_not_what_virsh_returned(
    there: StandIns, after: str, status: int
) -> None:
    there.run("start", "vm", machine="web")
    there.write(after=after, complaint="error: unable to connect to server")

    done = there.run("migrate", "vm", "node2", machine="web")

    assert done.returncode == status, done.stderr
    assert ("unable to connect to server" in done.stderr) is (status != 0)


def test_where_libvirt_says_nothing_nobody_can_tell(there: StandIns) -> None:
    there.write(is_libvirt_dead=True)

    assert there.run("migrate", "vm", "node2", machine="web").returncode == 1


def test_one_that_is_on_its_way_already_is_waited_for(there: StandIns) -> None:
    there.run("start", "vm", machine="web")
    there.write(looks=2)

    done = there.run("migrate", "vm", "-", machine="web")

    assert done.returncode == 8
    assert "was not sent: its target is gone" in done.stderr
    assert not [words for words in calls(there) if "migrate" in words]
    assert there.read()["looks"] == -1


@pytest.mark.parametrize(("left_ms", "status"), [(20_000, 0), (-1, 8)])
def test_an_order_that_has_become_old_only_looks(
    there: StandIns, left_ms: int, status: int
) -> None:
    there.run("start", "vm", machine="web")
    now_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1_000)

    done = there.run("migrate", "vm", "node2", machine="web", begin_by_ms=now_ms + left_ms)

    assert (done.returncode, "the order came too late" in done.stderr) == (status, status == 8)
    assert bool([words for words in calls(there) if "migrate" in words]) is (status == 0)


def test_a_target_that_does_not_answer_is_not_waited_for(there: StandIns) -> None:
    """Else the first to answer could be another boot of it, where nobody expects the machine."""
    there.run("start", "vm", machine="web")
    there.write(takes_s=60)

    done = there.run("migrate", "vm", "node2", machine="web")

    assert (done.returncode, "has not reached node2 within 5 s" in done.stderr) == (8, True)


def test_one_that_is_on_its_way_may_take_longer(there: StandIns) -> None:
    there.run("start", "vm", machine="web")
    there.write(takes_s=7, looks_after=2)

    done = there.run("migrate", "vm", "node2", machine="web")

    assert done.returncode == 0, done.stderr


def test_one_that_goes_on_although_virsh_gave_up_is_not_said_to_stay(there: StandIns) -> None:
    there.run("start", "vm", machine="web")
    there.write(after="running", complaint="error: operation aborted", looks_after=1)

    done = there.run("migrate", "vm", "node2", machine="web")

    assert (done.returncode, "is on its way still" in done.stderr) == (1, True)


def test_one_that_is_on_its_way_here_is_waited_for_and_not_started(there: StandIns) -> None:
    there.write(machines={"web": "paused"}, is_coming=True)

    assert there.run("start", "vm", machine="web").returncode == 0
    assert not [words for words in calls(there) if words[4] == "start"]


def test_no_other_type_is_migrated(there: StandIns) -> None:
    done = there.run("migrate", "lvm", "node2", vg_name="vg-0")

    assert (done.returncode, "cannot be migrated" in done.stderr) == (2, True)


def test_a_program_that_is_missing_is_told_apart(there: StandIns) -> None:
    there.remove("virsh")

    done = there.run("start", "vm", machine="web")

    assert (done.returncode, "virsh is not installed" in done.stderr) == (5, True)


@pytest.mark.parametrize(
    ("kind", "verb", "words"),
    [
        ("lvm", "start", "RGMGR_PARAM_VG_NAME is missing"),
        ("disk", "start", "RGMGR_TYPE is 'disk'; expected one of lvm, nfsexport, nfsclient, vm"),
        ("vm", "dance", "usage: rgmgr-resource start|stop|status|migrate NODE"),
        ("vm", "migrate", "usage: rgmgr-resource start|stop|status|migrate NODE"),
    ],
)
def test_what_it_is_not_made_for_is_refused(
    there: StandIns, kind: str, verb: str, words: str
) -> None:
    done = there.run(verb, kind)

    assert done.returncode == 2
    assert words in done.stderr
