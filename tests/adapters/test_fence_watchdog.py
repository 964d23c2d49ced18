# SPDX-License-Identifier: Apache-2.0
"""fence_watchdog as its callers see it, and what the runner makes of it."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.core.model import PathState, ProofKind
from tests.adapters.fencing_bench import Lab, probe, run, single
from tests.conftest import Golden

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_watchdog"
NAME = "fence_watchdog"


def ask(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([AGENT], input=text, capture_output=True, text=True, check=False)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_off_takes_as_long_as_it_is_told() -> None:
    began = time.monotonic()

    ended = ask("action=off\nwait=0.5\nnodename=node1\n")

    assert (ended.returncode, ended.stdout) == (
        0,
        "Success: the watchdog has reset it within 0.5 s\n",
    )
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("wait", ["", "wait=0\n", "wait=0.0\n", "wait=soon\n", "wait=-1\n"])
def test_no_time_is_assumed(wait: str) -> None:
    ended = ask(f"action=off\n{wait}nodename=node1\n")

    assert ended.returncode == 1
    assert "wait" in ended.stderr


def test_a_state_is_not_known_and_a_node_boots_by_itself() -> None:
    assert ask("action=status\n").returncode == 1
    assert ask("action=monitor\n").returncode == 0
    assert ask("action=on\n").returncode == 0


def test_its_metadata(golden: Golden) -> None:
    golden("fence_watchdog.metadata.xml", ask("action=metadata\n").stdout)


def test_the_runner_tells_how_long_to_wait_whatever_an_administrator_wrote(lab: Lab) -> None:
    lab.agent(NAME, "exec grep -qx wait=34.500")
    promised = replace(single(NAME, wait="1"), watchdog_wait_ms=34_500)
    (ended,) = run(lab, promised)

    assert (ended.is_confirmed, ended.kind) == (True, ProofKind.TIMED)
    assert ended.switched_off == (), "it boots by itself"


def test_time_proves_nothing_of_a_node_that_has_promised_no_watchdog(lab: Lab) -> None:
    lab.agent(NAME, "exit 0")
    (ended,) = run(lab, single(NAME))

    assert not ended.is_confirmed
    assert ended.detail == ("method 1: d: node2 has promised no watchdog, so time proves nothing")


def test_two_nodes_are_waited_for_at_once(lab: Lab) -> None:
    lab.agent(NAME, "exec sleep 0.4")
    first = replace(single(NAME), watchdog_wait_ms=400)
    began = time.monotonic()

    run(lab, first, replace(first, node=first.node + 1, node_name="node3"))  # type: ignore[arg-type]

    assert [ended.is_confirmed for ended in lab.ended] == [True, True]
    assert time.monotonic() - began < 0.75


def test_the_path_to_a_member_without_a_watchdog_fails(lab: Lab) -> None:
    """An administrator must hear of it before the node is lost."""
    lab.agent(NAME, "exit 0")

    async def states(*, is_member: bool, wait_ms: int) -> list[PathState]:
        asked = probe(single(NAME), is_member=is_member)
        targets = tuple(replace(each, watchdog_wait_ms=wait_ms) for each in asked.targets)
        await lab.runner.test(replace(asked, targets=targets))
        return [path.state for path in lab.tested[-1].paths]

    assert asyncio.run(states(is_member=True, wait_ms=0)) == [PathState.FAILS]
    assert asyncio.run(states(is_member=True, wait_ms=9)) == [PathState.WORKS]
    assert asyncio.run(states(is_member=False, wait_ms=0)) == [PathState.WORKS]
