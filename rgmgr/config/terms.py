# SPDX-License-Identifier: Apache-2.0
"""What a service asks of its node: exclusive, load, priority, and its ties to other services.

`read_terms` reads one service; `check_terms` looks for what the whole file asks for in vain: ties
to nobody, rings, and wishes that no cluster could meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from domains.model import PRIORITY_BEST, PRIORITY_WORST, ServiceName, Terms, Tie
from rgmgr.config.problems import Problems, below, described, did_you_mean, item, listed, shown
from rgmgr.config.table import Table, is_integer
from rgmgr.core.spec import ClusterSpec, ServiceSpec

TERMS_KEYS = ("exclusive", "load", "priority", "with", "apart_from")
_DEFAULT = Terms()
_TIE = 'write ["db"], or [{ service = "db", hard = false }]'
_Pair = frozenset[ServiceName]


def read_terms(table: Table) -> Terms:
    """Return what one service asks of its node."""
    return Terms(
        exclusive=table.boolean("exclusive", _DEFAULT.exclusive),
        load=table.integer("load", minimum=0, default=_DEFAULT.load),
        priority=_read_priority(table),
        together=_read_ties(table, "with"),
        apart=_read_ties(table, "apart_from"),
    )


def _read_priority(table: Table) -> int:
    raw = table.raw.get("priority", _DEFAULT.priority)
    if is_integer(raw) and PRIORITY_BEST <= raw <= PRIORITY_WORST:
        return raw
    expected = f"an integer from {PRIORITY_BEST} to {PRIORITY_WORST}"
    table.wrong("priority", expected, "1 is the most important")
    return _DEFAULT.priority


def _read_ties(table: Table, key: str) -> tuple[Tie, ...]:
    ties: dict[ServiceName, Tie] = {}
    for index, raw in enumerate(table.sequence(key, "a list of services", _TIE)):
        path = item(table.at(key), index)
        tie = _read_tie(raw, path, table.problems)
        if tie is None:
            continue
        if tie.service in ties:
            table.problems.add(path, f"the service {shown(tie.service)} is named twice")
        ties[tie.service] = tie
    return tuple(ties.values())


def _read_tie(raw: object, path: str, problems: Problems) -> Tie | None:
    if isinstance(raw, str) and raw:
        return Tie(ServiceName(raw))
    if not isinstance(raw, dict):
        problems.add(path, f"expected the name of a service, got {described(raw)}", _TIE)
        return None
    table = Table(raw, path, problems, known=("service", "hard"))
    name = table.required_text("service", "the name of a service")
    hard = table.boolean("hard", True)  # noqa: FBT003  # the default, as in Table.boolean
    return Tie(ServiceName(name), hard) if name else None


def check_terms(spec: ClusterSpec, problems: Problems) -> None:
    """Note ties to nobody, rings of `with`, and wishes that contradict each other."""
    services = {service.name: service for service in spec.services}
    for service in spec.services:
        _check_names(service, services, problems)
        _check_load(spec, service, services, problems)
    for ring in _rings(services):
        words = " with ".join(map(str, (*ring, ring[0])))
        text = f"a ring: {words}"
        problems.add(_path(ring[0], "with"), text, "one of them has to lead")
    _check_contradictions(spec, services, problems)


def _path(service: ServiceName, key: str) -> str:
    return below(below("service", service), key)


def _check_names(
    service: ServiceSpec, services: Mapping[ServiceName, ServiceSpec], problems: Problems
) -> None:
    for key, ties in (("with", service.terms.together), ("apart_from", service.terms.apart)):
        for index, tie in enumerate(ties):
            path = item(_path(service.name, key), index)
            if tie.service == service.name:
                problems.add(path, "a service has no tie to itself", "leave it out")
            elif tie.service not in services:
                others = [name for name in services if name != service.name]
                hint = did_you_mean(tie.service, others) or f"services: {listed(others)}"
                problems.add(path, f"unknown service {shown(tie.service)}", hint)


def _check_load(
    spec: ClusterSpec,
    service: ServiceSpec,
    services: Mapping[ServiceName, ServiceSpec],
    problems: Problems,
) -> None:
    capacities = [node.capacity for node in spec.nodes.values()]
    limits = [capacity for capacity in capacities if capacity is not None]
    if not limits or len(limits) < len(capacities):
        return
    company = _company(service.name, services)
    load = sum(services[name].terms.load for name in (service.name, *company))
    if load > max(limits):
        beside = f" with {listed(company)}" if company else ""
        text = f"no node has room for a load of {load}{beside}, the largest has {max(limits)}"
        problems.add(_path(service.name, "load"), text, "raise a capacity, or lower the load")


def _rings(services: Mapping[ServiceName, ServiceSpec]) -> Iterator[tuple[ServiceName, ...]]:
    """Yield rings of `with` that share no service; what leads to a ring is none."""
    leads = {
        name: [t.service for t in s.terms.together if t.service in services and t.service != name]
        for name, s in services.items()
    }
    while leads := _without_ends(leads):
        trail = [next(iter(leads))]
        while (following := leads[trail[-1]][0]) not in trail:
            trail.append(following)
        ring = trail[trail.index(following) :]
        yield tuple(ring)
        leads = {n: [x for x in after if x not in ring] for n, after in leads.items()}


def _without_ends(
    leads: dict[ServiceName, list[ServiceName]],
) -> dict[ServiceName, list[ServiceName]]:
    """Drop who leads nowhere, until all that are left lead to others that are."""
    followers: dict[ServiceName, list[ServiceName]] = {name: [] for name in leads}
    for name, after in leads.items():
        for other in after:
            followers[other].append(name)
    open_ways = {name: len(after) for name, after in leads.items()}
    ends = [name for name, count in open_ways.items() if not count]
    dropped = set(ends)
    while ends:
        for name in followers[ends.pop()]:
            open_ways[name] -= 1
            if not open_ways[name]:
                dropped.add(name)
                ends.append(name)
    return {
        name: [other for other in after if other not in dropped]
        for name, after in leads.items()
        if name not in dropped
    }


def _check_contradictions(
    spec: ClusterSpec, services: Mapping[ServiceName, ServiceSpec], problems: Problems
) -> None:
    """Note pairs that must be on one node, directly or through others, and cannot be."""
    apart: set[_Pair] = {
        frozenset((service.name, tie.service))
        for service in spec.services
        for tie in service.terms.apart
        if tie.hard
    }
    for service in spec.services:
        for other in _company(service.name, services):
            if reason := _why_never_together(spec, service, services[other], apart):
                text = f"{service.name} must run where {shown(other)} runs, and {reason}"
                problems.add(_path(service.name, "with"), text, "give up one of the two")


def _company(
    name: ServiceName, services: Mapping[ServiceName, ServiceSpec]
) -> tuple[ServiceName, ...]:
    """Return all that must be where this service is, because of its own ties."""
    found: dict[ServiceName, None] = {}
    rest = [name]
    while rest:
        for tie in services[rest.pop()].terms.together:
            if tie.hard and tie.service in services and tie.service not in (name, *found):
                found[tie.service] = None
                rest.append(tie.service)
    return tuple(found)


def _why_never_together(
    spec: ClusterSpec, one: ServiceSpec, other: ServiceSpec, apart: set[_Pair]
) -> str:
    if frozenset((one.name, other.name)) in apart:
        return "they must be apart"
    for each in (one, other):
        if each.terms.exclusive:
            return f"{each.name} runs alone (exclusive)"
    bounds = [spec.domain_of(each) for each in (one, other)]
    members = [d.priorities.keys() for d in bounds if d is not None and d.restricted]
    if len(members) > 1 and members[0].isdisjoint(members[1]):
        return "their restricted domains share no node"
    return ""
