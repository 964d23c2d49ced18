# SPDX-License-Identifier: Apache-2.0
"""A service that nobody shall look after: an administrator works on it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.core.events import ProbeFinished, ResourceFailed, ServiceProbed
from rgmgr.core.spec import CheckKind, CheckSpec, ResourceSpec
from tests.adapters.systemd_stage import APP, APP_UNIT, STARTED, WEB, Stage, cluster, stage


async def _started(s: Stage, app: ResourceSpec = APP) -> None:
    s.systemd.probe(cluster(app))
    assert await s.event() == ServiceProbed(service=WEB, active=())
    assert await s.event() == ProbeFinished()
    s.start(app)
    assert await s.event() == STARTED


def test_the_end_of_its_unit_is_not_told_and_neither_is_its_return(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        await _started(s)
        s.systemd.suspend(WEB)
        s.pid1.change(APP_UNIT, "failed", "failed")
        await s.settled()
        s.pid1.change(APP_UNIT, "active", "running")
        await s.settled()
        assert s.nothing_told()

        s.systemd.resume(WEB)

        assert await s.event() == ServiceProbed(service=WEB, active=(APP.name,))

    stage(tmp_path, play)


def test_what_is_down_when_it_is_looked_after_again_is_told_once(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        await _started(s)
        s.systemd.suspend(WEB)
        s.pid1.change(APP_UNIT, "inactive", "dead")
        await s.settled()

        s.systemd.resume(WEB)

        assert await s.event() == ServiceProbed(service=WEB, active=())
        await s.settled()
        assert s.nothing_told()

    stage(tmp_path, play)


def test_a_failure_after_that_is_a_failure(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        await _started(s)
        s.systemd.suspend(WEB)
        s.systemd.resume(WEB)
        await s.event()

        s.pid1.change(APP_UNIT, "failed", "failed")

        event = await s.event()
        assert isinstance(event, ResourceFailed)

    stage(tmp_path, play)


def test_no_check_runs_until_it_is_looked_after_again(tmp_path: Path) -> None:
    asked = asyncio.Queue[None]()

    async def hear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(None)
        writer.close()

    async def play(s: Stage) -> None:
        server = await asyncio.start_server(hear, "127.0.0.1", 0)
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        check = CheckSpec(kind=CheckKind.TCP, target=target, interval_ms=30, timeout_ms=400)
        await _started(s, replace(APP, checks=(check,)))
        await asked.get()

        s.systemd.suspend(WEB)
        while not asked.empty():
            asked.get_nowait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked.get(), 0.3)

        s.systemd.resume(WEB)
        await asyncio.wait_for(asked.get(), 8)
        server.close()

    stage(tmp_path, play)
