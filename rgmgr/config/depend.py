# SPDX-License-Identifier: Apache-2.0
"""Which services need which: every name is known, and there is no ring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from domains.model import ServiceName
from rgmgr.config.problems import Problems, below, did_you_mean, item, listed, shown
from rgmgr.config.table import Table
from rgmgr.core.spec import ServiceSpec

KEY = "depend"


def read_depend(table: Table) -> tuple[ServiceName, ...]:
    """Return the names of the services that one needs, each once; one alone may be a text."""
    raw = table.raw.get(KEY)
    entries = [raw] if isinstance(raw, str) else table.sequence(KEY, "a list of services")
    names: list[ServiceName] = []
    for number, entry in enumerate(entries):
        path = item(table.at(KEY), number)
        if not isinstance(entry, str) or not entry:
            table.problems.add(path, "expected the name of a service")
        elif entry in names:
            table.problems.add(path, f"the service {shown(entry)} is named twice")
        else:
            names.append(ServiceName(entry))
    return tuple(names)


def check_depend(services: Iterable[ServiceSpec], problems: Problems) -> None:
    """Note every name that is not known, and every ring.

    To be with another one is to come after it, so that closes a ring as well.
    """
    services = tuple(services)
    needs = {service.name: service.depend for service in services}
    for name, others in needs.items():
        for other in others:
            if other not in needs:
                hint = did_you_mean(other, needs) or f"defined: {listed(needs)}"
                problems.add(_path(name), f"unknown service {shown(other)}", hint)
    told: set[frozenset[ServiceName]] = set()
    followed = {s.name: (*s.depend, *_leaders(s)) for s in services}
    for name in needs:
        ring = _ring_from(name, followed)
        is_ours = any(b in needs[a] for a, b in pairwise((*ring, *ring[:1])))
        if is_ours and frozenset(ring) not in told:
            told.add(frozenset(ring))
            words = " -> ".join(map(repr, (*ring, ring[0])))
            problems.add(_path(name), f"{words} is a ring", "none of them could ever start")


def _leaders(service: ServiceSpec) -> tuple[ServiceName, ...]:
    return tuple(tie.service for tie in service.terms.together if tie.hard)


def _path(name: ServiceName) -> str:
    return below(below("service", name), KEY)


def _ring_from(
    name: ServiceName, needs: Mapping[ServiceName, tuple[ServiceName, ...]]
) -> tuple[ServiceName, ...]:
    """Return the shortest way from a service back to itself; empty when there is none."""
    ways: list[tuple[ServiceName, ...]] = [(name,)]
    seen: set[ServiceName] = set()
    while ways:
        way = ways.pop(0)
        for other in needs.get(way[-1], ()):
            if other == name:
                return way
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()
