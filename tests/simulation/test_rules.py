# SPDX-License-Identifier: Apache-2.0
"""The rules between services as the judge knows them: who has to make room, and who need not."""

from __future__ import annotations

import pytest

from domains.model import NodeId, ServiceName, Terms, Tie
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.spec import ClusterSpec, NodeSpec, ServiceSpec
from rgmgr.sim.rules import may_wait

N1 = NodeId(1)
DB, PROXY, DNS = ServiceName("db"), ServiceName("proxy"), ServiceName("dns")


def one_full_node(leader_priority: int) -> ClusterState:
    """Return a node whose room `db` and `proxy` have, and `dns` that waits and must be with db."""
    terms = {
        DB: Terms(load=1, priority=leader_priority),
        PROXY: Terms(load=1, priority=50),
        DNS: Terms(load=1, priority=10, together=(Tie(DB),)),
    }
    specs = tuple(ServiceSpec(name=name, resources=(), terms=terms[name]) for name in terms)
    nodes = {N1: NodeSpec(name="node1", capacity=2)}
    services = {
        s.name: Service(spec=s, state=ServiceState.STARTED, owner=N1, is_new=False) for s in specs
    }
    services[DNS] = Service(spec=specs[2], state=ServiceState.STOPPED, is_new=False)
    return ClusterState(
        spec=ClusterSpec(name="one", version=1, digest="one", nodes=nodes, services=specs),
        nodes={N1: Node(status=NodeStatus.ONLINE)},
        services=services,
    )


@pytest.mark.parametrize(("leader_priority", "waits"), [(90, True), (10, False)])
def test_who_must_be_with_a_lesser_one_displaces_nobody_placed_before_that(
    leader_priority: int, *, waits: bool
) -> None:
    """docs/failover-domains.md: it has its leader's place in the order."""
    cluster = one_full_node(leader_priority)

    assert may_wait(cluster, cluster.services[DNS]) is waits
