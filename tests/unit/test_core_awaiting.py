# SPDX-License-Identifier: Apache-2.0
"""Services that wait for their node: nothing starts elsewhere before time or a human says so."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import FailoverDomain
from rgmgr.core.actions import Answer, StartResource
from rgmgr.core.events import ConfigLoaded, Requested, Shutdown, ShutdownRequested
from rgmgr.core.messages import Request, Verb
from rgmgr.core.model import AwaitKind, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.spec import ShutdownMode, TakeoverMode
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

MINUTE_MS = 60_000


def with_takeover(mode: TakeoverMode, delay_ms: int = 0) -> Cluster:
    return formed(spec=spec(web(takeover=mode, takeover_delay_ms=delay_ms)))


def with_shutdown(mode: ShutdownMode, wait_ms: int = 0) -> Cluster:
    return formed(spec=spec(web(on_shutdown=mode, shutdown_wait_ms=wait_ms)))


def lose_owner(cluster: Cluster) -> None:
    """Let node1 die, and be fenced."""
    cluster.kill(N1)
    cluster.view(N2, N3)
    del cluster.actions[:]


def shut_down_owner(cluster: Cluster) -> None:
    """Let node1 say goodbye."""
    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()
    cluster.kill(N1)
    cluster.view(N2, N3)


def return_of_owner(cluster: Cluster) -> None:
    cluster.boot(N1)
    cluster.view(N1, N2, N3)


def decide(cluster: Cluster, verb: Verb, because: str = "") -> tuple[Answer, str]:
    number = len(cluster.actions) + 1
    request = Request(number=number, verb=verb, service=WEB, by="alice", because=because)
    cluster.feed(N2, Requested(request))
    cluster.settle()
    reply = cluster.reply(N2, number)
    assert reply is not None
    return reply.answer, reply.text


def state(cluster: Cluster) -> tuple[ServiceState, object]:
    return cluster.service().state, cluster.service().owner


def why(cluster: Cluster) -> str | None:
    return because(cluster.states[N2].cluster, WEB)


WAITING = (ServiceState.STOPPED, None)
TIMED_MODES = [
    (TakeoverMode.DELAY, "node1 was lost: taken over after 300 s, unless it is back before"),
    (
        TakeoverMode.CONFIRM,
        "node1 was lost: waiting for it, or for an administrator to confirm the takeover",
    ),
    (
        TakeoverMode.ALERT,
        "node1 was lost: waiting for it, or for an administrator to enable the service",
    ),
]


@pytest.mark.parametrize(("mode", "words"), TIMED_MODES)
def test_a_service_of_a_lost_owner_waits_although_the_proof_is_there(
    mode: TakeoverMode, words: str
) -> None:
    cluster = with_takeover(mode, 5 * MINUTE_MS)

    lose_owner(cluster)
    cluster.run(4 * MINUTE_MS)

    assert state(cluster) == WAITING
    assert why(cluster) == words
    assert cluster.took(StartResource) == []


@pytest.mark.parametrize("mode", [mode for mode, _ in TIMED_MODES])
def test_it_starts_on_its_node_as_soon_as_that_is_back(mode: TakeoverMode) -> None:
    cluster = with_takeover(mode, 5 * MINUTE_MS)
    lose_owner(cluster)

    return_of_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N1)


def test_auto_starts_at_once() -> None:
    cluster = formed()

    lose_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_a_delayed_takeover_happens_when_its_time_is_up() -> None:
    cluster = with_takeover(TakeoverMode.DELAY, 5 * MINUTE_MS)
    lose_owner(cluster)

    cluster.run(5 * MINUTE_MS + 1_000)

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_the_time_goes_on_when_its_keeper_is_lost_too() -> None:
    cluster = formed(
        spec=spec(web(takeover=TakeoverMode.DELAY, takeover_delay_ms=MINUTE_MS), nodes=5)
    )
    cluster.kill(N1)
    members = tuple(sorted(cluster.states))
    cluster.view(*members)
    cluster.run(30_000)
    cluster.kill(N2)
    cluster.view(*members[1:])

    cluster.run(31_000)

    assert cluster.service(N3).owner == N3


def test_a_confirmed_takeover_starts_it_and_is_remembered() -> None:
    cluster = with_takeover(TakeoverMode.CONFIRM)
    lose_owner(cluster)

    answer, _ = decide(cluster, Verb.CONFIRM, "replica is in sync")

    assert answer is Answer.DONE
    assert state(cluster) == (ServiceState.STARTED, N2)
    assert cluster.service().decision == "confirmed by alice: replica is in sync"
    assert "takeover.confirmed" in cluster.records()


def test_a_refused_takeover_waits_on_and_starts_on_its_own_node() -> None:
    cluster = with_takeover(TakeoverMode.DELAY, MINUTE_MS)
    lose_owner(cluster)

    answer, text = decide(cluster, Verb.REFUSE, "replica is old")
    cluster.run(2 * MINUTE_MS)

    assert (answer, state(cluster)) == (Answer.DONE, WAITING)
    assert text == "web waits for its node: takeover refused by alice: replica is old"
    assert why(cluster) == "waiting for node1: takeover refused by alice: replica is old"
    return_of_owner(cluster)
    assert state(cluster) == (ServiceState.STARTED, N1)


def test_of_two_humans_the_first_decides_and_the_second_is_told() -> None:
    cluster = with_takeover(TakeoverMode.CONFIRM)
    lose_owner(cluster)
    decide(cluster, Verb.REFUSE, "no")

    answer, text = decide(cluster, Verb.CONFIRM)

    assert answer is Answer.INVALID
    assert text == "nobody is asked about a takeover of web: refused by alice: no"
    assert state(cluster) == WAITING


@pytest.mark.parametrize("mode", [TakeoverMode.ALERT, TakeoverMode.CONFIRM])
def test_to_enable_it_is_a_decision_as_well(mode: TakeoverMode) -> None:
    cluster = with_takeover(mode)
    lose_owner(cluster)

    reply = cluster.ask(N3, Verb.ENABLE)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.DONE, N2)


@pytest.mark.parametrize("mode", [mode for mode, _ in TIMED_MODES])
def test_an_outage_does_not_forget_that_it_waits(mode: TakeoverMode) -> None:
    cluster = with_takeover(mode, 5 * MINUTE_MS)
    lose_owner(cluster)
    for node in (N2, N3):
        cluster.kill(node)

    cluster.boot(N2, N3)
    cluster.view(N2, N3)

    assert state(cluster) == WAITING
    assert cluster.service().awaits is not None
    assert cluster.took(StartResource) == []


def test_the_owner_that_does_not_come_back_from_an_outage_was_lost_as_well() -> None:
    """Its data may be newer than those of the node that would start it."""
    cluster = with_takeover(TakeoverMode.CONFIRM)
    for node in (N1, N2, N3):
        cluster.kill(node)
    cluster.boot(N2, N3)
    cluster.view(N2, N3)
    cluster.run(10_000)

    assert state(cluster) == WAITING
    wait = cluster.service().awaits
    assert wait is not None
    assert (wait.node, wait.kind) == (N1, AwaitKind.CONFIRM)


def test_a_wait_for_a_node_that_may_not_have_it_any_more_is_over() -> None:
    cluster = with_takeover(TakeoverMode.CONFIRM)
    lose_owner(cluster)
    base = cluster.spec
    without = FailoverDomain(name="prefer", restricted=True, priorities={N2: 1, N3: 2})
    newer = replace(base, version=2, digest="d2", domains={"prefer": without})

    cluster.feed(N2, ConfigLoaded(newer))
    cluster.settle()

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_after_a_shutdown_it_starts_elsewhere_at_once_by_default() -> None:
    cluster = formed()

    shut_down_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N2)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (ShutdownMode.WAIT, "waiting for node1, which was shut down, for at most 600 s"),
        (ShutdownMode.STAY, "waiting for node1, which was shut down"),
    ],
)
def test_after_a_shutdown_it_waits_for_its_node_and_starts_there(
    mode: ShutdownMode, words: str
) -> None:
    cluster = with_shutdown(mode, 10 * MINUTE_MS)

    shut_down_owner(cluster)
    cluster.run(9 * MINUTE_MS)
    assert (state(cluster), why(cluster)) == (WAITING, words)
    return_of_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N1)


def test_a_node_that_stays_away_for_too_long_loses_it() -> None:
    cluster = with_shutdown(ShutdownMode.WAIT, 10 * MINUTE_MS)
    shut_down_owner(cluster)

    cluster.run(10 * MINUTE_MS + 1_000)

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_a_service_that_stays_is_not_started_elsewhere_ever() -> None:
    cluster = with_shutdown(ShutdownMode.STAY)
    shut_down_owner(cluster)

    cluster.run(100 * MINUTE_MS)

    assert state(cluster) == WAITING


def test_a_start_that_fails_on_the_returned_node_goes_on_elsewhere() -> None:
    cluster = with_shutdown(ShutdownMode.STAY)
    shut_down_owner(cluster)
    cluster.broken_starts.add((N1, "nginx"))

    return_of_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_a_lost_node_is_not_a_node_that_was_shut_down() -> None:
    cluster = with_shutdown(ShutdownMode.STAY)

    lose_owner(cluster)

    assert state(cluster) == (ServiceState.STARTED, N2)


def test_who_joined_while_it_waited_has_it_once_it_is_up_on_its_own_node() -> None:
    """Only there it has what it left behind, and node1 had come when nobody could be asked."""
    cluster = with_takeover(TakeoverMode.CONFIRM)
    shut_down_owner(cluster)
    assert cluster.service().owner == N2
    cluster.kill(N2)
    cluster.boot(N1)
    cluster.view(N1, N3)
    assert cluster.service(N1).awaits is not None
    del cluster.actions[:]

    cluster.boot(N2)
    cluster.view(N1, N2, N3)
    cluster.run(1_000)

    assert [node for node, _ in cluster.took(StartResource)] == [N2, N2, N1, N1]
    assert state(cluster) == (ServiceState.STARTED, N1)


def test_who_was_there_before_it_waited_does_not_take_it_from_its_own_node() -> None:
    cluster = with_takeover(TakeoverMode.CONFIRM)
    assert cluster.ask(N2, Verb.RELOCATE, N2) is not None
    cluster.kill(N2)
    cluster.view(N1, N3)
    cluster.boot(N2)
    cluster.view(N1, N2, N3)
    cluster.run(1_000)

    assert state(cluster) == (ServiceState.STARTED, N2)
