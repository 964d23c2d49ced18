# SPDX-License-Identifier: Apache-2.0
"""rgmgrd meets what it must not take: it says what is wrong and where, and touches nothing."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from rgmgr.adapters import corosync
from rgmgr.adapters.corosync import CorosyncConnected, CorosyncEvent, GroupMember, MessageReceived
from rgmgr.adapters.journal import Journal
from rgmgr.config.load import load
from rgmgr.core.messages import Tick
from rgmgr.runtime.daemon import Daemon, Options
from rgmgr.runtime.endings import explain
from rgmgr.wire.codec import encode
from tests.adapters.daemon_child import (
    ROOT,
    VALID,
    WITHOUT_BINDING,
    Child,
    child,
    corosync_runs_here,
)

NOBODY = 65534
EX_CONFIG = 78
DEADLINE_S = 20.0

needs_quiet_machine = pytest.mark.skipif(
    corosync_runs_here(), reason="corosync runs here: a daemon would join that cluster"
)
needs_another_user = pytest.mark.skipif(
    os.geteuid() != 0 or not all(path.stat().st_mode & 1 for path in (ROOT, *ROOT.parents)),
    reason="needs root, and a tree that other users can read",
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Child]:
    with child(tmp_path) as made:
        yield made


@pytest.fixture
def public() -> Iterator[Path]:
    """Give a directory that every user may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="rgmgr-daemon-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def refused(folder: Path, config: str | bytes) -> list[str]:
    """Return the problems that a daemon with this file ends with; nothing else may happen."""
    with child(folder, config) as daemon:
        daemon.start()
        assert daemon.end() == EX_CONFIG
        status = f"STATUS=ending: {daemon.config} has problems, all of them in the journal"
        daemon.await_told(lambda word: word == status, "status line")
        assert daemon.told == [status], "never ready"
        assert not (folder / "run").exists()
        assert not (folder / "state").exists()
        lines = daemon.lines("config.refused")
        assert len(lines) == len(daemon.journal().splitlines())
        assert all(f"source={daemon.config} " in line for line in lines)
        return [line.split(f"source={daemon.config} ")[1] for line in lines]


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        (
            "[cluster]\nname = \n",
            [r'key="line 2, column \d+" problem="not valid TOML: .*" hint="correct it and .*"'],
        ),
        (
            b"\xff\xfe",
            [r'key="line 1" problem="not UTF-8 text: byte 0xff" hint="save it as UTF-8"'],
        ),
        (
            "",
            [
                r"key=cluster\.name problem=.*",
                r"key=cluster\.version problem=.* hint=.*",
                r'key=node problem="a cluster needs at least one node" hint="add a \[\[node\]\]"',
            ],
        ),
        (
            VALID.replace("version = 1", "versoin = 1"),
            [r'key=cluster.versoin problem="unknown key" hint="did you mean \'version\'\?"', ".*"],
        ),
        (
            VALID.replace('fence = [[{ device = "pdu", plug = 1 }]]', ""),
            [r'key=node.node1.fence problem="a node needs a fence method.*" hint="add one, or .*"'],
        ),
        (
            VALID.replace('name = "web"', 'name = "web"\ndomain = "prefer-node1"'),
            [r'key=service.web.domain problem="unknown failover domain \'prefer-node1\'" hint=.*'],
        ),
        (
            VALID + "[domain.d]\nmembers = { node3 = 1 }\n",
            [r"key=domain.d.members.node3 problem=.*'node3'.*"],
        ),
        (
            VALID.replace('device = "pdu", plug = 2', 'device = "pud", plug = 2'),
            [r"key=node\.node2\.fence\[1\]\[1\]\.device problem=.*'pud'.* hint=.*'pdu'\?\""],
        ),
    ],
    ids=[
        "not TOML",
        "not text",
        "empty",
        "unknown key",
        "no fence device",
        "unknown domain",
        "unknown node",
        "unknown device",
    ],
)
def test_a_wrong_file_ends_it_with_78_and_a_line_for_each_problem(
    tmp_path: Path, config: str | bytes, lines: list[str]
) -> None:
    found = refused(tmp_path, config)

    assert len(found) == len(lines), found
    for line, pattern in zip(found, lines, strict=True):
        assert re.fullmatch(pattern, line), line


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    config = VALID.replace('agent = "fence_pdu"', 'agent = "fence_pdu"\n[[service]]\nname = "web"')
    config = config.replace('type = "systemd"', 'type = "sysetmd"') + "[typo]\n"

    found = refused(tmp_path, config)

    assert len(found) >= 3
    assert any("key=typo " in line for line in found)
    assert any("'sysetmd'" in line for line in found)


