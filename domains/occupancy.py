# SPDX-License-Identifier: Apache-2.0
"""Which services hold which nodes, and what of that keeps another one away.

A service holds a node from the moment it is told to start there until it is known to hold nothing
any more. The rules that look at other services are here: exclusive, capacity, apart and together;
those of the failover domain are in `rank`. A rule is asked when a service is about to be started;
it never moves one that runs.

Source: rgmanager `check_exclusive_resources`; the other rules are ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from domains.model import NodeId, ServiceName, Tenant

PERMILLE = 1000


class Bar(Enum):
    """What keeps a service off a node, the first that applies."""

    RESTRICTED = "outside its restricted domain"
    OCCUPIED = "it runs alone, and {names} is there"
    EXCLUSIVE = "{names} runs alone there"
    APART = "it must not run where {names} runs"
    TOGETHER = "it must run where {names} runs, which is elsewhere"
    AWAITED = "it must run where {names} runs, which is not running yet"
    SHARED = "what it shares with {names} is elsewhere"
    CAPACITY = "no room: it needs {load}, and {room} is left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Why a service cannot start on a node now. `services`: because of whom, by name."""

    bar: Bar
    services: tuple[ServiceName, ...] = ()
    load: int = 0
    room: int = 0  # what is left of the capacity

    @property
    def text(self) -> str:
        """Say it in words."""
        return self.bar.value.format(
            names=", ".join(self.services), load=self.load, room=max(self.room, 0)
        )


