# SPDX-License-Identifier: Apache-2.0
"""The keys of a place in a tree that let it fail apart from the rest.

Source: rgmanager `__independent_subtree`, `__max_restarts`, `__restart_expire_time`,
`__max_failures` and `__failure_expire_time`.
"""

from __future__ import annotations

from typing import NamedTuple

from rgmgr.config.rates import read_rate
from rgmgr.config.table import Table
from rgmgr.core.spec import Independence

PART_KEYS = ("independent", "max_restarts", "restart_expire_time", "tolerance")
TOLERATED_MAX = 100


class PartKeys(NamedTuple):
    """Fields of a `ResourceSpec`."""

    independent: Independence | None
    max_restarts: int
    restart_expire_ms: int
    tolerated: int
    tolerance_ms: int


def read_part(table: Table) -> PartKeys:
    """Return how a place fails; whatever is wrong with its keys is noted."""
    tolerated, tolerance_ms = read_rate(table, "tolerance", "failures", TOLERATED_MAX)
    for key in ("max_restarts", "restart_expire_time"):
        if table.has(key) and not table.has("independent"):
            text = "means nothing here: the failures of this resource are those of the service"
            words = ", ".join(repr(word.value) for word in Independence)
            table.problems.add(table.at(key), text, f"set independent as well, to one of {words}")
    return PartKeys(
        independent=table.optional_word("independent", Independence),
        max_restarts=table.integer("max_restarts", minimum=0, default=0),
        restart_expire_ms=table.duration("restart_expire_time", 0),
        tolerated=tolerated,
        tolerance_ms=tolerance_ms,
    )
