# SPDX-License-Identifier: Apache-2.0
"""Simpler scripts than a given one: candidates for `shrink`, the most promising first.

Each is smaller, rounder or nearer to the defaults, so that trying them comes to an end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import Any, TypeVar, get_type_hints

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.config.watchdog import least_timeout_ms
from rgmgr.core.spec import ClusterSpec, FencingSpec, NodeSpec, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order
from rgmgr.sim.edits import needing_none
from rgmgr.sim.faults import Ambush, Fault, Script

Part = TypeVar("Part", ClusterSpec, FencingSpec, FailoverDomain, ServiceSpec)
AnyFault = TypeVar("AnyFault", bound=Fault)

NODES_MIN = 2
SECOND_MS = 1_000
_PLAIN = ClusterSpec(name="", version=1, digest="", nodes={}, services=())


def smaller_clusters(script: Script) -> Iterator[Script]:
    """Yield the script with fewer services, nodes, resources, domains and settings."""
    spec = script.spec
    if len(spec.services) > 1:
        for service in spec.services:
            yield _without_service(script, service.name)
    if len(spec.nodes) > NODES_MIN:
        for node in sorted(spec.nodes, reverse=True):
            yield without_node(script, node)
    for service in spec.services:
        for simpler in _smaller_services(service):
            others = tuple(simpler if s is service else s for s in spec.services)
            yield _with(script, replace(spec, services=others))
    for node, facts in spec.nodes.items():
        if facts.capacity is not None:
            roomy = {**spec.nodes, node: replace(facts, capacity=None)}
            yield _with(script, replace(spec, nodes=roomy))
    for simpler_spec in (*_fewer_domains(spec), *_plainer_settings(spec)):
        yield _with(script, simpler_spec)


def _fewer_domains(spec: ClusterSpec) -> Iterator[ClusterSpec]:
    used = {service.domain for service in spec.services}
    for name, domain in spec.domains.items():
        if name not in used:
            yield replace(spec, domains={n: d for n, d in spec.domains.items() if n != name})
        for plain in _smaller_domains(domain):
            yield replace(spec, domains={**spec.domains, name: plain})


def _plainer_settings(spec: ClusterSpec) -> Iterator[ClusterSpec]:
    names = ("no_quorum_policy", "rejoin_grace_ms", "sync_timeout_ms", "pings")
    for plainer in _nearer(spec, _PLAIN, names):
        if not spec.fencing.watchdog or spec.fencing.watchdog_ms >= least_timeout_ms(plainer):
            yield plainer
    names = ("verb", "post_fail_delay_ms", "post_join_delay_ms", "timeout_ms")
    for fencing in _nearer(spec.fencing, _PLAIN.fencing, names):
        yield replace(spec, fencing=fencing)


def _with(script: Script, spec: ClusterSpec) -> Script:
    """Return the script with another cluster, without the faults of units that are not there."""
    units = {(s.name, r.name) for s in spec.services for r in start_order(s)}
    were = {(s.name, r.name) for s in script.spec.services for r in start_order(s)}

    def is_there(fault: Fault) -> bool:
        inner = fault.strike if isinstance(fault, Ambush) else fault
        unit = (getattr(inner, "service", None), getattr(inner, "resource", None))
        return unit in units or unit not in were

    return replace(script, spec=spec, faults=tuple(f for f in script.faults if is_there(f)))


def _without_service(script: Script, name: ServiceName) -> Script:
    def is_other(fault: Fault) -> bool:
        inner = fault.strike if isinstance(fault, Ambush) else fault
        return getattr(inner, "service", None) != name

    services = tuple(needing_none(s, name) for s in script.spec.services if s.name != name)
    faults = tuple(fault for fault in script.faults if is_other(fault))
    return replace(script, spec=replace(script.spec, services=services), faults=faults)


def _smaller_services(service: ServiceSpec) -> Iterator[ServiceSpec]:
    for resource in start_order(service):
        if len(start_order(service)) > 1:
            yield replace(service, resources=_without(service.resources, resource))
    plain = ServiceSpec(name=service.name, resources=service.resources)
    names = ("domain", "recovery", "max_restarts", "restart_expire_ms", "autostart", "ladder")
    policies = ("no_quorum_policy", "on_stop_failure", "depend", "terms")
    yield from _nearer(service, plain, (*names, *policies))


def _without(resources: tuple[ResourceSpec, ...], gone: ResourceSpec) -> tuple[ResourceSpec, ...]:
    """Take one resource out; what was below it takes its place."""
    found: list[ResourceSpec] = []
    for resource in resources:
        children = _without(resource.children, gone)
        found += children if resource is gone else [replace(resource, children=children)]
    return tuple(found)


def _smaller_domains(domain: FailoverDomain) -> Iterator[FailoverDomain]:
    plain = FailoverDomain(name=domain.name, priorities=domain.priorities)
    yield from _nearer(
        domain,
        plain,
        ("ordered", "restricted", "nofailback", "failback_delay_ms", "failback_window"),
    )


def _nearer(value: Part, plain: Part, names: tuple[str, ...]) -> Iterator[Part]:
    """Yield the value with one field after another as in the plain one."""
    for name in names:
        wanted: Any = getattr(plain, name)
        if getattr(value, name) != wanted:
            yield replace(value, **{name: wanted})


# Nodes.


def without_node(script: Script, gone: NodeId) -> Script:
    """Return the script without a node and what befalls it; later nodes move up by one."""
    numbers = {n: NodeId(n - (n > gone)) for n in script.spec.nodes if n != gone}
    spec = script.spec
    nodes: dict[NodeId, NodeSpec] = {numbers[n]: spec.nodes[n] for n in spec.nodes if n != gone}
    domains = {}
    for name, domain in spec.domains.items():
        members = {numbers[n]: p for n, p in domain.priorities.items() if n in numbers}
        if members:
            domains[name] = replace(domain, priorities=members)
    services = tuple(
        service if service.domain in domains else replace(service, domain=None)
        for service in spec.services
    )
    faults = tuple(fault for f in script.faults if (fault := _renumbered(f, numbers)) is not None)
    smaller = replace(spec, nodes=nodes, domains=domains, services=services)
    return replace(script, spec=smaller, faults=faults)


def _renumbered(fault: Fault, numbers: dict[NodeId, NodeId]) -> Fault | None:
    """Return the fault with its nodes' new numbers; None when one it is about is gone."""
    hints = get_type_hints(type(fault))
    changes: dict[str, Any] = {}
    for field in fields(fault):
        value, hint = getattr(fault, field.name), hints[field.name]
        if hint in (NodeId, NodeId | None) and value is not None:
            changes[field.name] = numbers.get(value)
        elif hint == tuple[NodeId, ...]:
            changes[field.name] = _side(value, numbers)
        elif hint == tuple[tuple[NodeId, ...], ...]:
            changes[field.name] = tuple(side for s in value if (side := _side(s, numbers)))
        elif hint == tuple[tuple[NodeId, NodeId], ...]:
            ways = (_side(way, numbers) for way in value)
            changes[field.name] = tuple(way for way in ways if len(way) == 2)  # noqa: PLR2004
    if isinstance(fault, Ambush):
        changes["strike"] = _renumbered(fault.strike, numbers)
    is_whole = all(value not in (None, ()) for value in changes.values())
    return replace(fault, **changes) if is_whole else None


