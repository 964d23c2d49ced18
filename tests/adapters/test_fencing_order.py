# SPDX-License-Identifier: Apache-2.0
"""What fencing does after, before and beside an agent: power on, devices in turn, calling off."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from domains.model import NodeId
from rgmgr.core.actions import Severity
from rgmgr.core.spec import FenceVerb
from tests.adapters.fencing_bench import Lab, action, appearing, device, is_gone, run, single, step


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_reboot_switches_on_what_was_switched_off_after_the_answer(lab: Lab) -> None:
    lab.recorder("fence_ok")
    lab.recorder("fence_bad", "exit 1")
    devices = (device("a", "fence_ok"), device("b", "fence_bad"), device("c", "fence_ok"))
    methods = ((step("a", plug="1"), step("b")), (step("c", plug="2"),))
    run(lab, action(*methods, devices=devices, verb=FenceVerb.REBOOT))
    assert lab.calls()[-2:] == ["fence_ok on 1", "fence_ok on 2"]
    assert lab.events() == ["fence.power_restored", "fence.power_restored"]
    assert len(lab.ended) == 1


def test_a_failing_power_on_is_tried_again_and_decides_nothing(lab: Lab) -> None:
    lab.recorder("fence_x", "[ $action = off ]")
    devices = (device("d", "fence_x"),)
    (ended,) = run(lab, action((step("d"),), devices=devices, verb=FenceVerb.REBOOT))
    assert ended.is_confirmed
    assert lab.calls() == ["fence_x off ", *["fence_x on "] * 3]
    assert lab.events() == ["fence.power_on_failed"]
    assert lab.severities["fence.power_on_failed"] is Severity.WARNING


def test_a_power_on_that_cannot_be_tried_is_told(lab: Lab) -> None:
    lab.agent("fence_x", 'rm "$0"')
    devices = (device("d", "fence_x"),)
    (ended,) = run(lab, action((step("d"),), devices=devices, verb=FenceVerb.REBOOT))
    assert ended.is_confirmed
    (event, fields) = lab.notes[-1]
    assert event == "fence.power_on_failed"
    assert "fence agent 'fence_x' was not found" in str(fields["reason"])


def test_nothing_is_switched_on_while_an_off_may_still_arrive(lab: Lab) -> None:
    lab.recorder("fence_x", "[ $action = status ] && exit 2; exec sleep 60")
    devices = (device("d", "fence_x"),)
    (ended,) = run(
        lab, action((step("d"),), devices=devices, timeout_ms=600, verb=FenceVerb.REBOOT)
    )
    assert ended.is_confirmed
    assert "fence_x on " not in lab.calls()
    assert lab.events() == ["fence.power_on_skipped"]
    assert lab.severities["fence.power_on_skipped"] is Severity.WARNING


def test_off_switches_nothing_on(lab: Lab) -> None:
    lab.recorder("fence_x")
    run(lab, single())
    assert lab.calls() == ["fence_x off "]


class Gate:
    """A named pipe on which an agent waits: `read x < "$HERE/gate"`."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / "gate"
        os.mkfifo(self.path)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def open(self) -> None:
        os.write(self.descriptor, b"\n")

    def close(self) -> None:
        os.close(self.descriptor)


@pytest.fixture
def gate(lab: Lab) -> Iterator[Gate]:
    made = Gate(lab)
    yield made
    made.close()


AT_THE_GATE = 'echo begun > "$HERE/begun"; read x < "$HERE/gate"; '


def test_one_device_is_used_by_one_agent_at_a_time(lab: Lab) -> None:
    lab.agent("fence_x", 'mkdir "$HERE/busy" || exit 1; cat > /dev/null; rmdir "$HERE/busy"')
    devices = (device("d", "fence_x"),)
    run(lab, *(action((step("d"),), devices=devices, node=node) for node in range(2, 8)))
    assert [ended.is_confirmed for ended in lab.ended] == [True] * 6


def test_victims_with_their_own_devices_are_fenced_in_parallel(lab: Lab) -> None:
    """Each agent waits for the other one, so one after the other would never end."""
    os.mkfifo(lab.path / "meet")
    lab.agent("fence_a", 'echo hello > "$HERE/meet"')
    lab.agent("fence_b", 'read x < "$HERE/meet"')
    run(
        lab,
        action((step("a"),), devices=(device("a", "fence_a"),), node=2, timeout_ms=1500),
        action((step("b"),), devices=(device("b", "fence_b"),), node=3, timeout_ms=1500),
    )
    assert [ended.is_confirmed for ended in lab.ended] == [True, True]


def test_a_fence_is_called_off_only_before_its_agent_has_begun(lab: Lab, gate: Gate) -> None:
    lab.recorder("fence_x", AT_THE_GATE)
    devices = (device("d", "fence_x"),)

    async def fence() -> None:
        running = lab.runner.start(action((step("d"),), devices=devices, node=2))
        waiting = lab.runner.start(action((step("d"),), devices=devices, node=3))
        await appearing(lab.path / "begun")
        assert not lab.runner.cancel(NodeId(2))
        assert not lab.runner.cancel(NodeId(9))
        assert lab.runner.cancel(NodeId(3))
        assert not lab.runner.cancel(NodeId(3))
        gate.open()
        await asyncio.wait([running, waiting])

    asyncio.run(fence())
    assert [(ended.node, ended.is_confirmed) for ended in lab.ended] == [(3, False), (2, True)]
    assert lab.ended[0].detail == "called off before an agent was started"
    assert lab.calls() == ["fence_x off "]


def test_a_node_that_is_fenced_again_is_not_switched_on(lab: Lab, gate: Gate) -> None:
    lab.recorder("fence_x", f"[ $action = off ] || {{ {AT_THE_GATE} exit 1; }}")
    devices = (device("d", "fence_x"),)

    async def fence() -> None:
        await lab.runner.start(action((step("d"),), devices=devices, verb=FenceVerb.REBOOT))
        await appearing(lab.path / "begun")
        again = lab.runner.start(action((step("d"),), devices=devices))
        gate.open()
        await again
        await lab.runner.power_on_finished()

    asyncio.run(fence())
    assert lab.calls() == ["fence_x off ", "fence_x on ", "fence_x off "]
    assert [ended.is_confirmed for ended in lab.ended] == [True, True]


def test_closing_kills_agents_and_tells_nothing(lab: Lab) -> None:
    lab.agent("fence_x", 'echo $$ > "$HERE/begun"; exec sleep 60')

    async def fence() -> int:
        lab.runner.start(single())
        agent = int(await appearing(lab.path / "begun"))
        await lab.runner.close()
        return agent

    assert is_gone(asyncio.run(fence()))
    assert lab.ended == []
