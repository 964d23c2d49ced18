# SPDX-License-Identifier: Apache-2.0
"""A check of what several services use runs once on a node, and each of them hears of a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

from domains.model import ServiceName
from rgmgr.adapters.systemd.checkers import Checkers
from rgmgr.adapters.systemd.checks import Checks
from rgmgr.adapters.systemd.resources import Key, Plan, plan
from rgmgr.adapters.systemd.watches import Watch, Watches
from rgmgr.core.actions import StartResource, StopResource
from rgmgr.core.events import ResourceFailed, ResourceStarted, ResourceStopped
from rgmgr.core.spec import CheckKind, CheckSpec, ResourceName
from tests.adapters.systemd_stage import Stage, resource, stage

TWICE = 2
CHECK = CheckSpec(kind=CheckKind.COMMAND, target="/usr/bin/probe", interval_ms=30)
CACHE = replace(
    resource("cache", "exec", command="/bin/sleep infinity"), is_shared=True, checks=(CHECK,)
)
UNIT = "rgmgr-cache.service"


class Run:
    """Checks that run until they are ended, and fail when they are told to."""

    def __init__(self, made: Plan, failed: Callable[[str], None]) -> None:
        self.service, self.fail, self.is_over = made.key.service, failed, False

    def end(self) -> None:
        self.is_over = True


class Desk:
    """Watches with their checkers, and what was made and told."""

    def __init__(self) -> None:
        self.watches = Watches()
        self.runs: list[Run] = []
        self.told: list[tuple[str, str]] = []
        self.left_alone: set[str] = set()
        self.checkers = Checkers(
            self.watches,
            self._make,
            lambda watch: watch.plan.key.service in self.left_alone,
            self._tell,
        )

    def _make(self, made: Plan, failed: Callable[[str], None]) -> Checks:
        run = Run(made, failed)
        self.runs.append(run)
        return cast("Checks", run)

    def _tell(self, watch: Watch, reason: str) -> None:
        watch.has_failed = True
        self.told.append((watch.plan.key.service, reason))

    def up(self, service: str) -> Watch:
        watch = self.watches.begin(plan(service, CACHE), UNIT)
        self.checkers.begin(watch)
        return watch

    def checkers_now(self) -> list[str]:
        return [run.service for run in self.runs if not run.is_over]


def key(service: str) -> Key:
    return Key(ServiceName(service), ResourceName("cache"))


def test_the_first_one_checks_it_for_all() -> None:
    desk = Desk()

    desk.up("web")
    desk.up("db")

    assert desk.checkers_now() == ["web"]


def test_all_that_use_it_hear_of_a_failure() -> None:
    desk = Desk()
    desk.up("web")
    desk.up("db")

    desk.runs[0].fail("it failed")

    assert desk.told == [("web", "it failed"), ("db", "it failed")]


def test_another_one_goes_on_when_that_one_lets_go_of_it() -> None:
    desk = Desk()
    desk.up("web")
    desk.up("db")

    desk.checkers.forget(key("web"))

    assert desk.checkers_now() == ["db"]
    desk.checkers.forget(key("db"))
    assert desk.checkers_now() == []


def test_another_one_goes_on_when_that_one_is_left_alone() -> None:
    """A frozen service is looked after by nobody; those that use the same thing are."""
    desk = Desk()
    web = desk.up("web")
    desk.up("db")

    desk.left_alone = {"web"}
    desk.checkers.end(web)

    assert desk.checkers_now() == ["db"]


def test_who_brings_it_up_again_after_a_failure_checks_it() -> None:
    desk = Desk()
    desk.up("web")
    desk.up("db")
    desk.runs[0].fail("it failed")

    desk.up("db")

    assert desk.runs[-1].service == "db"
    assert len(desk.runs) == TWICE


def test_on_a_node_it_is_one_command_at_a_time(tmp_path: Path) -> None:
    async def play(s: Stage) -> None:
        for name in ("web", "db"):
            s.systemd.start(StartResource(service=ServiceName(name), resource=CACHE, op=1))
            assert isinstance(await s.event(), ResourceStarted)
        await s.pid1.wait_called("StartTransientUnit", 4)
        s.systemd.stop(StopResource(service=ServiceName("web"), resource=CACHE, op=2, is_kept=True))
        assert isinstance(await s.event(), ResourceStopped)
        while "rgmgr-db-cache-check0.service" not in s.pid1.made:
            count = len(s.pid1.called("StartTransientUnit"))
            await s.pid1.wait_called("StartTransientUnit", count + 1)
        assert "rgmgr-web-cache-check0.service" in s.pid1.made

        s.pid1.change(UNIT, "failed", "failed")
        failed = await s.event()
        assert isinstance(failed, ResourceFailed)
        assert failed.service == "db"

    stage(tmp_path, play)