def test_of_very_many_problems_only_the_first_are_told(tmp_path: Path) -> None:
    found = refused(tmp_path, VALID + "".join(f"typo{n} = 1\n" for n in range(150)))

    assert len(found) == 101
    assert found[-1] == "problem=\"50 more problems; 'rgmgr config check' tells all\""


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with child(tmp_path) as daemon:
        daemon.config.unlink()
        daemon.start()

        assert daemon.end() == EX_CONFIG
        (line,) = daemon.lines("config.refused")
        assert f'source={daemon.config} key=file problem="there is no such file"' in line


def test_what_deserves_a_second_look_is_told_at_the_start(tmp_path: Path) -> None:
    config = VALID.replace(
        "[fencing.device.pdu]", "[fencing.device.ups]\nagent = 'fence_apc'\n[fencing.device.pdu]"
    )
    with child(tmp_path, config) as daemon:
        (daemon.folder / "run").touch()  # it goes no further than the lock
        daemon.start()

        assert daemon.end() == 1
        (line,) = daemon.lines("config.warned")
        assert "fencing.device.ups: no node uses this fence device" in line


@needs_quiet_machine
def test_without_corosync_and_bus_it_stays_and_says_what_it_waits_for(daemon: Child) -> None:
    daemon.start()
    daemon.await_told(lambda word: word == "READY=1", "READY")
    status = daemon.await_status("waiting for corosync: ")
    daemon.let_turn(15)  # more than one attempt to reach either of them

    assert "corosync does not run" in status
    assert "systemctl status corosync" in status
    (line,) = daemon.lines("corosync.unavailable")
    assert "corosync does not run" in line
    (line,) = daemon.lines("bus.unavailable")
    assert "cannot connect to the system bus" in line
    assert "systemctl status dbus" in line
    assert len(daemon.lines("systemd.unreachable")) == 1

    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0
    assert daemon.lines("daemon.crashed") == []


@needs_quiet_machine
def test_a_reload_with_a_wrong_file_is_refused_and_changes_nothing(daemon: Child) -> None:
    daemon.start()
    daemon.await_status("waiting for corosync: ")
    daemon.config.write_text(VALID + "typo = 1\n", encoding="utf-8")

    daemon.signal(signal.SIGHUP)
    daemon.let_turn(3)

    (line,) = daemon.lines("config.refused")
    assert "key=service.web.resource[1].typo " in line
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0


@needs_quiet_machine
def test_a_second_daemon_is_told_who_is_there_and_leaves_the_first_alone(
    daemon: Child, tmp_path: Path
) -> None:
    daemon.start()
    daemon.await_status("waiting for corosync: ")
    (tmp_path / "second").mkdir()
    with child(tmp_path / "second") as second:
        (second.folder / "run").symlink_to(daemon.folder / "run")
        second.start()

        assert second.end() == 1
        (line,) = second.lines("daemon.failed")
        assert f"another rgmgrd runs on this node with pid {daemon.pid}" in line
        assert str(second.folder / "run" / "rgmgrd.lock") in line

    daemon.let_turn(3)
    daemon.signal(signal.SIGTERM)
    assert daemon.end() == 0


def test_without_its_binding_it_ends_and_says_so(daemon: Child) -> None:
    daemon.start(program=("-c", WITHOUT_BINDING))

    assert daemon.end() == 1
    (line,) = daemon.lines("daemon.failed")
    assert "NOT_BUILT" in line
    daemon.await_status("ending: ")
    assert daemon.lines("daemon.crashed") == []


