# SPDX-License-Identifier: Apache-2.0
"""A service with an address, a file system, a database and a web server, on real nodes.

The database is SQLite behind a small server (`database_server.py`): rows that it has confirmed are
there afterwards, whatever died when.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rgmgr.lab.defaultconfig import render
from rgmgr.lab.lab import Lab
from rgmgr.lab.layout import DISK_FOR_UNITS, SERVICE_ADDRESS
from tests.lab.observed import NODES, Observed
from tests.lab.overlap import overlaps

SERVER = "/opt/rglab/database_server.py"
PORT = 5000
ROWS = "/srv/web/rows.db"
SERVICE = f"""\
[[service]]
name = "web"
domain = "prefer-node1"

  [[service.resource]]
  type = "ip"
  name = "vip"
  address = "{SERVICE_ADDRESS}/24"

  [[service.resource]]
  type = "fs"
  name = "data"
  device = "{DISK_FOR_UNITS}"
  mountpoint = "/srv/web"
  fstype = "ext4"

    [[service.resource.resource]]
    type = "exec"
    name = "database"
    command = "/usr/bin/python3 {SERVER} {ROWS} {PORT}"
    ready = "notify"
    check = {{ http = "http://127.0.0.1:{PORT}/", interval = "2s" }}

      [[service.resource.resource.resource]]
      type = "systemd"
      name = "nginx"
      unit = "nginx.service"
"""
UNIT_BY_NAME = {
    "vip": "rgmgr-web-vip.service",
    "data": "srv-web.mount",
    "database": "rgmgr-web-database.service",
    "nginx": "nginx.service",
}
LOSS_BY_NAME = {
    "vip": f"ip addr del {SERVICE_ADDRESS}/24 dev eth0",
    "data": "umount --lazy /srv/web",
    "database": "systemctl kill --signal=KILL rgmgr-web-database.service",
    "nginx": "systemctl kill --signal=KILL nginx.service",
}
STOP_ORDER = ("vip", "nginx", "database", "data")  # an address has stop level 2, fs has 8


class Tree(Observed):
    """The service `web` as a tree, and what its clients see."""

    def say(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Speak with the database as a client of the floating address."""
        url = f"http://{SERVICE_ADDRESS}:{PORT}/"
        return self.lab.client(["curl", "-s", "-f", "--max-time", "1", *arguments, url])

    def rows(self) -> list[str] | None:
        """Return the rows; None when nobody answers."""
        said = self.say()
        return said.stdout.split() if said.returncode == 0 else None

    def add(self, row: str) -> None:
        """Add a row, for good."""
        url = f"http://{SERVICE_ADDRESS}:{PORT}/{row}"
        said = self.lab.client(["curl", "-s", "-f", "--max-time", "5", "-X", "POST", url])
        assert said.returncode == 0, said.stderr

    def owner(self) -> str:
        """Return where it runs."""
        owner = self.service().owner
        assert owner
        return owner

    def await_whole(self, rows: list[str]) -> None:
        """Wait until it is up as a whole, somewhere, with these rows."""

        def is_whole() -> bool:
            status = self.status()
            web = status.service_named("web") if self.is_calm(status) and status else None
            is_up = web is not None and web.state == "started" and self.answering() == web.owner
            return is_up and self.rows() == rows

        self.await_that(is_whole, f"the whole tree with the rows {rows}")

    def lives(self, node: str) -> dict[str, str]:
        """Return what tells one life of each unit from the next."""
        told = self.do(node, "systemctl", "show", "-P", "InvocationID", *UNIT_BY_NAME.values())
        shown = dict(zip(UNIT_BY_NAME, told.split(), strict=False))
        assert len(shown) == len(UNIT_BY_NAME), shown
        return shown


@pytest.fixture(name="tree", scope="module")
def fixture_tree(booted: Lab) -> Iterator[Tree]:
    """Give the lab another service, with an empty database on the shared disk."""
    configuration = render(booted.nodes).partition("[[service]]")[0] + SERVICE
    try:
        booted.up(3, configuration)
        made = Tree(booted)
        _install(made)
        since_us = made.now_us()
        yield made
        for unit in UNIT_BY_NAME.values():
            assert overlaps(made, since_us, unit) == [], f"{unit} ran twice"
    finally:
        booted.up(3)


def _install(tree: Tree) -> None:
    text = (Path(__file__).parent / "database_server.py").read_text(encoding="utf-8")
    for node in NODES:
        tree.do(node, "mkdir", "-p", str(Path(SERVER).parent))
        tree.do(node, "sh", "-c", f"cat > {SERVER} <<'END'\n{text}END\n")
    tree.do("node1", "rgmgr", "disable", "web")
    tree.do("node1", "mount", "-t", "ext4", DISK_FOR_UNITS, "/mnt")
    tree.do("node1", "python3", SERVER, "/mnt/rows.db", "make")
    tree.do("node1", "umount", "/mnt")
    tree.do("node1", "rgmgr", "enable", "web", "-m", "node1")
    tree.await_whole([])


@pytest.fixture(name="rows")
def fixture_rows(tree: Tree) -> list[str]:
    """Give what the database holds, with one more row."""
    tree.await_that(lambda: tree.rows() is not None, "the database")
    tree.add(f"row{len(tree.rows() or [])}")
    return tree.rows() or []


def once(condition: str, deed: str) -> str:
    """Return the command that waits for a condition, and does something at once."""
    return f"for n in $(seq 2000); do if {condition}; then {deed}; exit; fi; done; exit 3"


