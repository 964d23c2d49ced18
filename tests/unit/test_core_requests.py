# SPDX-License-Identifier: Apache-2.0
"""Operators: answered once, when it is done, with rgmanager's meanings."""

from domains.model import FailoverDomain
from rgmgr.core.actions import Answer, SaveState, StartResource, StopResource
from rgmgr.core.events import Shutdown, ShutdownRequested
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, ServiceState
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec, web


def test_relocate_moves_the_service_and_answers_when_it_runs() -> None:
    cluster = formed()

    reply = cluster.ask(N3, Verb.RELOCATE, N3)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.DONE, N3)
    assert cluster.units[N1] == set()


def test_relocate_without_a_target_takes_the_best_other_node() -> None:
    cluster = formed()

    reply = cluster.ask(N1, Verb.RELOCATE)

    assert reply is not None
    assert reply.owner == N2


def test_relocate_to_a_forbidden_node_is_refused_before_anything_stops() -> None:
    base = spec()
    fixed = FailoverDomain(name="prefer", restricted=True, priorities={N1: 1, N2: 1})
    fields = {f: getattr(base, f) for f in base.__slots__}
    cluster = formed(spec=type(base)(**{**fields, "domains": {"prefer": fixed}}))
    del cluster.actions[:]

    reply = cluster.ask(N1, Verb.RELOCATE, N3)

    assert reply is not None
    assert reply.answer is Answer.NOT_ALLOWED
    assert cluster.took(StopResource) == []


def test_relocate_to_an_offline_node_is_refused() -> None:
    cluster = formed()
    cluster.kill(N3)
    cluster.view(N1, N2)

    reply = cluster.ask(N1, Verb.RELOCATE, N3)

    assert reply is not None
    assert reply.answer is Answer.NODE_OFFLINE


def test_a_relocation_whose_target_fails_ends_on_another_node() -> None:
    cluster = formed(broken_starts={(N3, "nginx")})

    reply = cluster.ask(N2, Verb.RELOCATE, N3)

    assert reply is not None
    assert reply.answer is Answer.DONE
    assert reply.owner == N1
    assert "not on node3" in reply.text


def test_disable_stops_the_service_and_survives_a_full_outage() -> None:
    cluster = formed()
    reply = cluster.ask(N2, Verb.DISABLE)
    assert reply is not None
    assert reply.answer is Answer.DONE
    for node in (N1, N2, N3):
        cluster.kill(node)
    del cluster.actions[:]

    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert cluster.service().state is ServiceState.DISABLED
    assert cluster.took(StartResource) == []


def test_disable_is_not_answered_before_a_majority_has_it_on_disk() -> None:
    cluster = formed()
    saves = []
    react = cluster._react
    cluster._react = lambda n, a: saves.append((n, a)) if isinstance(a, SaveState) else react(n, a)  # type: ignore[method-assign]

    reply = cluster.ask(N2, Verb.DISABLE)
    assert reply is None
    assert cluster.service().state is ServiceState.DISABLED
    del cluster._react
    for node, action in saves:
        cluster._react(node, action)
    cluster.settle()

    answers = [a.answer for _, a in cluster.actions if hasattr(a, "answer")]
    assert answers == [Answer.DONE]


def test_enable_of_a_running_service_says_so() -> None:
    reply = formed().ask(N2, Verb.ENABLE)

    assert reply is not None
    assert reply.answer is Answer.ALREADY_RUNNING


def test_enable_starts_a_disabled_service() -> None:
    cluster = formed(spec=spec(web(autostart=False)))
    assert cluster.service().state is ServiceState.DISABLED

    reply = cluster.ask(N3, Verb.ENABLE, N3)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.DONE, N3)


def test_stop_lasts_until_the_membership_changes() -> None:
    cluster = formed()
    reply = cluster.ask(N2, Verb.STOP)
    assert reply is not None
    assert reply.answer is Answer.DONE
    assert cluster.service().state is ServiceState.STOPPED

    cluster.kill(N3)
    cluster.view(N1, N2)

    assert cluster.service().state is ServiceState.STARTED


def test_restart_stays_on_its_node() -> None:
    cluster = formed()
    cluster.ask(N2, Verb.RELOCATE, N3)
    del cluster.actions[:]

    reply = cluster.ask(N1, Verb.RESTART)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.DONE, N3)
    assert len(cluster.took(StopResource)) == 2


def test_a_request_without_quorum_is_answered_at_once() -> None:
    cluster = formed()
    cluster.view(N3, quorate=False)

    reply = cluster.ask(N3, Verb.DISABLE)

    assert reply is not None
    assert reply.answer is Answer.NO_QUORUM


def test_a_failed_service_takes_only_disable() -> None:
    cluster = formed(broken_stops={(N1, "vip")})
    cluster.ask(N2, Verb.STOP)
    assert cluster.service().state is ServiceState.FAILED

    refused = [cluster.ask(N2, verb) for verb in (Verb.ENABLE, Verb.STOP, Verb.RESTART)]
    cluster.broken_stops.clear()
    accepted = cluster.ask(N2, Verb.DISABLE)

    assert [r.answer for r in refused if r] == [Answer.ABORTED, Answer.FAILED, Answer.FAILED]
    assert accepted is not None
    assert accepted.answer is Answer.DONE
    assert cluster.service().state is ServiceState.DISABLED


def test_a_node_that_leaves_gives_its_services_away_first() -> None:
    cluster = formed()

    cluster.feed(N1, ShutdownRequested(Shutdown.STOP))
    cluster.settle()

    assert cluster.service().owner == N2
    assert cluster.states[N2].cluster.nodes[N1].status is NodeStatus.LEFT
    assert cluster.states[N1].local.is_over


def test_a_daemon_that_restarts_leaves_everything_as_it_is() -> None:
    cluster = formed()
    del cluster.actions[:]

    cluster.feed(N1, ShutdownRequested(Shutdown.RESTART))
    cluster.settle()

    assert cluster.took(StopResource) == []
    assert cluster.states[N1].local.is_over


def leftover(cluster: Cluster) -> None:
    """Have node3 come back with a part of the service that runs on nobody's record."""
    cluster.ask(N2, Verb.DISABLE)
    cluster.units[N3] = {"vip"}
    cluster.restart_daemon(N3)


def test_disable_is_not_done_while_left_overs_are_being_stopped() -> None:
    cluster = formed()
    leftover(cluster)
    react = cluster._react
    cluster._react = lambda n, a: None if isinstance(a, StopResource) else react(n, a)  # type: ignore[method-assign]
    cluster.view(N1, N2, N3)
    ((_, begun),) = cluster.took(StopResource)[-1:]

    early = cluster.ask(N1, Verb.DISABLE)
    del cluster._react
    react(N3, begun)
    cluster.settle()

    assert early is None
    assert cluster.units[N3] == set()
    assert [a.answer for _, a in cluster.actions if hasattr(a, "answer")][-1] is Answer.DONE


def test_left_overs_that_cannot_be_stopped_make_the_service_failed() -> None:
    """Nothing else would ever try again, and only an administrator can help."""
    cluster = formed()
    leftover(cluster)
    cluster.broken_stops.add((N3, "vip"))

    cluster.view(N1, N2, N3)

    assert cluster.service().state is ServiceState.FAILED
    assert cluster.service().last_owner == N3
