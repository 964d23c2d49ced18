# SPDX-License-Identifier: Apache-2.0
"""The second count of restarts of parts finds a core that counts wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from domains.model import ServiceName
from rgmgr.core.model import ClusterState, Part, Service, ServiceState
from rgmgr.core.spec import (
    ClusterSpec,
    Independence,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
)
from rgmgr.sim.part_windows import PartWindows

CACHE, WEB = ResourceName("cache"), ServiceName("web")
TREE = ResourceSpec(
    name=CACHE,
    type="systemd",
    parameters={"unit": "cache.service"},
    independent=Independence.RESTART,
    max_restarts=1,
    restart_expire_ms=10_000,
)
SPEC = ClusterSpec(
    name="alpha",
    version=1,
    digest="d",
    nodes={},
    services=(ServiceSpec(name=WEB, resources=(TREE,)),),
)


def state(now_ms: int, *stamps: int, is_mending: bool = False) -> ClusterState:
    parts = {CACHE: Part(restart_stamps=stamps)} if stamps else {}
    web = Service(spec=SPEC.services[0], state=ServiceState.STARTED, parts=parts)
    web = replace(web, mending=(CACHE,) if is_mending else ())
    return ClusterState(spec=SPEC, now_ms=now_ms, services={WEB: web})


def follow(*states: ClusterState) -> list[str]:
    found: list[str] = []
    judge = PartWindows(lambda invariant, words: found.append(f"{invariant} {words}"))
    for before, after in pairwise(states):
        judge.changed(None, before, after)
    return found


def test_as_many_restarts_as_are_allowed_are_fine() -> None:
    once = state(1_000, 1_000, is_mending=True)
    again = state(12_000, 12_000, is_mending=True)

    assert follow(state(0), once, state(2_000, 1_000), again) == []


def test_one_more_within_the_window_is_found() -> None:
    once = state(1_000, 1_000, is_mending=True)
    again = state(5_000, 5_000, is_mending=True)

    assert follow(state(0), once, state(2_000, 1_000), again) == [
        "I9 web/cache is restarted, though 1 of 1 restarts were used up"
    ]


def test_a_count_that_was_forgotten_on_purpose_begins_anew() -> None:
    once = state(1_000, 1_000, is_mending=True)
    again = state(5_000, 5_000, is_mending=True)

    assert follow(state(0), once, state(2_000), again) == []
