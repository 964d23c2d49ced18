# SPDX-License-Identifier: Apache-2.0
"""A service that starts nowhere is never given up, and says when it is tried again."""

from __future__ import annotations

from rgmgr.core.actions import Answer, Multicast, StartResource
from rgmgr.core.events import Requested, Shutdown, ShutdownRequested
from rgmgr.core.messages import MaintenanceOrder, MaintenanceRequest, Operation, RetryDue, Verb
from rgmgr.core.model import Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.core.retrying import pause_ms
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, web

EVERYWHERE = {(n, "nginx") for n in (N1, N2, N3)}


def stuck() -> Cluster:
    cluster = formed(broken_starts=set(EVERYWHERE))
    assert cluster.service().state is ServiceState.STOPPED
    del cluster.actions[:]
    return cluster


def tries(cluster: Cluster) -> int:
    """Return how often the server was tried to be started."""
    return sum(
        1 for _, a in cluster.actions if isinstance(a, StartResource) and a.resource.name == "nginx"
    )


def test_it_says_where_it_was_tried_and_when_it_is_tried_again() -> None:
    cluster = stuck()

    assert because(cluster.states[N2].cluster, WEB) == (
        "start failed on node1, node2, node3: nginx: exit status 1; tried again in 30 s at most"
    )


def test_it_is_tried_on_every_node_again_after_each_pause() -> None:
    cluster = stuck()

    cluster.run(31_000)
    assert tries(cluster) == 3
    cluster.run(58_000)
    assert tries(cluster) == 3
    cluster.run(2_000)

    assert tries(cluster) == 6


def test_the_end_of_a_pause_is_told_once_though_no_node_can_take_it() -> None:
    """It was told about twice a second until one could."""
    cluster = stuck()
    for node in (N1, N2, N3):
        order = MaintenanceOrder.STANDBY
        request = MaintenanceRequest(number=int(node), order=order, by="bob", node=node, for_ms=0)
        cluster.feed(node, Requested(request))
        cluster.settle()

    cluster.run(60_000)

    messages = [a.message for _, a in cluster.actions if isinstance(a, Multicast)]
    told = [m for m in messages if isinstance(m, Operation) and isinstance(m.body, RetryDue)]
    assert len(told) == 1
    assert cluster.service().state is ServiceState.STOPPED


def test_pauses_grow_up_to_ten_minutes() -> None:
    pauses = [pause_ms(Service(spec=web(), rounds=n)) // 1_000 for n in (1, 2, 3, 4, 5, 6, 1_000)]

    assert pauses == [30, 60, 120, 240, 480, 600, 600]


def test_a_start_that_succeeds_ends_it() -> None:
    cluster = stuck()
    cluster.broken_starts.clear()

    cluster.run(31_000)

    assert cluster.service().state is ServiceState.STARTED
    assert cluster.service().rounds == 0


def test_the_next_change_of_the_membership_is_a_chance_at_once() -> None:
    cluster = stuck()
    cluster.broken_starts.clear()
    cluster.kill(N3)

    cluster.view(N1, N2)

    assert cluster.service().state is ServiceState.STARTED


def test_a_clean_goodbye_of_another_node_is_such_a_change() -> None:
    cluster = stuck()
    cluster.broken_starts.clear()

    cluster.feed(N3, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert cluster.service().state is ServiceState.STARTED


def test_an_operators_stop_ends_with_a_clean_goodbye_of_another_node() -> None:
    """As with a loss: the membership has changed."""
    cluster = formed()
    cluster.ask(N2, Verb.STOP)
    assert cluster.service().is_held

    cluster.feed(N3, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert cluster.service().state is ServiceState.STARTED


def test_retry_tries_at_once_and_answers_when_it_runs() -> None:
    cluster = stuck()
    cluster.broken_starts.clear()

    reply = cluster.ask(N3, Verb.RETRY)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.DONE, N1)


def test_a_retry_in_vain_says_why_and_begins_with_the_first_pause() -> None:
    cluster = stuck()
    cluster.run(95_000)

    reply = cluster.ask(N3, Verb.RETRY)

    assert reply is not None
    assert reply.answer is Answer.FAILED
    assert "nginx: exit status 1; tried again in 30 s at most" in reply.text


def test_there_is_nothing_to_retry_where_nothing_waits() -> None:
    cluster = formed()
    running = cluster.ask(N2, Verb.RETRY)
    cluster.ask(N2, Verb.DISABLE)

    disabled = cluster.ask(N2, Verb.RETRY)

    assert running is not None
    assert disabled is not None
    assert (running.answer, disabled.answer) == (Answer.ALREADY_RUNNING, Answer.INVALID)
