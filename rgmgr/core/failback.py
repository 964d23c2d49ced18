# SPDX-License-Identifier: Apache-2.0
"""Services that go back to a better node: at once, or when their domain says.

Who goes back later is agreed state. The first member that is online keeps the time: it tells the
others when the delay is over and, by its own clock, the window is open. That message moves the
service, so clocks that differ, or jump, never make two members disagree.
"""

from __future__ import annotations

from collections.abc import Iterable

from domains.model import FailoverDomain, NodeId, ServiceName
from domains.rank import may_take_over, rank_nodes, should_move
from rgmgr.core.evolve import evolve
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import Turn
from rgmgr.core.messages import FailbackDue
from rgmgr.core.model import (
    After,
    ClusterState,
    Failback,
    NodeStatus,
    Service,
    ServiceState,
)
from rgmgr.core.recovery import begin_stop
from rgmgr.core.seating import RUNNING, eligible, is_examined, occupancy
from rgmgr.core.standing import why_nothing_starts
from rgmgr.core.unproven import is_elsewhere

LOOK_MS = 60_000
"""How often it is looked whether the window is open: a clock may have jumped."""


def better_nodes(
    cluster: ClusterState, service: Service, among: Iterable[NodeId] | None = None
) -> tuple[NodeId, ...]:
    """Return the nodes that a running service would leave its owner for, best first."""
    owner, there = service.owner, eligible(cluster)
    if owner not in there or service.state not in RUNNING or service.frozen:
        return ()
    if why_nothing_starts(cluster):
        return ()
    tenant = cluster.spec.tenant(service.spec)
    joined = [
        n
        for n in (there if among is None else among)
        if should_move(tenant.domain, owner, n, there) and is_examined(cluster, n)
    ]
    if not joined:
        return ()
    seated = occupancy(cluster)
    better = [n for n in joined if may_take_over(tenant, owner, n, there, seated)]
    return rank_nodes(tenant, better, seated)


def offer(ledger: Ledger, service: Service, joined: Iterable[NodeId]) -> None:
    """Nodes have joined: have the service go to the best of them, now or later."""
    better = better_nodes(ledger.state, service, joined)
    if not better or service.owner is None:
        return
    domain = ledger.state.spec.domain_of(service.spec)
    if domain is None or not (_is_put_off(domain) or is_elsewhere(ledger.state, service)):
        _begin(ledger, service, better[0])
    else:
        _put_off(ledger, service, domain, better[0])


def offer_later(ledger: Ledger, service: Service) -> None:
    """It starts on the node that it waited for: who joined meanwhile has it once it is up there.

    What it left behind is there, so it does not begin elsewhere.
    """
    nodes = ledger.state.nodes
    joined = [n for n in nodes if nodes[n].joined_epoch > service.freed_epoch]
    better = better_nodes(ledger.state, service, joined)
    domain = ledger.state.spec.domain_of(service.spec)
    if better and domain is not None:
        _put_off(ledger, service, domain, better[0])


def _put_off(ledger: Ledger, service: Service, domain: FailoverDomain, target: NodeId) -> None:
    if service.owner is None:
        return
    entry = Failback(service.owner, ledger.state.now_ms)
    _put(ledger, {**ledger.state.failbacks, service.spec.name: entry})
    ledger.note(
        "service.failback_postponed",
        service=service.spec.name,
        owner=ledger.name(service.owner),
        target=ledger.name(target),
        until=_until(ledger, service, domain),
    )


def _until(ledger: Ledger, service: Service, domain: FailoverDomain) -> str:
    if _is_put_off(domain):
        return when(domain)
    return "nobody else may have it" if is_elsewhere(ledger.state, service) else "it is up"


def due(ledger: Ledger, body: FailbackDue) -> None:
    """The time has come for one of them."""
    entry = ledger.state.failbacks.get(body.service)
    service = ledger.state.services.get(body.service)
    is_meant = service is not None and entry == Failback(body.owner, body.since_ms)
    if service is None or not is_meant or is_elsewhere(ledger.state, service):
        return
    if better := better_nodes(ledger.state, service):
        _begin(ledger, service, better[0])


