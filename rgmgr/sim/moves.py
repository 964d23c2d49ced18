# SPDX-License-Identifier: Apache-2.0
"""Which moves of services are called for: I8, I10 and I11, seen from the agreed states alone.

Says for itself, in the words of the failover domains, when a joiner may take a running service,
and follows each service to know whether its history explains that it is not on its best node. It
never changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.core.messages import (
    ConfigProposed,
    FailbackDue,
    HealthSettled,
    Install,
    MaintenanceRequest,
    Operation,
    Request,
    TermOver,
)
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.placement import because
from rgmgr.sim import rules
from rgmgr.sim.bonds import broken_bonds, is_let_down
from rgmgr.sim.orders import disobeyed
from rgmgr.sim.waits import untimely

RUNNING = (ServiceState.STARTING, ServiceState.STARTED)
WAITING = (ServiceState.STOPPED, ServiceState.RECOVERING)
SETTLED = (*RUNNING, ServiceState.STOPPING)
MOVES = (After.RELOCATE, After.FAILBACK)
Violate = Callable[[str, str], None]


class Moves:
    """Follows the agreed states of a world, each once."""

    def __init__(self, violate: Violate) -> None:
        self._violate = violate
        self._explained: dict[ServiceName, None] = {}  # their history says why they are elsewhere

    def changed(
        self, cause: Install | Operation | None, before: ClusterState, after: ClusterState
    ) -> None:
        """The agreed state went from here to there."""
        base = (cause.state if isinstance(cause, Install) else None) or before
        for sentence in _needless(cause, base, after):
            self._violate("I8", sentence)
        for sentence in rules.broken(base, after) if rules.in_play(after.spec) else ():
            self._violate("I10", sentence)
        said = (
            *disobeyed(base, after, is_install=isinstance(cause, Install)),
            *_touched_though_frozen(cause, base, after),
            *untimely(cause, base, after),
        )
        for sentence in said:
            self._violate("I7", sentence)
        for sentence in broken_bonds(base, after):
            self._violate("I3", sentence)
        for sentence in silent(after):
            self._violate("I11", sentence)
        self._follow(cause, base, after)

    def misplaced(self, cluster: ClusterState) -> Iterator[str]:
        """Yield the services that, at rest, are not where their domain says (I10)."""
        online = [
            n
            for n, x in cluster.nodes.items()
            if x.status is NodeStatus.ONLINE and n not in cluster.standby
        ]
        for name, service in cluster.services.items():
            if service.state is not ServiceState.STARTED or name in self._explained:
                continue
            domain = cluster.spec.domain_of(service.spec)
            if domain is not None and domain.failback_window is not None:
                continue  # it may be shut until tomorrow
            better = [n for n in online if is_preferred(domain, service.owner, n)]
            if better:
                names = ", ".join(map(cluster.spec.node_name, better))
                where = cluster.spec.node_name(service.owner or NodeId(0))
                yield f"{name} is on {where}, and its domain prefers {names}"

    def _follow(
        self, cause: Install | Operation | None, before: ClusterState, after: ClusterState
    ) -> None:
        """Remember what explains a place that is not the best."""
        if isinstance(cause, Operation):
            if isinstance(cause.body, Request):
                self._explained[cause.body.service] = None
            elif isinstance(cause.body, MaintenanceRequest | TermOver):
                returning = [order.services for order in before.standby.values()]
                self._explained.update(dict.fromkeys(chain(*returning)))
            elif isinstance(cause.body, ConfigProposed):
                self._explained.update(dict.fromkeys(after.services))
        detached = [n for n, x in after.nodes.items() if x.status is NodeStatus.DETACHED]
        for name, service in after.services.items():
            was = before.services.get(name)
            if was is service:
                continue
            is_adopted = (was is None or was.owner is None) and service.state is (
                ServiceState.STARTED
            )
            has_failed = bool(service.fault or service.failed_on)
            if has_failed or is_adopted or (detached and service.state is not ServiceState.STARTED):
                self._explained[name] = None
        if rules.in_play(after.spec) or after.spec.pings:
            self._explained.update(dict.fromkeys(_kept_away(after)))
        if (
            detached
        ):  # nothing can be moved from there, and the return of a mere daemon moves nothing
            self._explained.update(
                (name, None)
                for name, s in after.services.items()
                if s.state not in SETTLED or s.owner in detached
            )


def _kept_away(cluster: ClusterState) -> Iterator[ServiceName]:
    """Yield the running services that other services keep away from a node that they prefer."""
    for name, service in cluster.services.items():
        if service.state not in RUNNING:
            continue
        domain = cluster.spec.domain_of(service.spec)
        wanted = [n for n in cluster.nodes if is_preferred(domain, service.owner, n)]
        if (
            any(rules.sickness(cluster, n) for n in (service.owner, *wanted))
            or any(rules.why_barred(cluster, service, n) for n in wanted)
            or _has_wishes(cluster, service)
            or _is_led_nowhere(cluster, service)
        ):
            yield name


def _is_led_nowhere(cluster: ClusterState, service: Service) -> bool:
    """Tell whether it must be with one that waits, and so could start nowhere."""
    leaders = [cluster.services.get(t.service) for t in service.spec.terms.together if t.hard]
    return any(x is not None and x.state is ServiceState.STOPPED and not x.frozen for x in leaders)


def _has_wishes(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a soft wish, its own or one about it, may weigh more than its domain."""
    terms = service.spec.terms
    if any(not tie.hard for tie in (*terms.together, *terms.apart)):
        return True
    return any(
        tie.service == service.spec.name
        for other in cluster.services.values()
        for tie in (*other.spec.terms.together, *other.spec.terms.apart)
    )