class Occupancy:
    """The services on the nodes of a cluster; changed by `take` alone.

    `capacities`: nodes that are not in it have no limit. `awaited`: services that are to run and
    hold no node. `ills`: how much of what it should reach a node does not reach; 0 where missing.
    """

    def __init__(
        self,
        capacities: Mapping[NodeId, int] | None = None,
        *,
        awaited: Iterable[ServiceName] = (),
        ills: Mapping[NodeId, int] | None = None,
        is_relative: bool = False,
    ) -> None:
        """Begin with empty nodes.

        `is_relative`: compare loads as parts of the capacities.
        """
        self.ills = dict(ills or {})
        self._capacities = dict(capacities or {})
        self._is_relative = is_relative
        self._awaited = set(awaited)
        self._tenants: dict[NodeId, dict[ServiceName, Tenant]] = {}
        self._loads: dict[NodeId, int] = {}
        self._alone: dict[NodeId, set[ServiceName]] = {}
        self._coming: dict[NodeId, set[ServiceName]] = {}  # that hold it once others have gone
        self._going: dict[NodeId, set[ServiceName]] = {}  # for them
        self._nodes: dict[ServiceName, set[NodeId]] = {}
        self._shunned: dict[ServiceName, dict[ServiceName, bool]] = {}  # by whom, and is it hard
        self._followed: dict[ServiceName, dict[ServiceName, bool]] = {}  # likewise

    def take(self, node: NodeId, tenant: Tenant, *, is_up: bool = True) -> None:
        """A service holds a node from now on; one that does already is not counted twice.

        Only where it is up, or on its way up, it draws others to it.
        """
        here = self._tenants.setdefault(node, {})
        if tenant.name in here:
            return
        here[tenant.name] = tenant
        self._loads[node] = self._loads.get(node, 0) + tenant.terms.load
        if tenant.terms.exclusive:
            self._alone.setdefault(node, set()).add(tenant.name)
        for tie in tenant.terms.apart:
            self._shunned.setdefault(tie.service, {})[tenant.name] = tie.hard
        if not is_up:
            return
        self._nodes.setdefault(tenant.name, set()).add(node)
        self._awaited.discard(tenant.name)
        for tie in tenant.terms.together:
            self._followed.setdefault(tie.service, {})[tenant.name] = tie.hard

    def reserve(self, node: NodeId, tenant: Tenant, going: Iterable[ServiceName]) -> None:
        """Keep a node for a service that starts there once these have gone.

        Whoever comes meanwhile must find room beside them, and then beside it.
        """
        if tenant.name in self._tenants.get(node, ()):
            return
        self.take(node, tenant, is_up=False)
        self._coming.setdefault(node, set()).add(tenant.name)
        self._going.setdefault(node, set()).update(going)

    def tenants(self, node: NodeId) -> tuple[Tenant, ...]:
        """Return who holds a node, in order of arrival."""
        return tuple(self._tenants.get(node, {}).values())

    def count(self, node: NodeId, but: ServiceName | None = None) -> int:
        """Return how many services hold a node, without one of them."""
        here = self._tenants.get(node, ())
        return len(here) - (but in here)

    def load(self, node: NodeId, but: ServiceName | None = None) -> int:
        """Return the sum of the loads on a node, without that of one service."""
        load, here = self._loads.get(node, 0), self._tenants.get(node)
        return load - here[but].terms.load if here and but in here else load

    def share(self, node: NodeId, but: ServiceName | None = None) -> int:
        """Return how loaded a node is: its load, or the thousandths of its capacity in use."""
        load = self.load(node, but)
        capacity = self._capacities.get(node, 0)
        return PERMILLE * load // capacity if self._is_relative and capacity else load

    def room(self, node: NodeId) -> int | None:
        """Return what is left of a node's capacity; None when it has no limit."""
        capacity = self._capacities.get(node)
        return None if capacity is None else capacity - self._loads.get(node, 0)

    def alone(self, node: NodeId) -> frozenset[ServiceName]:
        """Return the services on a node that ask to run alone."""
        return frozenset(self._alone.get(node, ()))

    def worth(self, node: NodeId, name: ServiceName) -> int:
        """Return the best priority among a service on a node and those there that must be with it.

        Whoever stops it stops them all.
        """
        here = self._tenants.get(node, {})
        if name not in self._followed:
            return here[name].terms.priority
        company = [name]
        for each in company:
            followers = self._followed.get(each, {}).items()
            company += [n for n, hard in followers if hard and n in here and n not in company]
        return min(here[each].terms.priority for each in company)

    def obstacle(self, tenant: Tenant, node: NodeId) -> Obstacle | None:
        """Return what keeps a service off a node, its domain aside; None if nothing does.

        A service never stands in its own way.
        """
        terms, name = tenant.terms, tenant.name
        here = self._tenants.get(node, {})
        if terms.exclusive and (others := tuple(sorted(n for n in here if n != name))):
            return Obstacle(bar=Bar.OCCUPIED, services=others)
        alone = self._alone.get(node)
        if alone and (others := tuple(sorted(n for n in alone if n != name))):
            return Obstacle(bar=Bar.EXCLUSIVE, services=others)
        if self._is_tied(tenant):
            if foes := self.foes(tenant, node, is_hard=True):
                return Obstacle(bar=Bar.APART, services=foes)
            if parted := self.parted(tenant, node):
                return parted
        capacity = self._capacities.get(node)
        if capacity is not None:
            room = capacity - self._most(node, name)
            if terms.load > room:
                return Obstacle(bar=Bar.CAPACITY, load=terms.load, room=room)
        return None

    def _most(self, node: NodeId, but: ServiceName) -> int:
        """Return the load without one service: before some have gone for others, or after."""
        load = self.load(node, but)
        if node not in self._coming:
            return load
        here = self._tenants[node]
        coming, going = (
            sum(here[n].terms.load for n in names[node] if n in here and n != but)
            for names in (self._coming, self._going)
        )
        return load - min(coming, going)

    def _is_tied(self, tenant: Tenant) -> bool:
        """Tell whether it has a say about another service, or another one about it."""
        terms, name = tenant.terms, tenant.name
        return bool(
            terms.apart or terms.together or name in self._shunned or name in self._followed
        )

    def broken_ties(self, tenant: Tenant, node: NodeId) -> int:
        """Count the wishes, also those of others about this service, that a node would break."""
        if not self._is_tied(tenant):
            return 0
        broken = len(self.foes(tenant, node, is_hard=False))
        for tie in tenant.terms.together:
            nodes = self._nodes.get(tie.service, ())
            broken += bool(nodes) and node not in nodes
        for follower in self._followed.get(tenant.name, ()):
            nodes = self._nodes.get(follower, ())
            broken += bool(nodes) and node not in nodes
        return broken

    def foes(self, tenant: Tenant, node: NodeId, *, is_hard: bool) -> tuple[ServiceName, ...]:
        """Return who is on the node and must not, or should not, be beside this service."""
        ties = tenant.terms.apart
        shunned = self._shunned.get(tenant.name)
        if not ties and not shunned:
            return ()
        here = self._tenants.get(node, {})
        found = {tie.service for tie in ties if tie.hard is is_hard and tie.service in here}
        found |= {n for n, hard in (shunned or {}).items() if hard is is_hard and n in here}
        return tuple(sorted(found))

    def parted(self, tenant: Tenant, node: NodeId) -> Obstacle | None:
        """Return the first hard wish to be with another service that a node would break."""
        for tie in tenant.terms.together:
            nodes = self._nodes.get(tie.service)
            if not tie.hard or (nodes and node in nodes):
                continue
            if nodes:
                return Obstacle(bar=Bar.TOGETHER, services=(tie.service,))
            if tie.service in self._awaited:
                return Obstacle(bar=Bar.AWAITED, services=(tie.service,))
        return None
