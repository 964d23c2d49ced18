# SPDX-License-Identifier: Apache-2.0
"""What the core's hot paths cost, counted and not measured: the same on every machine.

Counted are the calls of our own functions that a few worlds need. They may grow by a tenth before
this fails; `pytest --update-golden` takes the new numbers. Read the diff: is what was bought worth
it? Memories of digests and copies are warm, as in a daemon that runs.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core import digest, survey
from rgmgr.core.messages import Verb
from rgmgr.core.spec import ClusterSpec
from rgmgr.scenarios import load_scenario
from rgmgr.sim.faults import Ask, Fault, PowerLoss, Script
from rgmgr.sim.run import play

GOLDEN = Path(__file__).parents[1] / "golden" / "costs.json"
GROWTH_MAX = 0.10
SHOWN = 5
KEPT = 40
"""Of the functions, those that are called most."""
N1, N2 = NodeId(1), NodeId(2)
SPEC = load_scenario(Path(__file__).parent / "scenarios" / "owner-loses-power").script.spec
WEB = SPEC.services[0].name
MANY = replace(
    SPEC,
    services=tuple(replace(SPEC.services[0], name=ServiceName(f"web{n}")) for n in range(12)),
)
MEMORIES = (
    *(digest._specs, digest._states, digest._records),
    *(survey._catalogues, survey._differences, survey._restless),
)
"""What the core remembers from event to event, and throws away when it is full."""
PACKAGES = ("rgmgr.", "domains.")
"""The calls of their functions are counted."""


def quiet_for(end_ms: int, *faults: Fault, spec: ClusterSpec = SPEC) -> Callable[[], object]:
    """A cluster of three that nothing else happens to."""
    script = Script(seed=None, spec=spec, faults=faults)
    return lambda: play(script, until_ms=end_ms)


WORLDS: dict[str, Callable[[], object]] = {
    "idle for a minute": quiet_for(60_000),
    "failover": quiet_for(40_000, PowerLoss(at_ms=20_000, node=N1, for_ms=15_000)),
    "relocation": quiet_for(
        40_000, Ask(at_ms=20_000, node=N2, verb=Verb.RELOCATE, service=WEB, target=N2)
    ),
    "failover of twelve services": quiet_for(
        40_000, PowerLoss(at_ms=20_000, node=N1, for_ms=15_000), spec=MANY
    ),
}


def cost_of(world: Callable[[], object]) -> dict[str, int]:
    """Return how often functions of ours are called: all together, and the most called ones."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            module = frame.f_globals.get("__name__", "")
            if module.startswith(PACKAGES):
                calls[f"{module}:{frame.f_code.co_qualname}"] += 1

    for memory in MEMORIES:
        memory.clear()  # how full it is, other tests decide
    world()
    sys.setprofile(count)
    try:
        world()
    finally:
        sys.setprofile(None)
    return {"calls": calls.total(), **dict(calls.most_common(KEPT))}


def grown(before: dict[str, int], now: dict[str, int]) -> list[str]:
    """Say what grew, most first."""
    more = {name: count - before.get(name, 0) for name, count in now.items() if name != "calls"}
    worst = sorted(more.items(), key=lambda item: -item[1])[:SHOWN]
    return [f"{name}: {before.get(name, 0)} -> {now[name]}" for name, by in worst if by > 0]


@pytest.mark.parametrize("name", WORLDS)
def test_nothing_costs_much_more_than_it_did(name: str, request: pytest.FixtureRequest) -> None:
    known = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {}
    now = cost_of(WORLDS[name])
    if request.config.getoption("--update-golden"):
        known[name] = now
        GOLDEN.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    before = known[name]

    growth = now["calls"] / before["calls"] - 1
    assert growth <= GROWTH_MAX, f"{growth:.0%} more calls: {'; '.join(grown(before, now))}"


def test_the_same_world_costs_the_same_again() -> None:
    """Else the counts would be worth nothing."""
    world = WORLDS["failover"]

    assert cost_of(world) == cost_of(world)


def test_what_grew_is_named() -> None:
    before, now = {"calls": 12, "a": 10, "b": 2}, {"calls": 30, "a": 11, "b": 2, "c": 17}

    assert grown(before, now) == ["c: 0 -> 17", "a: 10 -> 11"]