def is_preferred(domain: FailoverDomain | None, owner: NodeId | None, node: NodeId) -> bool:
    """Tell whether a running service should leave its owner for this node when that joins."""
    if domain is None or owner is None or node not in domain.priorities:
        return False
    if owner not in domain.priorities:
        return True  # the domain's own nodes come first
    if domain.nofailback or not domain.ordered:
        return False
    return domain.priorities[node] < domain.priorities[owner]


def silent(cluster: ClusterState) -> Iterator[str]:
    """Yield the services that wait and do not say for what, or say what is not so (I11)."""
    for name, service in cluster.services.items():
        if service.state is ServiceState.STARTED and not _waits(cluster, service):
            continue
        words = because(cluster, name)
        if not words and (service.state not in SETTLED or _waits(cluster, service)):
            yield f"{name} is {service.state.value} and does not say why"
        elif words == "about to start" and service.state in WAITING:
            yield f"{name} says that it is about to start, and nobody starts it"


def _waits(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a service that has an owner waits: for an administrator, a time, or others."""
    if service.state is ServiceState.STOPPING:
        configured = {spec.name: spec for spec in cluster.spec.services}
        return any(
            service.spec.name in configured.get(name, other.spec).depend
            and other.state is ServiceState.STOPPING
            and other.owner in cluster.members()
            for name, other in cluster.services.items()
        )
    goes_back = service.spec.name in cluster.failbacks and service.state is ServiceState.STARTED
    return service.frozen or goes_back


def _touched_though_frozen(
    cause: Install | Operation | None, before: ClusterState, after: ClusterState
) -> Iterator[str]:
    """Yield the frozen services that are started, or that are stopped on a node that stays.

    What an INSTALL stops was stopped already, by its own node.
    """
    for name, service in after.services.items():
        was = before.services.get(name)
        if was is None or was is service or not (was.frozen and service.frozen):
            continue
        owner = after.nodes.get(service.owner) if service.owner is not None else None
        is_staying = owner is not None and owner.status is not NodeStatus.LEAVING
        is_down = was.state is ServiceState.STARTED and service.state is not was.state
        is_started = service.state is ServiceState.STARTING and was.state is not service.state
        if is_started or (is_down and is_staying and isinstance(cause, Operation)):
            yield f"{name} is frozen, and {service.state.value}"


def _needless(
    cause: Install | Operation | None, before: ClusterState, after: ClusterState
) -> Iterator[str]:
    """Yield what an agreed message did to running services that nothing called for."""
    body = cause.body if isinstance(cause, Operation) else None
    if isinstance(body, FailbackDue):
        yield from _needless_moves(before, after)
        yield from _early(body, before, after)
    elif isinstance(body, HealthSettled):
        yield from _vain_flights(before, after)
    elif isinstance(body, ConfigProposed):
        yield from _needless_changes(before, after)
    elif isinstance(cause, Install):
        yield from _needless_moves(before, after)
        yield from _hasty_moves(before, after)


def _needless_moves(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield the services that an INSTALL moves to a joiner which they do not prefer."""
    for name, service in after.services.items():
        was = before.services.get(name)
        is_move = service.state is ServiceState.STOPPING and service.after in MOVES
        if was is None or was is service or not is_move or was.state not in RUNNING:
            continue
        domain = after.spec.domain_of(service.spec)
        if _follows(after, service):
            continue
        owner_now = service.owner  # the same INSTALL may have found it there
        if rules.sickness(after, service.target) < rules.sickness(after, owner_now):
            continue  # it had failed where more is reached, and is given a new chance there
        if service.target is None or not is_preferred(domain, owner_now, service.target):
            target = after.spec.node_name(service.target or NodeId(0))
            owner = after.spec.node_name(owner_now or NodeId(0))
            yield f"{name} is moved from {owner} to {target}, which its domain does not prefer"


def _hasty_moves(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield the services that an INSTALL moves to a joiner although their domain puts it off."""
    for name, service in after.services.items():
        was, domain = before.services.get(name), after.spec.domain_of(service.spec)
        is_put_off = domain and (domain.failback_delay_ms or domain.failback_window)
        is_move = service.state is ServiceState.STOPPING and service.after in MOVES
        is_begun = was is not None and was is not service and was.state in RUNNING
        if is_put_off and is_move and is_begun and not _follows(after, service):
            yield f"{name} is moved at once, and its domain puts that off"


def _vain_flights(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield the services that leave a node for one that reaches no more than it."""
    for name, service in after.services.items():
        was, target = before.services.get(name), service.target
        is_move = service.state is ServiceState.STOPPING and service.after in MOVES
        if was is None or was is service or was.state not in RUNNING or not is_move:
            continue
        domain = after.spec.domain_of(service.spec)
        is_better = rules.sickness(after, target) < rules.sickness(after, was.owner)
        if (
            not is_better
            and not _follows(after, service)
            and not (target and is_preferred(domain, was.owner, target))
        ):
            yield f"{name} leaves its node for one that reaches no more"


def _early(body: FailbackDue, before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield the service that goes back before its delay is over."""
    service = after.services.get(body.service)
    if service is None or service is before.services.get(body.service):
        return
    domain = after.spec.domain_of(service.spec)
    if domain is not None and after.now_ms < body.since_ms + domain.failback_delay_ms:
        yield f"{body.service} goes back before its delay is over"


def _follows(cluster: ClusterState, service: Service) -> bool:
    """Tell whether it goes to the node of one that it must be with."""
    leaders = [cluster.services.get(t.service) for t in service.spec.terms.together if t.hard]
    return any(leader is not None and leader.owner == service.target for leader in leaders)


def _needless_changes(before: ClusterState, after: ClusterState) -> Iterator[str]:
    """Yield the running services that a configuration changes although it says the same of them."""
    old = {spec.name: spec for spec in before.spec.services}
    for spec in after.spec.services:
        was, service = before.services.get(spec.name), after.services.get(spec.name)
        if was is None or service is None or was.state not in RUNNING:
            continue
        domains = (before.spec.domain_of(spec), after.spec.domain_of(spec))
        is_same = old.get(spec.name) == spec == was.spec and domains[0] == domains[1]
        is_displaced = service.after is After.SETTLE and rules.in_play(after.spec)
        is_called_for = is_displaced or is_let_down(after, spec)
        if is_same and not _goes_on(was, service) and not is_called_for:
            yield f"{spec.name} is {service.state.value} by a configuration that says no news of it"


def _goes_on(was: Service, service: Service) -> bool:
    return (was.state, was.owner, was.op) == (service.state, service.owner, service.op)
