# SPDX-License-Identifier: Apache-2.0
"""A service that cannot be stopped: held, or its node is fenced for it; never freed."""

from __future__ import annotations

from dataclasses import replace

from rgmgr.core.actions import FenceNode, StartResource
from rgmgr.core.messages import Verb
from rgmgr.core.model import NodeStatus, ServiceState
from rgmgr.core.spec import StopFailurePolicy
from rgmgr.core.stop_again import CLEANUP_PAUSE_MS
from tests.unit.core_cluster import N1, N2, N3, Cluster, formed, spec, web

FENCED_FOR = web(on_stop_failure=StopFailurePolicy.FENCE)


def stuck(**changes: object) -> Cluster:
    """Return a cluster in which node1 cannot stop nginx."""
    return formed(spec=spec(FENCED_FOR), broken_stops={(N1, "nginx")}, **changes)


def test_without_the_policy_it_is_held_and_nobody_is_fenced() -> None:
    cluster = formed(broken_stops={(N1, "nginx")})

    cluster.ask(N2, Verb.RELOCATE, N3)
    cluster.run(60_000)

    assert cluster.service().state is ServiceState.FAILED
    assert not cluster.took(FenceNode)


def test_nothing_starts_elsewhere_before_the_node_is_proven_down() -> None:
    cluster = stuck(auto_fence=False)

    cluster.ask(N2, Verb.RELOCATE, N3)

    assert cluster.node(N1).status is NodeStatus.UNCLEAN
    assert [node for node, _ in cluster.took(FenceNode)] == [N2]
    assert cluster.service().owner == N1
    assert {node for node, _ in cluster.took(StartResource)} == {N1}


def test_the_proof_sends_it_where_the_stop_was_to_lead() -> None:
    cluster = stuck(auto_fence=False)
    cluster.ask(N2, Verb.RELOCATE, N3)
    ((_, fence),) = cluster.took(FenceNode)
    assert isinstance(fence, FenceNode)

    cluster.kill(N1)
    cluster.view(N2, N3)
    cluster.feed(N2, cluster.fence_result(fence))
    cluster.run(5_000)

    assert (cluster.service().state, cluster.service().owner) == (ServiceState.STARTED, N3)


def test_the_history_says_for_what_the_node_was_fenced() -> None:
    cluster = stuck(auto_fence=False)

    cluster.ask(N2, Verb.DISABLE)

    assert [case.cause for case in cluster.cases()] == ["it cannot stop web: nginx: busy"]


def test_left_overs_that_do_not_stop_cost_their_node_its_power() -> None:
    """They may be a second copy of a service that runs: nothing is more urgent."""
    cluster = Cluster(spec=spec(FENCED_FOR), broken_stops={(N3, "nginx")}, auto_fence=False)
    cluster.units = {N1: {"vip", "nginx"}, N3: {"nginx"}}
    cluster.boot(N1, N2, N3)

    cluster.view(N1, N2, N3)
    cluster.run(1_000)

    assert cluster.service().owner == N1
    assert cluster.node(N3).status is NodeStatus.UNCLEAN
    assert cluster.node(N1).status is NodeStatus.ONLINE


def test_left_overs_that_do_not_stop_are_tried_again_while_it_runs_elsewhere() -> None:
    cluster = Cluster(broken_stops={(N3, "nginx")})
    cluster.units = {N1: {"vip", "nginx"}, N3: {"nginx"}}
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)
    cluster.run(3 * CLEANUP_PAUSE_MS)
    assert (cluster.service().state, cluster.service().cleanup) == (ServiceState.STARTED, (N3,))
    assert cluster.records().count("service.stop_failed") == 3

    cluster.broken_stops.clear()
    cluster.run(CLEANUP_PAUSE_MS)

    assert cluster.service().cleanup == ()
    assert cluster.units[N3] == set()
    assert not [key for node, key in cluster.timers if key.startswith("again:")]


def test_where_nobody_else_could_fence_it_is_held() -> None:
    cluster = formed(spec=spec(FENCED_FOR, nodes=2), broken_stops={(N1, "nginx")}, auto_fence=False)
    cluster.kill(N2)
    cluster.view(N1, quorate=True)

    cluster.ask(N1, Verb.DISABLE)

    assert cluster.service(N1).state is ServiceState.FAILED


def test_where_fencing_proves_nothing_it_is_held() -> None:
    """The configuration is refused; one that came another way must not free it either."""
    config = spec(FENCED_FOR)
    unsafe = replace(config, fencing=replace(config.fencing, unsafe_disabled=True))
    cluster = formed(spec=unsafe, broken_stops={(N1, "nginx")})

    cluster.ask(N2, Verb.RELOCATE, N3)

    assert cluster.service().state is ServiceState.FAILED
