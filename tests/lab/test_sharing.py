# SPDX-License-Identifier: Apache-2.0
"""Two services on one file system of a shared disk, on real nodes: started once, stopped last."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rgmgr.lab.defaultconfig import render
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import DISK_FOR_UNITS
from tests.lab.observed import NODES, Observed
from tests.lab.overlap import overlaps

MOUNT = "srv-shared.mount"
SERVICES = f"""\
[[resource]]
type = "fs"
name = "data"
device = "{DISK_FOR_UNITS}"
mountpoint = "/srv/shared"
fstype = "ext4"
max_uses = 2

[[service]]
name = "db"
domain = "prefer-node1"

  [[service.resource]]
  ref = "data"

    [[service.resource.resource]]
    type = "exec"
    name = "writer"
    command = "/bin/sh -c 'date >> /srv/shared/log && exec sleep infinity'"

[[service]]
name = "web"
with = ["db"]
depend = ["db"]

  [[service.resource]]
  ref = "data"

    [[service.resource.resource]]
    type = "exec"
    name = "reader"
    command = "/usr/bin/tail -f /srv/shared/log"
"""


class Pair(Observed):
    """The services `db` and `web`."""

    def owners(self) -> tuple[str | None, str | None] | None:
        """Return where both are up; None while anything is under way."""
        status = self.status()
        if status is None or not self.is_calm(status):
            return None
        found = [status.service_named(name) for name in ("db", "web")]
        if any(each is None or each.state != "started" for each in found):
            return None
        return found[0].owner, found[1].owner  # type: ignore[union-attr]  # neither is None

    def await_both_on(self, node: str) -> None:
        """Wait until both are up there."""
        self.await_that(lambda: self.owners() == (node, node), f"both on {node}")

    def mounts(self) -> int:
        """Return on how many nodes the file system is mounted."""
        shown = [self.do(node, "sh", "-c", "findmnt -n /srv/shared || true") for node in NODES]
        return sum(bool(each.strip()) for each in shown)

    def life(self, node: str) -> str:
        """Return what tells one life of the mount from the next."""
        return self.do(node, "systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", MOUNT)


@pytest.fixture(name="pair", scope="module")
def fixture_pair(booted: Lab) -> Iterator[Pair]:
    """Give the lab two services that share a file system."""
    configuration = render(booted.nodes).partition("[[service]]")[0] + SERVICES
    try:
        booted.up(3, configuration)
        made = Pair(booted)
        since_us = made.now_us()
        made.await_both_on("node1")
        yield made
        assert overlaps(made, since_us, MOUNT) == [], "the file system was on two nodes"
    finally:
        booted.up(3)


@pytest.fixture(autouse=True)
def at_home(pair: Pair) -> None:
    """Each test begins with both on node1, whatever the one before it left."""
    for node in NODES:
        if not pair.lab.is_on(node):
            pair.lab.boot(node)
    pair.await_that(lambda: pair.is_calm(pair.status("node1")), "all nodes online")
    for name in ("db", "web"):
        view = pair.status("node1")
        service = view.service_named(name) if view else None
        if service and service.state == "disabled":
            pair.do("node1", "rgmgr", "enable", name)
    pair.await_that(lambda: pair.owners() is not None, "both to be up")
    if pair.owners() != ("node1", "node1"):
        pair.do("node1", "rgmgr", "relocate", "db", "-m", "node1")
    pair.await_both_on("node1")


def test_the_tree_and_systemd_tell_who_shares_it(pair: Pair) -> None:
    tree = pair.do("node1", "rgmgr", "tree", "web")
    assert "fs data  (level 2 up, 8 down)  (shared with db)" in tree
    assert pair.do("node1", "ls", f"/run/rgmgr/uses/{MOUNT}").split() == ["db", "web"]
    assert pair.do("node1", "systemctl", "show", "-P", "Slice", MOUNT).strip() == "rgmgr.slice"
    assert pair.mounts() == 1


def test_the_first_to_stop_lets_go_and_the_last_takes_it_down(pair: Pair) -> None:
    life = pair.life("node1")

    pair.do("node1", "rgmgr", "disable", "web")
    assert pair.life("node1") == life
    assert pair.do("node1", "ls", f"/run/rgmgr/uses/{MOUNT}").split() == ["db"]
    pair.do("node1", "rgmgr", "disable", "db")
    assert pair.mounts() == 0

    pair.do("node1", "rgmgr", "enable", "db", "-m", "node1")
    pair.do("node1", "rgmgr", "enable", "web", "-m", "node1")
    pair.await_both_on("node1")
    assert pair.mounts() == 1


def test_a_daemon_that_comes_back_touches_nothing(pair: Pair) -> None:
    pair.do("node1", "rgmgr", "disable", "web")
    life = pair.life("node1")

    pair.do("node1", "systemctl", "kill", "--signal=KILL", "rgmgrd.service")
    pair.await_that(lambda: pair.is_calm(pair.status()), "the daemon")

    assert pair.life("node1") == life
    pair.do("node1", "rgmgr", "enable", "web", "-m", "node1")
    pair.await_both_on("node1")
    assert pair.life("node1") == life


def test_both_move_as_one(pair: Pair) -> None:
    pair.do("node1", "rgmgr", "relocate", "db", "-m", "node2")

    pair.await_both_on("node2")

    assert pair.mounts() == 1


def test_what_is_shared_is_lost_and_both_come_back(pair: Pair) -> None:
    owners = pair.owners()
    assert owners is not None
    owner = owners[0] or ""
    life = pair.life(owner)

    pair.do(owner, "umount", "--lazy", "/srv/shared")
    pair.await_that(lambda: pair.owners() is not None and pair.life(owner) != life, "a new mount")

    pair.await_both_on(owner)


def test_both_survive_their_node(pair: Pair) -> None:
    owners = pair.owners()
    assert owners is not None
    pair.lab.kill(owners[0] or "")

    pair.await_that(lambda: pair.owners() not in (None, owners), "another node")

    found = pair.owners()
    assert found is not None
    assert found[0] == found[1]
