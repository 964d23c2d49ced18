# SPDX-License-Identifier: Apache-2.0
"""What exists once goes from one service to another, and services get other names."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.sim.edits import ALONE, TRANSFERS
from rgmgr.sim.engine import Dice, chance, dice
from rgmgr.sim.faults import ConfigChange, Script
from rgmgr.sim.shares import OF_ONE_NODE

CLUSTERS_WITH_TRANSFERS = 0.12
VERSIONS_APART = 20
"""Above whatever version other draws give."""


def with_transfers(seed: int, script: Script) -> Script:
    """Return the script with an address that changes hands about when something else happens."""
    rolls = dice(seed, "transfers")
    if not script.faults or not chance(rolls, CLUSTERS_WITH_TRANSFERS):
        return script
    services = list(script.spec.services)
    number = rolls.randrange(len(services))
    services[number] = replace(
        services[number], resources=(*services[number].resources, _address())
    )
    spec = replace(script.spec, services=tuple(services))
    changes = [_change(rolls, script, number) for number in range(rolls.randint(1, 3))]
    faults = sorted((*script.faults, *changes), key=lambda fault: fault.at_ms)
    return replace(script, spec=spec, faults=tuple(faults))


def _address() -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName("vip"),
        type=OF_ONE_NODE,
        parameters={"address": ALONE[0]},
        start_timeout_ms=3_500,
        stop_timeout_ms=3_500,
    )


def _change(rolls: Dice, script: Script, number: int) -> ConfigChange:
    nodes = sorted(script.spec.nodes)
    where = nodes if chance(rolls, 0.8) else rolls.sample(nodes, rolls.randint(1, len(nodes)))
    return ConfigChange(
        at_ms=max(0, rolls.choice(script.faults).at_ms + rolls.choice((-300, 0, 50, 1_000, 4_000))),
        nodes=tuple(sorted(where)),
        version=script.spec.version + VERSIONS_APART + number,
        edit=rolls.choice(TRANSFERS),
        service=rolls.choice(script.spec.services).name,
        is_loaded=chance(rolls, 0.9),
    )
