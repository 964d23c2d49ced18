# SPDX-License-Identifier: Apache-2.0
"""What nodes reach: told when it lasts, and counted for all at once."""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId
from rgmgr.core.actions import SendPing
from rgmgr.core.events import PingEnded, TimerFired
from rgmgr.core.reasons import why_not
from rgmgr.core.spec import ClusterSpec, PingSpec
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec

ALL = (N1, N2, N3)


def _spec(**changes: object) -> ClusterSpec:
    gateway = PingSpec(name="gateway", address="10.0.0.254")
    return replace(spec(), pings=(replace(gateway, **changes),))  # type: ignore[arg-type]


def _pinged(cluster: Cluster, node: NodeId, *, times: int = 3, is_answered: bool = True) -> None:
    for _ in range(times):
        cluster.feed(node, PingEnded("gateway", is_answered))
    cluster.settle()


def _count(cluster: Cluster) -> None:
    """Let the time keeper find that nothing new was told for long enough."""
    keys = [key for _, key in cluster.timers if key.startswith("health:")]
    for key in keys:
        _fire(cluster, N1, key)
    cluster.settle()


def _fire(cluster: Cluster, node: NodeId, key: str) -> None:
    cluster.timers.pop((node, key))
    cluster.feed(node, TimerFired(key))


def _examined() -> Cluster:
    """Return a cluster all of whose nodes reach the gateway."""
    cluster = formed(spec=_spec())
    for node in ALL:
        _pinged(cluster, node)
    _count(cluster)
    assert [cluster.node(n).ills for n in ALL] == [(), (), ()]
    return cluster


def test_a_node_pings_at_its_interval_and_waits_for_the_answer() -> None:
    cluster = formed(spec=_spec(interval_ms=7_000))
    assert cluster.timers[N2, "ping:gateway"] == cluster.now_ms + 7_000

    _fire(cluster, N2, "ping:gateway")
    assert [n for n, _ in cluster.took(SendPing)] == [N2]
    assert (N2, "ping:gateway") not in cluster.timers

    cluster.feed(N2, PingEnded("gateway", is_answered=True))
    assert (N2, "ping:gateway") in cluster.timers


def test_a_silence_that_does_not_last_is_not_told() -> None:
    cluster = _examined()
    for _ in range(5):
        _pinged(cluster, N1, times=2, is_answered=False)
        _pinged(cluster, N1, times=1)

    assert cluster.node(N1).lost == ()
    assert cluster.states[N2].cluster.health == 0


def test_what_was_told_counts_once_nothing_new_is_told() -> None:
    cluster = _examined()
    _pinged(cluster, N1, is_answered=False)

    assert cluster.node(N1).lost == ("gateway",)
    assert cluster.node(N1).ills == ()
    assert cluster.service().owner == N1

    _count(cluster)
    assert cluster.node(N1).ills == ("gateway",)
    assert cluster.service().owner == N2
    state = cluster.states[N2].cluster
    assert why_not(state, WEB, N1) == "it reaches less of what is pinged than node2"


def test_nothing_moves_when_all_have_lost_it_one_after_the_other() -> None:
    cluster = _examined()
    old = {key for _, key in cluster.timers if key.startswith("health:")}
    for node in ALL:
        _pinged(cluster, node, is_answered=False)
        late = {key for _, key in cluster.timers if key.startswith("health:")}
        assert late.isdisjoint(old), "each piece of news begins the wait anew"
        old = late
    _count(cluster)

    assert [cluster.node(n).ills for n in ALL] == [("gateway",)] * 3
    assert cluster.service().owner == N1


def test_a_service_comes_home_when_its_node_reaches_it_again() -> None:
    cluster = _examined()
    _pinged(cluster, N1, is_answered=False)
    _count(cluster)
    assert cluster.service().owner == N2

    _pinged(cluster, N1)
    _count(cluster)

    assert cluster.service().owner == N1
    assert cluster.node(N1).ills == ()


def test_a_node_that_has_just_joined_gets_nothing_before_it_is_examined() -> None:
    cluster = _examined()
    cluster.kill(N1)
    cluster.view(N2, N3)
    assert cluster.service().owner == N2
    cluster.boot(N1)
    cluster.view(*ALL)

    assert cluster.node(N1).ills is None
    assert cluster.service().owner == N2, "nobody knows yet whether it reaches the gateway"
    _pinged(cluster, N1)
    _count(cluster)
    assert cluster.service().owner == N1


def test_what_is_pinged_no_more_is_forgotten() -> None:
    cluster = formed()
    cluster.feed(N1, PingEnded("gateway", is_answered=False))

    assert cluster.states[N1].local.probes == {}


def test_a_frozen_service_stays_where_it_is() -> None:
    cluster = _examined()
    for node, state in cluster.states.items():
        service = replace(state.cluster.services[WEB], frozen=True)
        frozen = replace(state.cluster, services={WEB: service})
        cluster.states[node] = replace(state, cluster=frozen)
    _pinged(cluster, N1, is_answered=False)
    _count(cluster)

    assert cluster.service().owner == N1
