# SPDX-License-Identifier: Apache-2.0
"""A unit that several services use: one unit, taken down by the last, watched for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from domains.model import ServiceName
from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.events import (
    Event,
    ProbeFinished,
    ResourceFailed,
    ResourceStarted,
    ResourceStopped,
    ServiceProbed,
)
from rgmgr.core.spec import ClusterSpec, ResourceSpec, ServiceSpec
from tests.adapters.systemd_stage import WEB, Stage, cluster, resource, stage

DB = ServiceName("db")
UNIT = "rgmgr-cache.service"
CACHE = replace(resource("cache", "exec", command="/bin/sleep infinity"), is_shared=True)


def both(shared: ResourceSpec = CACHE) -> ClusterSpec:
    services = tuple(ServiceSpec(name=name, resources=(shared,)) for name in (WEB, DB))
    return replace(cluster(shared), services=services)


async def start(s: Stage, service: ServiceName, shared: ResourceSpec = CACHE) -> Event:
    s.systemd.start(StartResource(service=service, resource=shared, op=1))
    return await s.event()


async def stop(s: Stage, service: ServiceName, *, is_kept: bool) -> Event:
    s.systemd.stop(StopResource(service=service, resource=CACHE, op=2, is_kept=is_kept))
    return await s.event()


def started(service: ServiceName) -> ResourceStarted:
    return ResourceStarted(service=service, resource=CACHE.name, op=1)


def stopped(service: ServiceName) -> ResourceStopped:
    return ResourceStopped(service=service, resource=CACHE.name, op=2)


async def probed(s: Stage) -> dict[ServiceName, tuple[str, ...]]:
    s.systemd.probe(both())
    found: dict[ServiceName, tuple[str, ...]] = {}
    while not isinstance(event := await s.event(), ProbeFinished):
        assert isinstance(event, ServiceProbed)
        found[event.service] = event.active
    return found


def test_the_first_starts_it_and_the_last_takes_it_down(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        assert await start(s, WEB) == started(WEB)
        assert await start(s, DB) == started(DB)

        assert await stop(s, WEB, is_kept=True) == stopped(WEB)
        assert s.pid1.units[UNIT].active == "active"
        assert s.pid1.called("StopUnit") == []

        assert await stop(s, DB, is_kept=False) == stopped(DB)
        assert UNIT not in s.pid1.units

    stage(tmp_path, play)


def test_a_daemon_that_comes_back_knows_who_uses_it(tmp_path: Path) -> None:
    """Otherwise a service would be found on a node where it never was."""

    async def play(s: Stage) -> None:
        assert await start(s, WEB) == started(WEB)
        assert await probed(s) == {WEB: ("cache",), DB: ()}

        assert await start(s, DB) == started(DB)
        assert await stop(s, WEB, is_kept=True) == stopped(WEB)
        assert await probed(s) == {WEB: (), DB: ("cache",)}

    stage(tmp_path, play)


def test_one_that_nobody_is_known_to_use_may_be_anybodys(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        assert await start(s, WEB) == started(WEB)
        (s.uses / UNIT / "web").unlink()

        assert await probed(s) == {WEB: ("cache",), DB: ("cache",)}

    stage(tmp_path, play)


def test_its_failure_is_told_to_each_of_them(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        assert await start(s, WEB) == started(WEB)
        assert await start(s, DB) == started(DB)

        s.pid1.change(UNIT, "failed", "failed")

        failures = [await s.event(), await s.event()]
        assert all(isinstance(each, ResourceFailed) for each in failures)
        assert {each.service for each in failures if isinstance(each, ResourceFailed)} == {WEB, DB}

    stage(tmp_path, play)


def test_what_is_used_and_not_configured_any_more_is_found(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        assert await start(s, WEB) == started(WEB)
        gone = replace(both(), services=())
        s.systemd.probe(gone)

        assert await s.event() == ServiceProbed(service=WEB, active=(CACHE.name,))
        assert await s.event() == ProbeFinished()

    stage(tmp_path, play)
