# SPDX-License-Identifier: Apache-2.0
"""A plan shown before equals what real nodes then do (I14), and its times are near theirs."""

from __future__ import annotations

import json
from dataclasses import dataclass

import click
import pytest

from tests.lab.observed import Observed

AGREED = {
    "lost": "node.unclean",
    "fence": "fence.requested",
    "fenced": "fence.succeeded",
    "start": "service.starting",
}
"""Steps of a plan, and the journal lines that show them on real nodes."""
NEAR_S = 2.0


@dataclass
class Plan:
    """What `rgmgr what-if NODE dies` says."""

    kinds: list[str]
    owner: str
    resources: list[str]
    outage_s: float


def _asked(cluster: Observed, on: str, victim: str) -> Plan:
    said = json.loads(cluster.do(on, "rgmgr", "what-if", "node", victim, "dies", "--json"))
    (web,) = said["services"]
    start = next(step for step in said["steps"] if step["kind"] == "start")
    return Plan(
        [step["kind"] for step in said["steps"]],
        web["after"]["owner"],
        start["resources"],
        web["outage_ms"] / 1000,
    )


def _started_at(cluster: Observed, node: str, unit: str) -> int:
    argv = ("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit)
    return int(cluster.do(node, *argv))


def test_what_was_forecast_of_two_power_cuts_is_what_they_then_do(
    cluster: Observed, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second forecast knows the times of the first cut, so it must be near the truth."""
    outages = []
    for asked, victim in (("node3", "node1"), ("node3", "node2")):
        plan = _asked(cluster, asked, victim)
        since = cluster.now_us()
        cluster.lab.kill(victim)
        cluster.await_page(plan.owner)
        outages.append((plan.outage_s, (cluster.now_us() - since) / 1e6))
        cluster.await_that(cluster.is_settled, f"{victim} to return")

        seen = [cluster.when(asked, AGREED[kind], since) for kind in plan.kinds]
        assert plan.kinds == ["lost", "fence", "fenced", "start"]
        assert all(seen)
        assert seen == sorted(seen, key=lambda at_us: at_us or 0)
        units = {"vip": "rgmgr-web-vip.service", "nginx": "nginx.service"}
        times = [_started_at(cluster, plan.owner, units[name]) for name in plan.resources]
        assert plan.resources == ["vip", "nginx"]
        assert times == sorted(times)
        assert cluster.service().owner == plan.owner

    words = [f"predicted {plan_s:.2f} s, measured {real_s:.2f} s" for plan_s, real_s in outages]
    with capsys.disabled():
        click.echo("\n  " + "; ".join(words))
    predicted, measured = outages[1]
    assert abs(predicted - measured) < NEAR_S, words
