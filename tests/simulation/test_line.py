# SPDX-License-Identifier: Apache-2.0
"""The way to the simulated systemd: what waits there must be done as the real adapter does it."""

from __future__ import annotations

import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import MigrateResource
from rgmgr.core.events import ResourceStayed, ResourceStopped
from rgmgr.core.promise import LEASE_MS
from rgmgr.core.spec import ResourceName, ResourceSpec
from rgmgr.sim.engine import Engine, dice
from rgmgr.sim.line import Line
from rgmgr.sim.phases import Phase
from rgmgr.sim.systemd import Systemd, UnitEvent

N1, N2 = NodeId(1), NodeId(2)
WEB = ServiceName("web")
GUEST = ResourceSpec(
    name=ResourceName("guest"), type="vm", parameters={}, start_timeout_ms=3_000,
    stop_timeout_ms=3_000,
)  # fmt: skip
MIGRATE = MigrateResource(service=WEB, resource=GUEST, op=1, target=N2, target_name="node2")


class Pair:
    """Two nodes; the first has a machine, and a line that can be lost."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.answers: list[UnitEvent] = []
        by_node: dict[NodeId, Systemd] = {}
        for node in (N1, N2):
            by_node[node] = Systemd(
                node,
                self.engine,
                dice(0, "test"),
                lambda *_: None,
                self.answers.append,
                find=by_node.get,
            )
        self.source, self.target = (by_node[n].unit(WEB, GUEST.name) for n in (N1, N2))
        self.source.phase = Phase.ACTIVE
        self.line = Line(self.engine, dice(0, "line"), by_node[N1])

    def run(self, for_ms: int) -> None:
        self.engine.run_until(self.engine.now_ms + for_ms)

    def ask(self) -> None:
        self.line.ask(MIGRATE, self.answers.append)


@pytest.mark.parametrize(
    ("lost_ms", "answer", "phases"),
    [
        (LEASE_MS, ResourceStopped, (Phase.INACTIVE, Phase.ACTIVE)),
        (LEASE_MS + 1, ResourceStayed, (Phase.ACTIVE, Phase.INACTIVE)),
    ],
    ids=["soon enough", "too late"],
)
def test_an_order_to_migrate_that_waited_for_long_only_looks(
    lost_ms: int, answer: type[UnitEvent], phases: tuple[Phase, Phase]
) -> None:
    pair = Pair()
    pair.line.lose()
    pair.ask()
    pair.run(lost_ms)
    pair.line.recover()
    pair.run(5_000)

    assert [type(event) for event in pair.answers] == [answer]
    assert (pair.source.phase, pair.target.phase) == phases


def test_an_old_order_waits_for_what_is_on_its_way_already() -> None:
    pair = Pair()
    pair.ask()
    pair.line.lose()
    pair.ask()
    assert pair.source.job is not None
    pair.source.job = pair.engine.put_off(pair.source.job, 3_000)
    pair.run(2_000)
    pair.line.recover()
    assert (pair.target.phase, pair.answers) == (Phase.INCOMING, [])
    pair.run(5_000)

    assert isinstance(pair.answers[-1], ResourceStopped)
    assert (pair.source.phase, pair.target.phase) == (Phase.INACTIVE, Phase.ACTIVE)