@needs_another_user
def test_another_user_than_root_is_told_that_root_is_needed(public: Path) -> None:
    with child(public) as daemon:
        daemon.start(user=NOBODY)

        assert daemon.end() == 1
        (line,) = daemon.lines("daemon.failed")
        assert f"{public / 'run' / 'rgmgrd.lock'}: Permission denied" in line
        assert f'hint="rgmgrd must run as root, this is uid {NOBODY}"' in line
        assert not (public / "run").exists()


@needs_another_user
def test_a_file_that_may_not_be_read_is_named(public: Path) -> None:
    with child(public) as daemon:
        daemon.config.chmod(0o600)
        daemon.start(user=NOBODY)

        assert daemon.end() == EX_CONFIG
        (line,) = daemon.lines("config.refused")
        assert 'key=file problem="this user may not read it" hint="try again as root"' in line


class Group:
    """A place in the group where the test says what is heard: by `act`, as soon as we are in."""

    def __init__(
        self,
        act: Callable[[Group], None],
        _name: str,
        emit: Callable[[CorosyncEvent], None],
        *,
        on_garbage: Callable[[GroupMember, str], None],
        told: Callable[[], None],
    ) -> None:
        self._emit = emit
        self._told = told
        self.hear_garbage = on_garbage
        self.has_left = asyncio.Event()
        self._act = act

    def hear(self, event: CorosyncEvent) -> None:
        """Tell one event, as a turn of its own."""
        self._emit(event)
        self._told()

    async def run(self) -> None:
        self._act(self)
        await self.has_left.wait()

    async def leave(self) -> bool:
        self.has_left.set()
        return True

    def send(self, payload: bytes) -> None:
        """Nobody else is there."""


class Stage:
    """A daemon in this process, with a group of the test and no bus."""

    def __init__(self, folder: Path, config: str = VALID) -> None:
        self.folder = folder
        self.config = folder / "cluster.toml"
        self.config.write_text(config, encoding="utf-8")
        self.stream = io.StringIO()

    def play(self, act: Callable[[Group], None]) -> int:
        """Run the daemon until it ends and return its exit status."""
        journal = Journal(self.stream, environment={})
        journal.install()
        return asyncio.run(asyncio.wait_for(self._live(journal, act), DEADLINE_S))

    async def _live(self, journal: Journal, act: Callable[[Group], None]) -> int:
        options = Options(
            config=self.config,
            state_dir=self.folder / "state",
            runtime_dir=self.folder / "run",
            secrets_dir=self.folder / "secrets",
        )
        group: Callable[..., Any] = partial(Group, act)
        daemon = Daemon(options, load(self.config, None), journal, group=group)
        return await daemon.run()

    def lines(self, event: str) -> list[str]:
        return [line for line in self.stream.getvalue().splitlines() if f" {event} " in line]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'no-bus'}")
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    yield Stage(tmp_path)
    structlog.reset_defaults()


def connected(*names: str, has_quorum_provider: bool = True) -> CorosyncConnected:
    return CorosyncConnected(
        local=GroupMember(1, 100),
        cluster_name="alpha",
        node_names=dict(enumerate(names, start=1)),
        token_ms=1000,
        consensus_ms=1200,
        is_two_node=False,
        has_quorum_provider=has_quorum_provider,
    )


def test_a_node_of_corosync_that_is_not_in_the_file_ends_it_with_78(stage: Stage) -> None:
    status = stage.play(lambda group: group.hear(connected("node1", "node2", "node3")))

    assert status == EX_CONFIG
    (line,) = stage.lines("config.refused")
    assert f"source={stage.config} key=node problem=\"corosync's nodelist has 'node3'" in line
    assert 'hint="add a [[node]] for it, or remove it from corosync.conf"' in line
    (line,) = stage.lines("daemon.ending")
    assert f'error   daemon.ending status=78 reason="{stage.config} cannot be used with' in line
    assert not (stage.folder / "state").exists()


