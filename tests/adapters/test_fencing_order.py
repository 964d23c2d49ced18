# SPDX-License-Identifier: Apache-2.0
"""What fencing does after, before and beside an agent: power on, devices in turn, calling off."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from domains.model import NodeId
from rgmgr.adapters.fencing.devices import KEPT_READY
from rgmgr.core.actions import FenceNode, Severity, TestPaths
from rgmgr.core.events import SwitchOnEnded, TestEnded
from rgmgr.core.model import PathState, ProofKind
from rgmgr.core.spec import FenceStep
from tests.adapters.fencing_bench import (
    Lab,
    action,
    appearing,
    device,
    is_gone,
    on_again,
    probe,
    run,
    single,
    step,
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def switch_on(lab: Lab, fenced: FenceNode, *steps: FenceStep) -> SwitchOnEnded:
    async def work() -> None:
        await lab.runner.switch_on(on_again(fenced, steps))

    asyncio.run(work())
    (ended,) = lab.restored
    return ended


def test_what_was_switched_off_is_named_also_of_a_method_that_failed(lab: Lab) -> None:
    lab.recorder("fence_ok")
    lab.recorder("fence_bad", "exit 1")
    devices = (device("a", "fence_ok"), device("b", "fence_bad"), device("c", "fence_ok"))
    methods = ((step("a", plug="1"), step("b")), (step("c", plug="2"),))
    (ended,) = run(lab, action(*methods, devices=devices))

    assert ended.switched_off == (step("a", plug="1"), step("c", plug="2"))
    assert lab.calls() == ["fence_ok off 1", "fence_bad off ", "fence_ok off 2"]


def test_every_device_is_switched_on_again(lab: Lab) -> None:
    lab.recorder("fence_ok")
    fenced = action(devices=(device("a", "fence_ok"), device("b", "fence_ok")))
    ended = switch_on(lab, fenced, step("a", plug="1"), step("b", plug="2"))

    assert (ended.node, ended.victim, ended.fault) == (fenced.node, fenced.victim, "")
    assert lab.calls() == ["fence_ok on 1", "fence_ok on 2"]


def test_a_failing_power_on_is_tried_again(lab: Lab) -> None:
    lab.recorder("fence_x", "echo no >&2; exit 1")
    ended = switch_on(lab, single(), step("d"))

    assert lab.calls() == ["fence_x on "] * 3
    assert ended.fault == "d: on failed with exit status 1: no"


def test_a_power_on_that_cannot_be_tried_is_told(lab: Lab) -> None:
    ended = switch_on(lab, single(), step("d"))
    assert "fence agent 'fence_x' was not found" in ended.fault


def test_nothing_is_to_be_switched_on_while_an_off_may_still_arrive(lab: Lab) -> None:
    lab.recorder("fence_x", "[ $action = status ] && exit 2; exec sleep 60")
    devices = (device("d", "fence_x"),)
    (ended,) = run(lab, action((step("d"),), devices=devices, timeout_ms=600))

    assert ended.is_confirmed
    assert ended.switched_off == ()
    assert lab.events() == ["fence.power_on_skipped"]
    assert lab.severities["fence.power_on_skipped"] is Severity.WARNING


@pytest.mark.parametrize(
    ("agents", "kind"),
    [
        (("fence_x",), ProofKind.FENCED),
        (("fence_watchdog",), ProofKind.TIMED),
        (("fence_meatware",), ProofKind.HUMAN),
        (("fence_x", "fence_watchdog"), ProofKind.TIMED),
        (("fence_meatware", "fence_watchdog"), ProofKind.HUMAN),
    ],
)
def test_a_method_proves_as_much_as_its_weakest_device(
    lab: Lab, agents: tuple[str, ...], kind: ProofKind
) -> None:
    devices = tuple(device(agent, agent) for agent in agents)
    for agent in agents:
        lab.agent(agent, "exit 0")
    asked = action(tuple(step(agent) for agent in agents), devices=devices)
    (ended,) = run(lab, replace(asked, watchdog_wait_ms=1))

    assert ended.kind is kind


def test_a_tie_is_lost_by_who_sees_none_of_the_addresses(lab: Lab) -> None:
    lab.recorder("fence_x")
    tied = replace(single(), tie_breaker=("10.0.0.1", "10.0.0.2"))
    run(lab, tied)
    assert lab.calls() == []
    assert "tie breaker" in lab.ended[0].detail

    lab.reachable.add("10.0.0.2")
    run(lab, tied)
    assert [ended.is_confirmed for ended in lab.ended] == [False, True]


def found(lab: Lab, tested: TestPaths) -> list[tuple[PathState, str]]:
    async def work() -> None:
        await lab.runner.test(tested)

    asyncio.run(work())
    return [(path.state, path.detail) for path in lab.tested[-1].paths]


def test_a_path_works_when_its_plug_reads_on_and_nothing_is_switched(lab: Lab) -> None:
    lab.recorder("fence_x")
    assert found(lab, probe(single())) == [(PathState.WORKS, "")]
    assert lab.calls() == ["fence_x status "]


def test_a_plug_of_a_member_that_reads_off_is_a_lie_and_of_a_dead_node_is_not(lab: Lab) -> None:
    lab.recorder("fence_x", "exit 2")
    ((state, detail),) = found(lab, probe(single()))
    assert (state, "right plug" in detail) == (PathState.LIES, True)
    assert found(lab, probe(single(), is_member=False)) == [(PathState.WORKS, "")]


def test_a_human_has_no_plug_to_be_asked_for(lab: Lab) -> None:
    lab.recorder("fence_meatware", "[ $action = monitor ]")
    assert found(lab, probe(single("fence_meatware"))) == [(PathState.WORKS, "")]


@pytest.mark.parametrize(
    ("body", "word"),
    [("echo refused >&2; exit 1", "refused"), ("exec sleep 60", "no answer in time")],
)
def test_a_device_that_does_not_answer_fails_its_test(lab: Lab, body: str, word: str) -> None:
    lab.agent("fence_x", body)
    ((state, detail),) = found(lab, probe(single(), timeout_ms=300))
    assert (state, word in detail) == (PathState.FAILS, True)


def test_an_agent_that_is_not_installed_fails_its_test(lab: Lab) -> None:
    ((state, detail),) = found(lab, probe(single()))
    assert (state, "not found" in detail) == (PathState.FAILS, True)


def test_a_test_gives_way_to_a_fence(lab: Lab) -> None:
    """A dead device would hold the fence up for the whole time limit of the test."""
    lab.recorder("fence_x", '[ $action = off ] || { echo begun > "$HERE/begun"; exec sleep 60; }')

    async def work() -> None:
        test = lab.runner.test(probe(single()))
        await appearing(lab.path / "begun")
        await lab.runner.start(single())
        await test

    asyncio.run(work())
    assert [ended.is_confirmed for ended in lab.ended] == [True]
    assert lab.tested == [TestEnded(())]


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


def test_a_fence_that_is_ended_switches_nothing_off_any_more(lab: Lab, gate: Gate) -> None:
    lab.recorder("fence_x", AT_THE_GATE + 'echo off > "$HERE/switched"')
    devices = (device("d", "fence_x"),)

    async def fence() -> None:
        running = lab.runner.start(action((step("d"),), devices=devices, node=2))
        waiting = lab.runner.start(action((step("d"),), devices=devices, node=3))
        await appearing(lab.path / "begun")
        lab.runner.end(NodeId(2))
        lab.runner.end(NodeId(3))
        lab.runner.end(NodeId(9))
        await asyncio.wait([running, waiting])

    asyncio.run(fence())
    gate.open()
    assert lab.ended == []
    assert lab.calls() == ["fence_x off "]
    assert not (lab.path / "switched").exists()
    assert lab.events() == ["fence.attempt_ended"]


def test_a_node_that_is_fenced_again_is_not_switched_on(lab: Lab, gate: Gate) -> None:
    lab.recorder("fence_x", f"[ $action = off ] || {{ {AT_THE_GATE} exit 1; }}")

    async def fence() -> None:
        on = lab.runner.switch_on(on_again(single(), (step("d"),)))
        await appearing(lab.path / "begun")
        again = lab.runner.start(single())
        gate.open()
        await asyncio.wait([again, on])

    asyncio.run(fence())
    assert lab.calls() == ["fence_x on ", "fence_x off "]
    assert lab.restored == []


def test_closing_kills_agents_and_tells_nothing(lab: Lab) -> None:
    lab.agent("fence_x", 'echo $$ > "$HERE/begun"; exec sleep 60')

    async def fence() -> int:
        lab.runner.start(single())
        agent = int(await appearing(lab.path / "begun"))
        await lab.runner.close()
        return agent

    assert is_gone(asyncio.run(fence()))
    assert lab.ended == []


def test_fence_kdump_which_has_no_status_is_asked_whether_it_works(lab: Lab) -> None:
    """Else its path would fail for ever."""
    lab.recorder("fence_kdump", "[ $action = monitor ]")
    assert found(lab, probe(single("fence_kdump"))) == [(PathState.WORKS, "")]


def test_an_agent_is_started_before_it_is_needed_and_told_then(lab: Lab) -> None:
    told = (
        'text=$(cat); [ -z "$text" ] || echo "$text" > "$HERE/told"'  # one that waits says nothing
    )
    lab.agent("fence_ipmi", f'echo $$ >> "$HERE/started"; {told}')

    async def work() -> None:
        await lab.runner.start(single("fence_ipmi"))
        while (lab.path / "started").read_text(encoding="utf-8").count("\n") != 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await lab.runner.start(single("fence_ipmi", ip="10.0.9.1"))
        assert "ip=10.0.9.1\n" in (lab.path / "told").read_text(encoding="utf-8")
        await lab.runner.close()

    asyncio.run(work())
    began = [int(pid) for pid in (lab.path / "started").read_text(encoding="utf-8").split()]
    assert len(began) in (2, 3), "the second fence began with the agent that was ready"
    assert all(is_gone(pid) for pid in began)


def test_an_agent_that_was_replaced_meanwhile_is_started_anew(lab: Lab) -> None:
    lab.recorder("fence_ipmi", "exit 1")

    async def work() -> None:
        await lab.runner.start(single("fence_ipmi"))
        (lab.path / "fence_ipmi").unlink()
        lab.recorder("fence_ipmi", "exit 0")
        await lab.runner.start(single("fence_ipmi"))
        await lab.runner.close()

    asyncio.run(work())
    assert [ended.is_confirmed for ended in lab.ended] == [False, True]


@pytest.mark.parametrize("name", sorted(KEPT_READY))
def test_an_agent_that_is_kept_ready_does_nothing_when_it_is_told_nothing(name: str) -> None:
    """Whoever keeps it may be killed, and its input ends."""
    agent = Path(__file__).parents[2] / "fence_agents" / name
    ended = subprocess.run([agent], input=b"", capture_output=True, check=False)

    assert ended.returncode == 1
    assert b"was not tried" in ended.stderr
