# SPDX-License-Identifier: Apache-2.0
"""Services that go back to a better node later: agreed, and by one member's clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId, Window
from rgmgr.core.actions import Answer
from rgmgr.core.events import Delivered, Requested, TimerFired
from rgmgr.core.messages import (
    FailbackDue,
    MaintenanceOrder,
    MaintenanceRequest,
    Operation,
    Tick,
    Verb,
)
from rgmgr.core.model import Failback, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.reasons import why_there
from rgmgr.core.spec import ClusterSpec
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec

N4, N5 = NodeId(4), NodeId(5)

NOON = 12 * 60


def _spec(delay_ms: int = 0, window: Window | None = None) -> ClusterSpec:
    plain = spec()
    domain = replace(plain.domains["prefer"], failback_delay_ms=delay_ms, failback_window=window)
    return replace(plain, domains={"prefer": domain})


def _returned(given: ClusterSpec) -> Cluster:
    """Return a cluster whose preferred node was lost and is back."""
    cluster = formed(spec=given)
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.service().owner == N2
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    return cluster


def _keys(cluster: Cluster, node: NodeId = N1) -> list[str]:
    return [key for n, key in cluster.timers if n == node and key.startswith("failback")]


@pytest.mark.parametrize(
    ("minute", "wait_min"), [(22 * 60, 60), (23 * 60, 0), (0, 0), (59, 0), (60, 22 * 60)]
)
def test_a_window_may_span_midnight(minute: int, wait_min: int) -> None:
    window = Window(23 * 60, 60)

    assert window.wait_min(minute) == wait_min
    assert window.is_open(minute) is (wait_min == 0)
    assert str(window) == "23:00-01:00"


def test_a_domain_without_a_delay_moves_its_service_at_once() -> None:
    cluster = _returned(_spec())

    assert cluster.service().owner == N1
    assert cluster.states[N1].cluster.failbacks == {}


def test_a_service_stays_until_the_better_node_has_been_there_long_enough() -> None:
    cluster = _returned(_spec(delay_ms=60_000))

    state = cluster.states[N2].cluster
    assert cluster.service().owner == N2
    assert state.failbacks[WEB].owner == N2
    assert "it goes there once it has been there for 60 s" in why_there(state, WEB)
    assert len(_keys(cluster)) == 1
    assert _keys(cluster, N2) == [], "one member keeps the time"


def test_the_time_keeper_tells_when_the_delay_is_over() -> None:
    cluster = _returned(_spec(delay_ms=60_000))
    (key,) = _keys(cluster)

    cluster.feed(N1, TimerFired(key))
    assert cluster.service().owner == N2, "too early: it looks again"
    cluster.now_ms += 60_000
    cluster.feed(N1, TimerFired(key))
    cluster.settle()

    assert cluster.service().owner == N1
    assert cluster.states[N3].cluster.failbacks == {}


def test_the_window_is_that_of_the_keepers_own_clock() -> None:
    cluster = _returned(_spec(window=Window(NOON, NOON + 10)))
    (key,) = _keys(cluster)

    for minute, owner in ((NOON - 1, N2), (-1, N2), (NOON, N1)):
        pulse = replace(cluster.states[N1].pulse, minute=minute)
        cluster.states[N1] = replace(cluster.states[N1], pulse=pulse)
        cluster.feed(N1, TimerFired(key))
        cluster.settle()
        assert cluster.service().owner == owner


def test_a_message_about_an_older_intention_moves_nothing() -> None:
    cluster = _returned(_spec(delay_ms=60_000))
    stale = FailbackDue(service=WEB, owner=N2, since_ms=cluster.states[N1].cluster.now_ms - 1)
    node = cluster.states[N1].cluster.nodes[N1]

    operation = Operation(
        epoch=cluster.states[N1].cluster.epoch,
        incarnation=node.incarnation,
        sequence=node.sequence + 1,
        first_epoch=cluster.states[N1].cluster.epoch,
        at_ms=cluster.now_ms,
        body=stale,
    )
    cluster.mail.append((N1, operation))
    cluster.settle()

    assert cluster.service().owner == N2
    assert isinstance(cluster.states[N1].cluster.failbacks[WEB], Failback)


def test_the_intention_ends_when_the_better_node_is_lost_again() -> None:
    cluster = _returned(_spec(delay_ms=60_000))
    cluster.kill(N1)
    cluster.view(N2, N3)

    assert cluster.states[N2].cluster.failbacks == {}
    assert cluster.service().owner == N2


def test_a_tick_tells_the_minute_to_its_own_sender_alone() -> None:
    cluster = formed()
    local = cluster.states[N1].local
    tick = Tick(
        incarnation=local.incarnation,
        count=cluster.states[N1].pulse.count,
        epoch=cluster.states[N1].cluster.epoch,
        applied=0,
        minute=NOON,
    )
    before = cluster.states[N2].pulse.minute

    for node in (N1, N2):
        sent = replace(cluster.states[node].pulse, sent_ms=1)
        cluster.states[node] = replace(cluster.states[node], pulse=sent)
        cluster.feed(node, Delivered(N1, tick))

    assert cluster.states[N1].pulse.minute == NOON
    assert cluster.states[N2].pulse.minute == before


@pytest.mark.parametrize("second", [MaintenanceOrder.LOCK, MaintenanceOrder.DISARM])
def test_who_joins_between_two_orders_is_offered_the_services_after_the_last(
    second: MaintenanceOrder,
) -> None:
    def order(which: MaintenanceOrder) -> None:
        number = len(cluster.actions) + 1
        asked = MaintenanceRequest(number=number, order=which, by="bob", for_ms=60_000)
        cluster.feed(N2, Requested(asked))
        cluster.settle()

    cluster = formed()
    cluster.kill(N1)
    cluster.view(N2, N3)
    order(MaintenanceOrder.LOCK)
    cluster.boot(N1)
    cluster.view(N1, N2, N3)
    order(second)
    order(MaintenanceOrder.UNLOCK)
    order(MaintenanceOrder.ARM)

    assert cluster.service().owner == N1


def test_one_that_is_going_back_goes_to_a_still_better_node_that_joins_meanwhile() -> None:
    cluster = formed(spec=spec(nodes=5))
    cluster.kill(N1)
    cluster.kill(N2)
    cluster.view(N3, N4, N5)
    cluster.slow = {"nginx"}
    cluster.boot(N2)
    cluster.view(N2, N3, N4, N5)
    cluster.boot(N1)
    cluster.view(N1, N2, N3, N4, N5)
    before = cluster.service(N3)

    cluster.hurry()

    assert (before.state, before.owner, before.target) == (ServiceState.STOPPING, N3, N2)
    assert cluster.service(N3).owner == N1


def _found_while_one_is_unseen() -> Cluster:
    """Return five nodes that begin anew with three, and find the service on node2."""
    cluster = Cluster(spec=spec(nodes=5), auto_fence=False)
    cluster.units[N2] = {"vip", "nginx"}
    cluster.boot(N2, N3, N4)
    cluster.view(N2, N3, N4)
    assert cluster.service().owner == N2
    return cluster


def test_what_was_found_running_goes_back_once_others_are_known_not_to_run_it() -> None:
    """It was stopped, and could not start anywhere before proof of node5."""
    cluster = _found_while_one_is_unseen()

    cluster.boot(N1)
    cluster.view(N1, N2, N3, N4)

    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().owner == N2
    reason = because(cluster.states[N2].cluster, WEB)
    assert reason == "waiting for proof that node5 runs none of it"
    cluster.auto_fence = True
    cluster.run(60_000)
    assert cluster.service().owner == N1


@pytest.mark.parametrize("verb", [Verb.RESTART, Verb.RELOCATE])
def test_what_may_run_elsewhere_is_not_stopped_to_be_started_again(verb: Verb) -> None:
    cluster = _found_while_one_is_unseen()

    reply = cluster.ask(N3, verb)

    assert reply is not None
    assert reply.answer is Answer.TRY_AGAIN
    words = "web would stop, and not start: waiting for proof that node1, node5 runs none of it"
    assert reply.text == words
    assert cluster.service().state is ServiceState.STARTED
