# SPDX-License-Identifier: Apache-2.0
"""How long placement takes: `python benchmarks/placement.py`.

First the theory alone: 10,000 services with loads, ties and domains on 16 nodes, in turn; the limit
is one second. Then the core, for 1,000 services that run: what `settle` costs for one
agreed event, while nothing waits and while one service waits for room. Times are of the processor,
so that a busy machine tells the same. Ends with 1 above a limit.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace

from domains.model import FailoverDomain, NodeId, ServiceName, Tenant, Terms, Tie
from domains.occupancy import Occupancy
from domains.rank import rank_nodes
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.placement import settle
from rgmgr.core.spec import ClusterSpec, NodeSpec, ServiceSpec

NODES = tuple(NodeId(n) for n in range(1, 17))
SERVICES = 10_000
RUNNING = 1_000
ROUNDS = 20
PLACED_MS_MAX = 1_000
EVENT_MS_MAX = 10


def main() -> int:
    """Measure and print; 1 when a limit is broken."""
    placed_ms, left = _place_all()
    steady_ms = _per_event(_cluster(waiting=0))
    waiting_ms = _per_event(_cluster(waiting=1))
    sys.stdout.write(
        f"{SERVICES} services on {len(NODES)} nodes: {placed_ms:.0f} ms, {left} without a node\n"
        f"an event with {RUNNING} services running: {steady_ms:.2f} ms\n"
        f"the same while one waits for room: {waiting_ms:.2f} ms\n"
    )
    return int(placed_ms > PLACED_MS_MAX or max(steady_ms, waiting_ms) > EVENT_MS_MAX)


def _domains() -> tuple[FailoverDomain | None, ...]:
    half = {n: 1 + n % 4 for n in NODES[:8]}
    return (
        None,
        FailoverDomain(name="prefer", priorities=half, ordered=True),
        FailoverDomain(name="only", priorities=half, restricted=True),
    )


def _tenant(number: int, domains: tuple[FailoverDomain | None, ...]) -> Tenant:
    near = Tie(ServiceName(f"s{number - 1}"), hard=number % 20 == 0)
    return Tenant(
        ServiceName(f"s{number}"),
        domains[number % 3],
        Terms(
            load=1 + number % 3,
            together=(near,) if number % 10 == 0 else (),
            apart=(near,) if number % 10 == 5 else (),  # noqa: PLR2004  # one in ten
        ),
    )


def _place_all() -> tuple[float, int]:
    """Return how long it takes to place all, and how many found no node."""
    domains = _domains()
    tenants = [_tenant(number, domains) for number in range(SERVICES)]
    began_ns = time.process_time_ns()
    seated = Occupancy(dict.fromkeys(NODES, SERVICES), is_relative=True)
    left = 0
    for tenant in tenants:
        ranked = rank_nodes(tenant, NODES, seated)
        if ranked:
            seated.take(ranked[0], tenant)
        else:
            left += 1
    return (time.process_time_ns() - began_ns) / 1e6, left


def _cluster(*, waiting: int) -> ClusterState:
    """Return a cluster whose services run, but for those that find no room."""
    room = 1 + 2 * RUNNING // len(NODES)
    specs = [
        ServiceSpec(name=ServiceName(f"s{n}"), resources=(), terms=Terms(load=1))
        for n in range(RUNNING)
    ]
    big = [
        ServiceSpec(name=ServiceName(f"big{n}"), resources=(), terms=Terms(load=room))
        for n in range(waiting)
    ]
    services = {
        s.name: Service(
            spec=s, state=ServiceState.STARTED, owner=NODES[n % len(NODES)], is_new=False
        )
        for n, s in enumerate(specs)
    } | {s.name: Service(spec=s, is_new=False) for s in big}
    spec = ClusterSpec(
        name="bench",
        version=1,
        digest="",
        nodes={n: NodeSpec(name=f"node{n}", capacity=room) for n in NODES},
        services=(*specs, *big),
    )
    online = Node(status=NodeStatus.ONLINE, incarnation=1)
    return ClusterState(spec=spec, nodes=dict.fromkeys(NODES, online), services=services)


def _per_event(cluster: ClusterState) -> float:
    """Return the milliseconds that one event costs; nothing may come of it."""
    return min(_timed(lambda: settle(Ledger(replace(cluster)))) for _ in range(ROUNDS))


def _timed(work: Callable[[], None]) -> float:
    began_ns = time.process_time_ns()
    work()
    return (time.process_time_ns() - began_ns) / 1e6


if __name__ == "__main__":
    sys.exit(main())