def _side(nodes: tuple[NodeId, ...], numbers: dict[NodeId, NodeId]) -> tuple[NodeId, ...]:
    return tuple(numbers[n] for n in nodes if n in numbers)


# Faults.


def smaller_faults(script: Script) -> Iterator[Script]:
    """Yield the script with one fault simpler, or all of them earlier or rounder."""
    if script.seed is not None:
        yield replace(script, seed=None)
    for index, fault in enumerate(script.faults):
        for simpler in _simpler(fault):
            faults = (*script.faults[:index], simpler, *script.faults[index + 1 :])
            yield replace(script, faults=tuple(sorted(faults, key=lambda f: f.at_ms)))


def _simpler(fault: Fault) -> Iterator[Fault]:
    if isinstance(fault, Ambush):
        yield replace(fault.strike, at_ms=fault.at_ms)
        for strike in _shorter(fault.strike):
            yield replace(fault, strike=strike)
    yield from _shorter(fault)
    for field in fields(fault):
        if field.name not in ("at_ms", "for_ms") and field.default not in (
            MISSING,
            getattr(fault, field.name),
        ):
            yield replace(fault, **{field.name: field.default})
    for at_ms in _rounder(fault.at_ms):
        yield replace(fault, at_ms=at_ms)


def _shorter(fault: AnyFault) -> Iterator[AnyFault]:
    for_ms = getattr(fault, "for_ms", 0)
    changes: list[dict[str, Any]] = [{"for_ms": ms} for ms in _rounder(for_ms)]
    if for_ms >= 2 * SECOND_MS:
        changes.insert(0, {"for_ms": for_ms // 2})
    for change in changes:
        yield replace(fault, **change)


def _rounder(span_ms: int) -> tuple[int, ...]:
    """Return the time in whole seconds, earlier; then, if it has them, in tenths."""
    spans = (span_ms // unit_ms * unit_ms for unit_ms in (SECOND_MS, 100))
    return tuple(ms for ms in dict.fromkeys(spans) if 0 < ms < span_ms)
