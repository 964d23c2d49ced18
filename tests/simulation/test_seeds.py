# SPDX-License-Identifier: Apache-2.0
"""Whole clusters under random troubles: no promise may be broken, and all must come to rest.

`rgmgr sim --seeds N` runs more of them.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from rgmgr.sim.draw import QUIET_START_MS, draw_script, is_calm
from rgmgr.sim.run import SETTLE_MAX_MS, Outcome, settle_max_ms, simulate

SEEDS = 300
CHUNK = 10


def report(seed: int, outcome: Outcome) -> str:
    """What a developer needs to go on."""
    found = outcome.violations or ("it does not come to rest",)
    return "\n".join((*found, f"replay with: rgmgr sim --seed {seed} --trace"))


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_seed_breaks_a_promise(first: int) -> None:
    broken = [
        report(seed, outcome)
        for seed in range(first, first + CHUNK)
        if not (outcome := simulate(seed=seed)).is_good
    ]

    assert broken == []


@pytest.mark.parametrize("nodes", [2, 3, 5, 7])
def test_a_cluster_without_faults_starts_everything_once_and_rests(nodes: int) -> None:
    """What is started twice here would be stopped for nothing in production."""
    outcome = simulate(seed=1, nodes=nodes, steps=0)

    resources = {
        (service.name, resource.name)
        for service in outcome.script.spec.services
        for resource in service.resources
    }
    assert outcome.is_good, outcome.violations
    assert outcome.stats.fences == 0
    assert outcome.stats.unit_changes >= len(resources)


def test_the_troubles_of_many_seeds_do_reach_the_services() -> None:
    """Else the other tests would pass on a simulator in which nothing happens."""
    outcomes = [simulate(seed=seed) for seed in range(40)]

    assert sum(outcome.stats.fences for outcome in outcomes) > 10
    assert sum(outcome.stats.requests for outcome in outcomes) > 10
    assert sum(outcome.stats.unit_changes for outcome in outcomes) > 300


def test_a_calm_seed_has_only_what_must_move_nothing_after_the_start() -> None:
    harmless = {"DaemonCrash", "DaemonRestart", "Upgrade", "ClockJump", "ConfigChange"}
    scripts = [draw_script(seed, steps=6) for seed in range(9, 200, 10)]

    assert is_calm(9)
    kinds = {type(fault).__name__ for script in scripts for fault in script.faults}
    assert kinds == harmless
    assert all(f.at_ms >= QUIET_START_MS for script in scripts for f in script.faults)


def test_what_is_given_is_not_drawn() -> None:
    spec = draw_script(5).spec

    script = draw_script(77, spec=spec, steps=4)

    assert script.spec is spec
    assert len(script.faults) >= 4


def test_a_cluster_of_slow_services_is_given_the_time_that_they_take() -> None:
    """An administrator's own timeouts are minutes; the drawn ones are seconds."""
    drawn = draw_script(5).spec
    service = drawn.services[0]
    slow = replace(service.resources[0], start_timeout_ms=600_000)
    spec = replace(drawn, services=(replace(service, resources=(slow,)),))

    assert settle_max_ms(drawn) == SETTLE_MAX_MS
    assert settle_max_ms(spec) > 3 * 600_000
