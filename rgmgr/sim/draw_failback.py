# SPDX-License-Identifier: Apache-2.0
"""When services of drawn domains go back, from dice of their own: older draws stay as they were."""

from __future__ import annotations

from dataclasses import replace

from domains.model import FailoverDomain, Window
from rgmgr.core.spec import ClusterSpec
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.wallclock import NOON_MIN

OPEN = Window(NOON_MIN, NOON_MIN + 120)
SOON = Window(NOON_MIN + 1, NOON_MIN + 120)
NIGHT = Window(2 * 60, 4 * 60)


def with_failback(seed: int, spec: ClusterSpec) -> ClusterSpec:
    """Return the cluster with delays and windows, in one seed of three."""
    rolls = dice(seed, "failback")
    if not chance(rolls, 0.33):
        return spec
    domains = {name: _drawn(rolls, domain) for name, domain in spec.domains.items()}
    return replace(spec, domains=domains)


def _drawn(rolls: Dice, domain: FailoverDomain) -> FailoverDomain:
    delay_ms = rolls.choice((0, 2_000, 12_000))
    window = rolls.choice((None, None, OPEN, SOON, NIGHT))
    return replace(
        domain,
        failback_delay_ms=delay_ms,
        failback_window=None if domain.nofailback else window,
    )
