# SPDX-License-Identifier: Apache-2.0
"""Checks of resources that are up: by real HTTP and TCP, and through a scripted PID 1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from dbus_next.message import Message

from rgmgr.core.events import ResourceFailed
from rgmgr.core.spec import CheckKind, CheckSpec, ResourceSpec
from tests.adapters.fake_systemd import FakeSystemd
from tests.adapters.systemd_stage import APP, STARTED, STOPPED, Stage, resource, stage

CHECK_UNIT = "rgmgr-web-app-check0.service"
AGENT = resource("app", "ocf", agent="heartbeat:Dummy")


class Peer:
    """A server on loopback that answers as told, and counts."""

    def __init__(self) -> None:
        self.answer: bytes | None = b"HTTP/1.1 200 OK\r\n\r\n"  # None: never
        self.requests: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is None:
                await reader.read()
            else:
                writer.write(self.answer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def _checked(kind: CheckKind, target: str, **changes: int) -> ResourceSpec:
    check = CheckSpec(kind=kind, target=target, interval_ms=30, timeout_ms=400)
    return replace(APP, checks=(replace(check, **changes),))


async def _started(s: Stage, spec: ResourceSpec) -> None:
    s.start(spec)
    assert await s.event() == STARTED


async def _failure(s: Stage) -> str:
    event = await s.event()
    assert isinstance(event, ResourceFailed)
    assert event.resource == APP.name
    return event.reason


def test_a_wrong_status_is_a_failure_and_a_right_one_is_none(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        async with peer() as server:
            url = f"http://127.0.0.1:{server.port}/health?x=1"
            await _started(s, _checked(CheckKind.HTTP, url))
            request = await server.requests.get()
            await server.requests.get()
            assert s.nothing_told()
            server.answer = b"HTTP/1.1 503 Busy\r\n\r\n"
            assert await _failure(s) == f"check http {url}: status 503, not 200"
        assert request.startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")

    stage(tmp_path, play)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "no answer within 0.4 s"),
        (b"", "the answer is not HTTP: ''"),
        (b"SSH-2.0-x\r\n", "the answer is not HTTP: 'SSH-2.0-x'"),
        (b"x" * 200_000, "chunk"),
    ],
)
def test_what_is_no_answer_is_a_failure(tmp_path: Path, answer: bytes | None, words: str) -> None:
    async def play(s: Stage) -> None:
        async with peer() as server:
            server.answer = answer
            await _started(s, _checked(CheckKind.HTTP, f"http://127.0.0.1:{server.port}/"))
            assert words in await _failure(s)

    stage(tmp_path, play)


def test_failures_are_borne_up_to_the_tolerance_and_only_in_a_row(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        async with peer() as server:
            url = f"http://127.0.0.1:{server.port}/"
            server.answer = b"HTTP/1.1 500 No\r\n\r\n"
            await _started(s, _checked(CheckKind.HTTP, url, tolerance=2))
            await server.requests.get()
            await server.requests.get()
            server.answer = b"HTTP/1.1 200 OK\r\n\r\n"
            for _ in range(3):  # well again: the count begins anew
                await server.requests.get()
            assert s.nothing_told()
            server.answer = b"HTTP/1.1 500 No\r\n\r\n"
            assert "status 500" in await _failure(s)

    stage(tmp_path, play)


def test_a_closed_port_is_a_failure(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        async with peer() as server:
            target = f"127.0.0.1:{server.port}"
        await _started(s, _checked(CheckKind.TCP, target))
        assert f"check tcp {target}:" in await _failure(s)

    stage(tmp_path, play)


def test_a_command_that_fails_is_a_failure_and_names_its_journal(tmp_path: Path) -> None:
    async def fail(pid1: FakeSystemd, call: Message) -> None:
        number, path = pid1.new_job()
        pid1.reply(call, "o", path)
        pid1.remove_job(number, CHECK_UNIT, "failed")

    async def play(s: Stage) -> None:
        s.pid1.script("StartTransientUnit", fail)
        await _started(s, _checked(CheckKind.COMMAND, "/usr/bin/probe --deep"))
        reason = await _failure(s)
        assert reason.endswith(f"it failed; see 'journalctl -u {CHECK_UNIT}'")

    stage(tmp_path, play)


def test_of_two_checks_the_one_that_fails_is_named(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        async with peer() as works, peer() as busy:
            urls = [f"http://127.0.0.1:{server.port}/" for server in (works, busy)]
            both = [_checked(CheckKind.HTTP, url).checks[0] for url in urls]
            await _started(s, replace(APP, checks=tuple(both)))
            await works.requests.get()
            busy.answer = b"HTTP/1.1 503 Busy\r\n\r\n"
            assert await _failure(s) == f"check http {urls[1]}: status 503, not 200"

    stage(tmp_path, play)


def test_an_agent_that_says_degraded_is_up(tmp_path: Path) -> None:
    """190 and 191 are OCF's words for: it works, but look at it. systemd judges the status."""

    async def play(s: Stage) -> None:
        spec = replace(AGENT, checks=_checked(CheckKind.MONITOR, "0").checks)
        s.start(spec)
        assert await s.event() == STARTED
        await s.pid1.wait_called("StartTransientUnit", 2)
        assert s.pid1.made[CHECK_UNIT]["SuccessExitStatus"] == [[190, 191], []]

    stage(tmp_path, play)


def test_systemd_out_of_reach_is_no_failure(tmp_path: Path) -> None:
    async def refuse(pid1: FakeSystemd, call: Message) -> None:
        pid1.refuse(call, "org.freedesktop.DBus.Error.LimitsExceeded", "not now")

    async def play(s: Stage) -> None:
        s.pid1.script("StartTransientUnit", refuse, refuse)
        await _started(s, _checked(CheckKind.COMMAND, "/usr/bin/probe"))
        await s.pid1.wait_called("StartTransientUnit", 3)
        assert s.nothing_told()

    stage(tmp_path, play)


def test_a_resource_that_is_stopped_is_not_asked_any_more(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        async with peer() as server:
            spec = _checked(CheckKind.HTTP, f"http://127.0.0.1:{server.port}/")
            await _started(s, spec)
            await server.requests.get()
            s.stop(spec)
            assert await s.event() == STOPPED
            while not server.requests.empty():
                server.requests.get_nowait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.requests.get(), 0.3)

    stage(tmp_path, play)