def test_a_node_of_the_file_that_corosync_does_not_know_ends_it_with_78(stage: Stage) -> None:
    status = stage.play(lambda group: group.hear(connected("node1", "nodeX")))

    assert status == EX_CONFIG
    unknown, missing = stage.lines("config.refused")
    assert "'node2' is not in corosync's nodelist (node1, nodeX)" in unknown
    assert "'nodeX', which is missing here" in missing


def test_a_corosync_that_cannot_judge_quorum_ends_it_with_78(stage: Stage) -> None:
    """Without a provider corosync says quorate whatever happens, which is worse than no answer."""
    heard = connected("node1", "node2", has_quorum_provider=False)

    assert stage.play(lambda group: group.hear(heard)) == EX_CONFIG
    (line,) = stage.lines("daemon.ending")
    assert "add 'provider: corosync_votequorum' to its quorum section" in line


def test_another_process_of_this_node_in_the_group_ends_it(stage: Stage) -> None:
    assert stage.play(lambda group: group.hear(corosync.DuplicateDaemon(4711))) == 1
    (line,) = stage.lines("daemon.ending")
    assert "process 4711 of this node is in the group already" in line


def test_a_saved_state_that_the_disk_does_not_give_ends_it_without_a_traceback(
    stage: Stage,
) -> None:
    """To go on would forget what administrators said, such as a service that is disabled."""
    (stage.folder / "state" / "state").mkdir(parents=True)

    with pytest.raises(ExceptionGroup) as caught:
        stage.play(lambda group: group.hear(connected("node1", "node2")))

    explain(caught.value, Journal(stage.stream, environment={}))
    assert stage.lines("daemon.crashed") == []
    (line,) = stage.lines("daemon.failed")
    assert f"cannot read the saved state {stage.folder / 'state' / 'state'}: Is a directory" in line


def test_a_node_that_corosync_learns_of_by_a_reload_is_known_at_once(stage: Stage) -> None:
    """Not only when the daemon connects anew: else cluster.toml could not name it before."""

    def act(group: Group) -> None:
        group.hear(connected("node1", "node2"))
        group.hear(corosync.NodeListChanged({1: "node1", 2: "node2", 3: "node3"}))
        loop = asyncio.get_running_loop()
        loop.call_soon(os.kill, os.getpid(), signal.SIGHUP)
        loop.call_later(0.2, os.kill, os.getpid(), signal.SIGTERM)

    stage.play(act)

    (line,) = stage.lines("corosync.reloaded")
    assert "nodes=\"['node1', 'node2', 'node3']\"" in line
    assert "corosync's nodelist has 'node3'" in stage.lines("config.refused")[0]


def test_garbage_in_the_group_is_dropped_and_named(stage: Stage) -> None:
    stranger = GroupMember(2, 4711)
    tick = encode(Tick(incarnation=1, count=1, epoch=1, applied=0))
    garbage = (b"", b"\0" * 64, os.urandom(500), tick[:-1], tick + b"x", bytes(b ^ 1 for b in tick))

    def act(group: Group) -> None:
        group.hear(connected("node1", "node2"))
        for payload in garbage:
            group.hear(MessageReceived(stranger, payload))
        group.hear_garbage(stranger, "no frame of ours")
        group.hear(MessageReceived(stranger, tick))
        asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)

    assert stage.play(act) == 0
    dropped = stage.lines("message.dropped")
    assert len(dropped) == len(garbage) + 1
    assert all(" warning " in line and "node=2 pid=4711 reason=" in line for line in dropped)
    assert stage.lines("daemon.crashed") == []


def test_a_stop_does_not_wait_for_a_bus_that_is_not_there(stage: Stage) -> None:
    def act(group: Group) -> None:
        group.hear(connected("node1", "node2"))
        os.kill(os.getpid(), signal.SIGTERM)

    assert stage.play(act) == 0
    (line,) = stage.lines("shutdown.unexplained")
    assert "systemd" in line
