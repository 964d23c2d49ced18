# SPDX-License-Identifier: Apache-2.0
"""Every single and every double failure of a configuration: what each of them costs.

A case is simulated from a quiet start, so it says what the cluster would do, not what a table of
rules thinks of it. A service counts as lost when nothing brings it back while the failure lasts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

from domains.model import NodeId
from rgmgr.core.spec import ClusterSpec
from rgmgr.present import Present
from rgmgr.sim.forecast import (
    DeviceDies,
    NetworkSplits,
    NodeDies,
    Supposition,
    forecast,
    unfenceable,
)
from rgmgr.sim.stage import TWO_NODES, present_of, quiet_start

BMC_AGENTS = (
    "fence_bmc",
    "fence_cimc",
    "fence_drac",
    "fence_idrac",
    "fence_ilo",
    "fence_imm",
    "fence_ipmi",
    "fence_redfish",
    "fence_rsa",
)
"""Agents (by how their names begin) of devices that have their power from the node they guard."""


STAY_DOWN = ("lost", "waits")
"""Verdicts on services that nothing brings back by itself while the failure lasts."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that breaks, in words and as what is supposed."""

    words: str
    supposed: tuple[Supposition, ...]
    dead_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One or two failures at the same moment, and what they cost.

    `lost`: services that stay down, with the reason; `unfenceable`: nodes whose loss could not be
    proven any more; `is_new`: it costs more than its parts do alone.
    """

    failures: tuple[str, ...]
    lost: tuple[tuple[str, str], ...]
    unfenceable: tuple[str, ...]
    is_quorum_lost: bool
    is_new: bool = True

    @property
    def is_single(self) -> bool:
        """Whether one failure alone does it."""
        return len(self.failures) == 1

    @property
    def is_harmless(self) -> bool:
        """Whether nothing is lost, and everybody can still be fenced."""
        return not self.costs

    @property
    def costs(self) -> tuple[str, ...]:
        """Everything that it costs, to compare with others."""
        lost = (f"lost {name}" for name, _ in self.lost)
        quorum = ("quorum",) if self.is_quorum_lost else ()
        return (*lost, *(f"unfenceable {name}" for name in self.unfenceable), *quorum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """A fence device on which more than one thing depends."""

    device: str
    nodes: tuple[str, ...]
    same_node: tuple[str, ...]  # nodes of which every method needs it, though they have several


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All cases, the worst first, and what shares a device."""

    cases: tuple[Case, ...]
    shared: tuple[Sharing, ...]

    @property
    def is_clean(self) -> bool:
        """Whether no single failure loses a service or leaves a node that cannot be fenced."""
        return all(case.is_harmless for case in self.cases if case.is_single)


def count_of(spec: ClusterSpec) -> int:
    """Return how many cases there are."""
    return len(_singles(spec)) + sum(1 for _ in _pairs(spec))


def audit(spec: ClusterSpec) -> Iterator[Case]:
    """Yield every case, singles first, as each has been tried out; see `summary`."""
    present = present_of(quiet_start(spec))
    costs_by_failure: dict[str, frozenset[str]] = {}
    for failure in _singles(spec):
        case = _try(present, (failure,), frozenset())
        costs_by_failure[failure.words] = frozenset(case.costs)
        yield case
    for pair in _pairs(spec):
        known = [costs_by_failure.get(failure.words, frozenset()) for failure in pair]
        yield _try(present, pair, frozenset().union(*known))


def summary(spec: ClusterSpec, cases: list[Case]) -> Audit:
    """Return the cases with the worst first, and what shares a device."""
    order = sorted(cases, key=lambda case: (not case.is_single, *_badness(case)))
    return Audit(cases=tuple(order), shared=tuple(_shared(spec)))


def _badness(case: Case) -> tuple[int, int, tuple[str, ...]]:
    return (-len(case.lost), -len(case.unfenceable), case.failures)


def _try(present: Present, failures: tuple[Failure, ...], known: frozenset[str]) -> Case:
    spec = present.cluster.spec
    dead = frozenset(device for failure in failures for device in failure.dead_devices)
    supposed = tuple(what for failure in failures for what in failure.supposed)
    found = None
    if any(not isinstance(what, DeviceDies) for what in supposed):
        found = forecast(present, *supposed)
    fates = found.fates if found else ()
    case = Case(
        failures=tuple(failure.words for failure in failures),
        lost=tuple((fate.service, fate.after.why) for fate in fates if fate.verdict in STAY_DOWN),
        unfenceable=tuple(spec.node_name(n) for n in unfenceable(spec, dead)) if dead else (),
        is_quorum_lost=found is not None and not found.is_quorate,
    )
    if len(failures) == 1:
        return case
    return replace(case, is_new=not known.issuperset(case.costs))


def _singles(spec: ClusterSpec) -> list[Failure]:
    nodes = sorted(spec.nodes)
    name = spec.node_name
    found = [_death(spec, node) for node in nodes]
    found += [
        Failure(
            f"{name(node)} loses its mains, and with it {', '.join(bmcs)}",
            (NodeDies(node), *map(DeviceDies, bmcs)),
            bmcs,
        )
        for node in nodes
        if (bmcs := _own_bmcs(spec, node))
    ]
    found += [
        Failure(f"{name(node)} is cut off from the others", (NetworkSplits(((node,),)),))
        for node in nodes[: 1 if len(nodes) == TWO_NODES else None]
    ]
    return found + [_device_death(device) for device in _used(spec)]


def _pairs(spec: ClusterSpec) -> Iterator[tuple[Failure, Failure]]:
    deaths = [_death(spec, node) for node in sorted(spec.nodes)]
    devices = [_device_death(device) for device in _used(spec)]
    yield from combinations(deaths, 2)
    yield from ((death, device) for death in deaths for device in devices)
    yield from combinations(devices, 2)


def _death(spec: ClusterSpec, node: NodeId) -> Failure:
    return Failure(f"{spec.node_name(node)} dies", (NodeDies(node),))


def _device_death(device: str) -> Failure:
    return Failure(f"fence device {device} dies", (DeviceDies(device),), (device,))


def _used(spec: ClusterSpec) -> tuple[str, ...]:
    """Return the devices that some node uses, in the order of the configuration."""
    used = {step.device for node in spec.nodes.values() for m in node.fence for step in m}
    return tuple(name for name in spec.fencing.devices if name in used)


def _own_bmcs(spec: ClusterSpec, node: NodeId) -> tuple[str, ...]:
    """Return the devices of a node that lose their power with it."""
    steps = (step for method in spec.nodes[node].fence for step in method)
    return tuple(
        dict.fromkeys(
            step.device
            for step in steps
            if spec.fencing.devices[step.device].agent.startswith(BMC_AGENTS)
        )
    )


def _shared(spec: ClusterSpec) -> Iterator[Sharing]:
    for device in _used(spec):
        users = [
            (node.name, [any(step.device == device for step in method) for method in node.fence])
            for _, node in sorted(spec.nodes.items())
        ]
        nodes = tuple(name for name, uses in users if any(uses))
        same = tuple(name for name, uses in users if len(uses) > 1 and all(uses))
        if len(nodes) > 1 or same:
            yield Sharing(device=device, nodes=nodes, same_node=same)
