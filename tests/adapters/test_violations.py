# SPDX-License-Identifier: Apache-2.0
"""A daemon that finds its own state impossible says what it knew, and does nothing more."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.adapters.journal import Journal
from rgmgr.core.actions import Action, FenceNode, StartResource
from rgmgr.core.events import Delivered, ResourceFailed
from rgmgr.core.invariants import check_actions
from rgmgr.core.local import State
from rgmgr.core.messages import Leaving, Operation
from rgmgr.core.model import ServiceState
from rgmgr.core.spec import FenceDevice, ResourceName
from rgmgr.errors import InvariantViolation
from rgmgr.runtime import daemon
from rgmgr.runtime.pump import Pump
from rgmgr.runtime.violations import outline, run_watched
from tests.unit.core_cluster import N1, N2, WEB, formed, spec, tree

PASSWORD = "correct horse battery staple"


def a_state() -> State:
    """Return node1 of three, which runs `web`; a password is in its configuration."""
    device = FenceDevice(name="ipmi", agent="fence_ipmi", options={"password": PASSWORD})
    return formed(spec=spec(devices={"ipmi": device})).states[N1]


def an_impossible_state() -> State:
    """Return the same with a record that cannot be: started, and nobody's."""
    state = a_state()
    web = replace(state.cluster.services[WEB], owner=None)
    return replace(state, cluster=replace(state.cluster, services={WEB: web}))


def a_word(state: State) -> Delivered:
    """Return an operation of node2, which changes the agreed state."""
    node = state.cluster.nodes[N2]
    operation = Operation(
        epoch=state.cluster.epoch,
        incarnation=node.incarnation,
        sequence=node.sequence + 1,
        first_epoch=state.cluster.epoch,
        at_ms=0,
        body=Leaving(),
    )
    return Delivered(N2, operation)


def run(state: State, *events: Delivered | ResourceFailed) -> tuple[list[Action], str]:
    """Feed events to a pump until it ends; return what was carried out, and the journal."""
    stream = io.StringIO()
    Journal(stream).install()
    done: list[Action] = []

    async def live() -> None:
        pump = Pump(state, done.append, lambda _state: None)
        for event in events:
            pump.put(event)
        async with asyncio.timeout(10):
            await run_watched(pump)

    with pytest.raises(InvariantViolation):
        asyncio.run(live())
    return done, stream.getvalue()


def test_nothing_is_done_on_the_ground_of_an_impossible_state() -> None:
    state = an_impossible_state()
    failure = ResourceFailed(service=WEB, resource=ResourceName("nginx"), reason="exited")

    done, _ = run(state, a_word(state), failure)

    assert done == []


def test_the_journal_has_the_state_and_no_secret() -> None:
    state = an_impossible_state()

    _, journal = run(state, a_word(state))

    assert "state.violated" in journal
    assert "web is started and has no owner" in journal
    assert '"services":{"web":{"state":"started"' in journal.replace("\\", "")
    assert PASSWORD not in journal
    assert PASSWORD in repr(state), "the test must have something to hide"


def test_the_outline_is_json() -> None:
    facts = json.loads(outline(a_state()))

    assert facts["nodes"]["2"]["status"] == "online"
    assert facts["services"]["web"]["owner"] == N1
    assert facts["active"] == {"web": ["vip", "nginx"]}


def test_the_status_says_that_it_was_a_bug_of_this_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "cluster.toml"
    config.write_text(
        '[cluster]\nname = "a"\nversion = 1\n[fencing]\nunsafe_disabled = true\n'
        '[[node]]\nname = "n1"\n',
        encoding="utf-8",
    )

    async def live(*_given: object) -> int:
        raise ExceptionGroup("tasks", [InvariantViolation("web is active twice")])

    monkeypatch.setattr(daemon, "_live", live)
    arguments = ["--config", str(config), "--state-dir", str(tmp_path)]

    status = daemon.main([*arguments, "--runtime-dir", str(tmp_path)])

    assert status == 70


# What must not be done, whatever led to it.


def start(state: State, **changes: object) -> StartResource:
    op = state.cluster.services[WEB].op
    action = StartResource(service=WEB, resource=tree()[0], op=op)
    return replace(action, **changes)  # type: ignore[arg-type]


def starting() -> State:
    state = a_state()
    web = replace(state.cluster.services[WEB], state=ServiceState.STARTING)
    return replace(state, cluster=replace(state.cluster, services={WEB: web}))


def test_what_the_record_says_may_be_started() -> None:
    state = starting()

    assert check_actions(state, [start(state)]) == ()


def test_what_no_record_says_must_not_be_started() -> None:
    state = starting()
    elsewhere = replace(state, local=replace(state.local, me=N2))

    assert "no record says so" in check_actions(a_state(), [start(a_state())])[0]
    assert "no record says so" in check_actions(state, [start(state, op=1)])[0]
    assert "no record says so" in check_actions(elsewhere, [start(state)])[0]


@pytest.mark.parametrize(
    "changes",
    [{"is_quorate": False}, {"quorum_ring": None}, {"view": None}, {"is_installed": False},
     {"emergency": "no quorum"}],
    ids=str,
)  # fmt: skip
def test_nothing_is_started_and_nobody_fenced_without_quorum(changes: dict[str, object]) -> None:
    state = starting()
    without = replace(state, local=replace(state.local, **changes))  # type: ignore[arg-type]
    fence = FenceNode(
        node=N2, node_name="node2", victim=1, attempt=1, methods=(),
        timeout_ms=1,
    )  # fmt: skip

    assert check_actions(without, [start(state)]) == (
        "web/vip is started without quorum for the present ring",
    )
    assert check_actions(without, [fence]) == (
        "node2 is fenced although it is online",
        "node2 is fenced without quorum for the present ring",
    )
