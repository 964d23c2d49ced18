# SPDX-License-Identifier: Apache-2.0
"""`org.rgmgr` on a bus of our own: standing orders, options, history, and those who flood it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from rgmgr.adapters.bus import Bus, variant
from rgmgr.adapters.dbus_objects import node_path
from rgmgr.adapters.throttle import CALLS_PER_SECOND_MAX
from rgmgr.core.messages import MaintenanceOrder
from rgmgr.errors import BusError
from rgmgr.history_view import decode_history
from tests.adapters.served_core import DONE, MANAGER, World, refused, run
from tests.unit.cli_status import NODE2


def test_a_request_says_who_asked_and_why(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        options = {"user": variant("s", "alice"), "because": variant("s", "CHG-1\n23")}
        await there.client.call(*MANAGER, "Request", "sssa{sv}", ["stop", "web", "", options])

        (request,) = there.core.requests
        assert request.by == f"alice (uid {os.geteuid()}) on node1"
        assert request.because == "CHG-123"

    run(tmp_path, scenario)


def test_a_node_object_carries_standing_orders(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        options = {"for_ms": variant("x", 60_000), "brings_back": variant("b", True)}  # noqa: FBT003
        node = ("org.rgmgr", node_path("node2"), "org.rgmgr.Node1")

        done = await there.client.call(*node, "Standby", "a{sv}", [options])
        await there.client.call(*node, "Unstandby", "a{sv}", [{}])

        standby, unstandby = there.core.ordered
        assert done == []
        assert (standby.order, standby.node) == (MaintenanceOrder.STANDBY, NODE2)
        assert (standby.for_ms, standby.brings_back) == (60_000, True)
        assert (unstandby.order, unstandby.node) == (MaintenanceOrder.UNSTANDBY, NODE2)

    run(tmp_path, scenario)


def test_the_manager_carries_orders_about_the_cluster(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        answer = await there.client.call(*MANAGER, "Order", "ssa{sv}", ["lock", "", {}])

        assert answer == [0, DONE.text]
        assert [request.order for request in there.core.ordered] == [MaintenanceOrder.LOCK]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("order", "node", "options", "name"),
    [
        ("explode", "", {}, "InvalidVerb"),
        ("standby", "", {}, "InvalidArgument"),
        ("lock", "node1", {}, "InvalidArgument"),
        ("standby", "node9", {}, "UnknownNode"),
        ("lock", "", {"reason": variant("s", "x")}, "InvalidArgument"),
        ("disarm", "", {"for_ms": variant("s", "1")}, "InvalidArgument"),
        ("disarm", "", {"for_ms": variant("b", True)}, "InvalidArgument"),  # noqa: FBT003
        ("disarm", "", {"for_ms": variant("x", -1)}, "InvalidArgument"),
    ],
)
def test_a_nonsensical_order_is_refused(
    tmp_path: Path, order: str, node: str, options: dict[str, object], name: str
) -> None:
    async def scenario(there: World) -> None:
        call = there.client.call(*MANAGER, "Order", "ssa{sv}", [order, node, options])

        assert (await refused(call))[0] == name
        assert there.core.ordered == []

    run(tmp_path, scenario)


def test_the_history_comes_as_text(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        (text,) = await there.client.call(*MANAGER, "History")

        assert decode_history(str(text)) == there.core.decided

    run(tmp_path, scenario)


def test_a_caller_that_floods_is_told_so_and_others_are_served(tmp_path: Path) -> None:
    async def scenario(there: World) -> None:
        flooder = await Bus.connect(there.address)
        calls = [flooder.call(*MANAGER, "Status") for _ in range(CALLS_PER_SECOND_MAX + 50)]

        found = await asyncio.gather(*calls, return_exceptions=True)

        faults = {e.name for e in found if isinstance(e, BusError)}
        assert faults == {"org.rgmgr.Error.Busy"}
        assert await there.client.call(*MANAGER, "Status")
        await flooder.close()

    run(tmp_path, scenario)
