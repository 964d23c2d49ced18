# SPDX-License-Identifier: Apache-2.0
"""The guard as a process, its device as a pipe with a driver's answers, and the daemon's side."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from rgmgr.adapters.watchdog import Watchdog, WatchdogError, check_device, guard_command
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import FencingSpec

GUARD = Path(__file__).parents[2] / "systemd" / "rgmgr-guard"
ARMED = FencingSpec(watchdog="systemd", watchdog_ms=15_000)
TIMEOUT_S = 10.0


def load() -> ModuleType:
    loader = SourceFileLoader("rgmgr_guard", str(GUARD))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


guard = load()


class Driver:
    """A watchdog driver's answers to ioctl; what is written goes into a pipe."""

    def __init__(self, options: int = guard.CAN_STOP | guard.CAN_SET_TIMEOUT, least: int = 1):
        self.options, self.least, self.asked = options, least, 0
        self.reader, self.writer = os.pipe()

    @property
    def path(self) -> str:
        return f"/proc/self/fd/{self.writer}"

    def ioctl(self, _file: int, number: int, argument: bytes) -> bytes:
        if number == guard.GETSUPPORT:
            return struct.pack("II32s", self.options, 1, b"pretended")
        (self.asked,) = struct.unpack("i", argument)
        return struct.pack("i", max(self.asked, self.least))

    def written(self) -> bytes:
        os.set_blocking(self.reader, False)
        try:
            return os.read(self.reader, 100)
        except BlockingIOError:
            return b""


def test_a_device_is_told_its_timeout_in_whole_seconds_fed_and_stopped() -> None:
    driver = Driver()

    device = guard.Device(driver.path, 8_500, driver.ioctl)
    device.feed()
    device.stop()

    assert driver.asked == 8
    assert device.name == "pretended"
    assert driver.written() == b"\0V"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        (Driver(options=guard.CAN_SET_TIMEOUT), "it cannot be stopped, or has a fixed timeout"),
        (Driver(options=guard.CAN_STOP), "it cannot be stopped, or has a fixed timeout"),
        (Driver(least=60), "it waits for 60 s at least"),
    ],
)
def test_a_device_that_will_not_do_is_stopped_again(driver: Driver, words: str) -> None:
    """Opening it has started it: it would reset a node that nobody guards."""
    with pytest.raises(guard.NoWatchdogError, match=words):
        guard.Device(driver.path, 15_000, driver.ioctl)

    assert driver.written() == b"V"


@pytest.mark.parametrize(
    ("word", "now_s", "fed"),
    [
        (b"feed 10000", 10.0, True),
        (b"feed 10000", 11.5, True),
        (b"feed 10000", 11.6, False),
        (b"feed 10000", 9.9, False),
        (b"feed", 10.0, False),
        (b"feed -5", 10.0, False),
        (b"hello", 10.0, False),
    ],
)
def test_only_a_proof_that_still_counts_feeds(word: bytes, now_s: float, fed: bool) -> None:  # noqa: FBT001
    """What waited in the socket while the guard stood still proves nothing any more."""
    driver = Driver()
    device = guard.Device(driver.path, 15_000, driver.ioctl)

    guard.Guard(device, 15_000, LEASE_MS, lambda: now_s).heed(word)

    assert driver.written() == (b"\0" if fed else b"")


class Manager:
    """What systemd hears of a guard."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(TIMEOUT_S)

    def heard(self) -> list[str]:
        return self.socket.recv(1_000).decode().splitlines()

    def is_silent(self) -> bool:
        self.socket.settimeout(0)
        try:
            self.socket.recv(1_000)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(TIMEOUT_S)
        return False


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path)
    with made.socket:
        yield made


def start(folder: Path, manager: Manager) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    words = [sys.executable, "-IS", GUARD, str(folder), "15000", "1500", "-"]
    return subprocess.Popen(words, env=environment)


def connected(folder: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(TIMEOUT_S)
    client.connect(str(folder / "socket"))
    assert client.recv(100) == b"armed 15000"
    return client


def fresh() -> bytes:
    return b"feed %d" % (time.monotonic() * 1000)


def test_systemd_is_told_of_each_proof_and_of_nothing_else(
    tmp_path: Path, manager: Manager
) -> None:
    process = start(tmp_path, manager)
    assert manager.heard()[:2] == ["READY=1", "WATCHDOG=1"]

    with connected(tmp_path) as client:
        client.send(fresh())
        assert manager.heard() == ["WATCHDOG=1"]
        client.send(b"feed 1")
        client.send(fresh())
        assert manager.heard() == ["WATCHDOG=1"]
        assert manager.is_silent()
        client.send(b"disarm")
        assert manager.heard() == ["STOPPING=1"]

    assert process.wait(TIMEOUT_S) == 0
    assert not (tmp_path / "socket").exists()


def test_it_outlives_the_daemon_and_sigterm_without_being_fed(
    tmp_path: Path, manager: Manager
) -> None:
    """Else a daemon that dies again and again would keep a node alive that proves nothing."""
    process = start(tmp_path, manager)
    manager.heard()

    connected(tmp_path).close()
    process.send_signal(signal.SIGTERM)
    with connected(tmp_path) as client:
        assert manager.is_silent()
        client.send(b"disarm")

        assert process.wait(TIMEOUT_S) == 0


def test_what_is_no_watchdog_is_refused_with_a_sentence(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    name = os.ttyname(terminal)
    words = [sys.executable, "-IS", GUARD, str(tmp_path), "15000", "1500", name]

    ended = subprocess.run(words, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)
    os.close(master)
    os.close(terminal)

    assert ended.returncode == 0, "as a unit that failed it would reset the node"
    assert (
        ended.stderr
        == f"{name}: no watchdog for rgmgr: [Errno 25] Inappropriate ioctl for device\n"
    )


def adapter(folder: Path, events: list[object]) -> Watchdog:
    """Return the daemon's side; a shell starts its guard and waits for the socket."""
    begin = f'"$0" -IS {GUARD} "$@" 2>&- &'
    script = f"{begin} until [ -S {folder}/socket ]; do read -t 0.02 <> <(:); done; true"
    words = ("bash", "-c", script, sys.executable, str(folder), "15000", "1500", "-")
    return Watchdog(events.append, folder=folder, command=lambda _fencing: words)