def prune(ledger: Ledger) -> None:
    """Forget those that have left their owner, or have no better node any more."""
    kept = {
        name: entry
        for name, entry in ledger.state.failbacks.items()
        if _is_meant(ledger.state, name, entry)
    }
    if len(kept) != len(ledger.state.failbacks):
        _put(ledger, kept)


def timers(turn: Turn) -> dict[str, int]:
    """Return for each service that waits, and can go, when to look again, by timer's key."""
    sent = [each.operation.body for each in turn.local.sent]
    services = turn.cluster.services
    return {
        _key(name, entry): _wait_ms(turn, name, entry)
        for name, entry in turn.cluster.failbacks.items()
        if services[name].state is ServiceState.STARTED
        and not is_elsewhere(turn.cluster, services[name])
        and FailbackDue(service=name, owner=entry.owner, since_ms=entry.since_ms) not in sent
    }


def due_now(turn: Turn, key: str) -> FailbackDue | None:
    """Return what a timer stands for; None when it is not yet time."""
    for name, entry in turn.cluster.failbacks.items():
        if key == _key(name, entry) and not _left_ms(turn, name, entry):
            return FailbackDue(service=name, owner=entry.owner, since_ms=entry.since_ms)
    return None


def when(domain: FailoverDomain) -> str:
    """Say when services of a domain go back."""
    delay_s = domain.failback_delay_ms / 1000
    words = [f"once it has been there for {delay_s:g} s"] if domain.failback_delay_ms else []
    words += (
        [f"between {domain.failback_window}".replace("-", " and ")]
        if (domain.failback_window)
        else []
    )
    return ", ".join(words) or "at once"


def because(cluster: ClusterState, service: Service) -> str | None:
    """Say where a running service goes back to, and when; None when it stays."""
    domain = cluster.spec.domain_of(service.spec)
    if service.spec.name not in cluster.failbacks or domain is None:
        return None
    better = better_nodes(cluster, service)
    where = cluster.spec.node_name(better[0]) if better else "a better node"
    return f"goes back to {where} {when(domain)}"


def _is_put_off(domain: FailoverDomain) -> bool:
    return bool(domain.failback_delay_ms or domain.failback_window)


def _begin(ledger: Ledger, service: Service, target: NodeId) -> None:
    ledger.note(
        "service.failback_begun",
        service=service.spec.name,
        owner=ledger.name(service.owner),
        target=ledger.name(target),
    )
    begin_stop(ledger, service, After.FAILBACK, target)


def _put(ledger: Ledger, failbacks: dict[ServiceName, Failback]) -> None:
    ledger.state = evolve(ledger.state, {"failbacks": failbacks})


def _is_meant(cluster: ClusterState, name: ServiceName, entry: Failback) -> bool:
    service = cluster.services.get(name)
    if service is None or service.owner != entry.owner or service.target is not None:
        return False
    domain = cluster.spec.domain_of(service.spec)
    # a daemon that is away for a moment changes nothing
    away = [n for n, x in cluster.nodes.items() if x.status is NodeStatus.DETACHED]
    there = (*eligible(cluster), *away)
    return any(should_move(domain, entry.owner, n, there) for n in there)


def _key(name: ServiceName, entry: Failback) -> str:
    return f"failback:{name}:{entry.owner}:{entry.since_ms}"


def _wait_ms(turn: Turn, name: ServiceName, entry: Failback) -> int:
    return _left_ms(turn, name, entry) or 1


def _left_ms(turn: Turn, name: ServiceName, entry: Failback) -> int:
    """Return after what time to look again; 0: it is time now."""
    service = turn.cluster.services[name]
    domain = turn.cluster.spec.domain_of(service.spec)
    if domain is None:
        return LOOK_MS
    left_ms = entry.since_ms + domain.failback_delay_ms - turn.cluster_ms
    if left_ms > 0:
        return left_ms
    window, minute = domain.failback_window, turn.pulse.minute
    if window is not None and (minute < 0 or not window.is_open(minute)):
        return LOOK_MS
    return 0 if better_nodes(turn.cluster, service) else LOOK_MS