@pytest.mark.parametrize("lost", LOSS_BY_NAME)
def test_a_lost_resource_comes_back_where_it_was_and_what_starts_before_it_stays(
    tree: Tree, rows: list[str], lost: str
) -> None:
    owner = tree.owner()
    before = tree.lives(owner)

    tree.do(owner, "sh", "-c", LOSS_BY_NAME[lost])
    tree.await_that(lambda: _has_new_life(tree, owner, lost, before), f"{lost} to come back")
    tree.await_whole(rows)

    assert tree.owner() == owner
    kept = STOP_ORDER[STOP_ORDER.index(lost) + 1 :]
    now = tree.lives(owner)
    assert {name: now[name] for name in kept} == {name: before[name] for name in kept}


def _has_new_life(tree: Tree, node: str, name: str, before: dict[str, str]) -> bool:
    with contextlib.suppress(AssertionError):
        return tree.lives(node)[name] != before[name]
    return False


@pytest.mark.parametrize("lost", LOSS_BY_NAME)
def test_a_resource_that_is_lost_amid_a_start_costs_no_row(
    tree: Tree, rows: list[str], lost: str
) -> None:
    owner = tree.owner()
    life = tree.lives(owner)[lost]
    unit = UNIT_BY_NAME[lost]
    shown = f"systemctl show -P InvocationID -P ActiveState {unit} | tr '\\n' ' '"
    is_anew = (
        f'case "$({shown})" in {life}*|*inactive*|*ing*) false;; *active*) true;; *) false; esac'
    )

    tree.do(owner, "rgmgr", "restart", "web", "--no-wait")
    tree.do(owner, "sh", "-c", once(is_anew, LOSS_BY_NAME[lost]))

    tree.await_whole(rows)


@pytest.mark.parametrize(
    ("gone", "lost"),
    [(gone, lost) for at, gone in enumerate(STOP_ORDER) for lost in STOP_ORDER[at + 1 :]],
)
def test_a_resource_that_is_lost_amid_a_stop_costs_no_row(
    tree: Tree, rows: list[str], gone: str, lost: str
) -> None:
    """At every moment: as soon as one resource is down, each of those that follow."""
    owner = tree.owner()

    tree.do(owner, "rgmgr", "relocate", "web", "--no-wait")
    is_down = f"! systemctl -q is-active {UNIT_BY_NAME[gone]}"
    tree.do(owner, "sh", "-c", once(is_down, LOSS_BY_NAME[lost] + " || true"))

    tree.await_whole(rows)
    assert tree.owner() != owner


def test_no_unit_is_touched_when_the_daemon_is_restarted_killed_or_systemd_reloads(
    tree: Tree, rows: list[str]
) -> None:
    """An upgrade of the package is a reload of systemd and a restart of the daemon."""
    owner = tree.owner()
    before = tree.lives(owner)

    tree.do(owner, "systemctl", "daemon-reload")
    tree.do(owner, "systemctl", "restart", "rgmgrd.service")
    tree.await_whole(rows)
    tree.do(owner, "systemctl", "kill", "--signal=KILL", "rgmgrd.service")
    tree.await_that(lambda: not tree.active_on(owner, "rgmgrd.service"), "the daemon to die")
    tree.await_whole(rows)

    assert tree.lives(owner) == before


def test_a_shutdown_moves_the_tree_in_order_before_the_node_goes(
    tree: Tree, rows: list[str]
) -> None:
    owner = tree.owner()
    since_us = tree.now_us()

    tree.lab.run(owner, ["systemctl", "poweroff"])
    tree.await_that(lambda: not tree.lab.is_on(owner), "the node to go down")
    tree.await_that(lambda: tree.rows() == rows, "the database elsewhere")
    tree.lab.boot(owner)
    tree.await_whole(rows)

    ended = {name: _ended_us(tree, owner, unit, since_us) for name, unit in UNIT_BY_NAME.items()}
    assert sorted(ended, key=ended.__getitem__) == list(STOP_ORDER)
    assert max(ended.values()) < _ended_us(tree, owner, "rgmgrd.service", since_us)
    taken_over = [n for n in NODES if tree.when(n, "member.left_cleanly", since_us, owner)]
    assert taken_over
    assert tree.when(tree.owner(), "node.unclean", since_us) is None


def _ended_us(tree: Tree, node: str, unit: str, since_us: int) -> int:
    words = ("Stopped ", "Unmounted ")
    lines = tree.lines(node, since_us, unit)
    return next(line.at_us for line in lines if line.text.startswith(words))


def test_a_node_that_dies_amid_a_start_costs_no_row(tree: Tree, rows: list[str]) -> None:
    owner = tree.owner()
    target = next(node for node in NODES if node != owner)
    shown = f"systemctl show -P ActiveState {UNIT_BY_NAME['database']}"

    tree.do(owner, "rgmgr", "relocate", "web", "-m", target, "--no-wait")
    tree.do(target, "sh", "-c", once(f"{shown} | grep -qx -e active -e activating", "true"))
    tree.lab.kill(target)

    tree.await_whole(rows)
    assert tree.owner() != target


def test_the_data_follows_its_service_from_a_dead_node_and_nothing_is_left_of_a_stop(
    tree: Tree, rows: list[str]
) -> None:
    owner = tree.owner()

    tree.lab.kill(owner)
    tree.await_whole(rows)
    assert tree.owner() != owner
    tree.do(owner, "rgmgr", "disable", "web")

    for node in NODES:
        assert "/srv/web" not in tree.do(node, "cat", "/proc/mounts")
        assert not any(tree.active_on(node, unit) for unit in UNIT_BY_NAME.values())
    tree.do(owner, "rgmgr", "enable", "web")