def test_a_guard_is_armed_taken_over_disarmed_and_armed_again(tmp_path: Path) -> None:
    async def live() -> None:
        events: list[object] = []
        first = adapter(tmp_path, events)
        assert first.begin(ARMED, is_two_node=False) == 15_000
        assert not first.is_armed
        await first.arm()
        assert first.is_armed
        first.close()

        second = adapter(tmp_path, events)
        assert second.begin(FencingSpec(), is_two_node=False) == 15_000, "it guards what runs here"
        assert second.is_armed
        second.feed(round(time.monotonic() * 1000))
        second.disarm()
        assert not second.is_armed
        await second.arm()
        second.disarm()
        second.close()
        assert len(events) == 2

    asyncio.run(live())


def test_a_device_that_the_guard_refuses_is_told_by_the_daemon(tmp_path: Path) -> None:
    async def live() -> None:
        begin = f'"$0" -IS {GUARD} "$@" 2>&- &'
        script = f"{begin} until [ -S {tmp_path}/socket ]; do read -t 0.02 <> <(:); done; true"
        words = ("bash", "-c", script, sys.executable, str(tmp_path), "15000", "1500", "/dev/null")
        watchdog = Watchdog(lambda _: None, folder=tmp_path, command=lambda _fencing: words)
        with pytest.raises(WatchdogError, match="armed: /dev/null: no watchdog for rgmgr"):
            await watchdog.arm()

    asyncio.run(live())


def test_a_guard_that_cannot_be_started_says_why(tmp_path: Path) -> None:
    words = ("bash", "-c", "echo no such device >&2; exit 1")
    watchdog = Watchdog(lambda _event: None, folder=tmp_path, command=lambda _fencing: words)

    with pytest.raises(WatchdogError, match="the watchdog cannot be armed: no such device"):
        asyncio.run(watchdog.arm())


def test_nothing_is_promised_where_both_halves_may_go_on(tmp_path: Path) -> None:
    watchdog = Watchdog(lambda _event: None, folder=tmp_path)

    with pytest.raises(WatchdogError, match="two_node"):
        watchdog.begin(ARMED, is_two_node=True)


def test_a_device_is_looked_at_without_being_started(tmp_path: Path) -> None:
    entry = tmp_path / "watchdog0"
    entry.mkdir()
    (entry / "dev").write_text("1:3\n")
    (entry / "state").write_text("active\n")
    (entry / "options").write_text("0x8180\n")

    check_device(Path("/dev/zero"), tmp_path)
    with pytest.raises(WatchdogError, match="is in use; PID 1 uses it if RuntimeWatchdogSec"):
        check_device(Path("/dev/null"), tmp_path)
    (entry / "state").write_text("inactive\n")
    check_device(Path("/dev/null"), tmp_path)
    (entry / "options").write_text("0x8080\n")
    with pytest.raises(WatchdogError, match="cannot be stopped, or its timeout not be set"):
        check_device(Path("/dev/null"), tmp_path)
    with pytest.raises(WatchdogError, match="is no character device"):
        check_device(tmp_path, tmp_path)
    with pytest.raises(WatchdogError, match="No such file"):
        check_device(tmp_path / "none", tmp_path)


def test_systemd_resets_the_node_when_the_guard_is_not_fed_or_dies() -> None:
    command = guard_command(FencingSpec(watchdog="/dev/watchdog1", watchdog_ms=8_000))

    assert "--property=WatchdogSec=8000ms" in command
    assert "--property=FailureAction=reboot-immediate" in command
    assert command[-3:] == ("8000", "1500", "/dev/watchdog1")
