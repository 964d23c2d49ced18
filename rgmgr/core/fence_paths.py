# SPDX-License-Identifier: Apache-2.0
"""Fence paths: what each member found when it tried them, and what follows for a fence.

Every member tests its paths to all others on a schedule and tells the result, so that everybody
knows who can reach which device. A device that calls a running member off is connected to
something else: its `off` would prove nothing, so its method is left out until it tells the truth.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.actions import Severity
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import PathsTested
from rgmgr.core.model import ClusterState, FencePath, NodeStatus, PathState, PathTest
from rgmgr.core.seating import online
from rgmgr.core.spec import WATCHDOG_AGENT, ClusterSpec, FenceStep

DOUBT_MS = 30_000
"""A member that is called off may just have died: it must be called so for longer than that."""

Methods = tuple[tuple[FenceStep, ...], ...]


def tested(ledger: Ledger, sender: NodeId, body: PathsTested) -> None:
    """A member tells what it found; alerts are raised for what has changed."""
    before = {_place(path): path for path in _paths_of(ledger.state, sender)}
    paths = tuple(
        _merged(ledger.state, before.get(_place(path)), path)
        for path in body.paths
        if path.node in ledger.state.nodes
    )
    now_known = {_place(path) for path in paths}
    untried = (path for place, path in before.items() if place not in now_known)
    kept = tuple(path for path in untried if _is_configured(ledger.state, path))
    test = PathTest(number=body.number, paths=paths + kept)
    ledger.state = replace(ledger.state, tests={**ledger.state.tests, sender: test})
    for path in paths:
        known = before.get(_place(path))
        _alert(ledger, sender, known.state if known else PathState.WORKS, path)


def fencers(cluster: ClusterState, victim: NodeId) -> tuple[NodeId, ...]:
    """Return who may fence a node: those that can reach a device of it first, unknown before not.

    Never the node itself.
    """
    able = [node for node in online(cluster) if node != victim]
    return tuple(sorted(able, key=lambda node: (_distance(cluster, node, victim), node)))


def trusted_methods(cluster: ClusterState, victim: NodeId) -> Methods:
    """Return the methods of a node without those that have a device known to lie."""
    spec = cluster.spec.nodes.get(victim)
    lying = {
        path.method
        for test in cluster.tests.values()
        for path in test.paths
        if path.node == victim and is_liar(path)
    }
    methods = spec.fence if spec else ()
    return tuple(method for index, method in enumerate(methods) if index not in lying)


def is_switched(cluster: ClusterState, victim: NodeId) -> bool:
    """Tell whether some agent acts on a node, and does not only wait for its watchdog."""
    spec, devices = cluster.spec.nodes.get(victim), cluster.spec.fencing.devices
    steps = [step for method in (spec.fence if spec else ()) for step in method]
    return any(
        (device := devices.get(step.device)) is None or device.agent != WATCHDOG_AGENT
        for step in steps
    )


def is_liar(path: FencePath) -> bool:
    """Tell whether a path called a running member off, and not only when that was dying."""
    return path.state is PathState.LIES and path.at_ms - path.since_ms >= DOUBT_MS


def forget_lost_testers(ledger: Ledger) -> None:
    """Drop what nodes say that are no members any more; lies that they saw are kept."""
    members = ledger.state.members()
    kept = {}
    for tester, test in ledger.state.tests.items():
        if tester in members:
            kept[tester] = test
        elif liars := tuple(path for path in test.paths if is_liar(path)):
            kept[tester] = replace(test, paths=liars)
    if kept != ledger.state.tests:
        ledger.state = replace(ledger.state, tests=kept)


def methods_removed(old: ClusterSpec, new: ClusterSpec) -> dict[str, str]:
    """Return, by name, the nodes that a configuration leaves fewer methods, and how many."""
    return {
        spec.name: f"{len(old.nodes[node].fence)} before, {len(spec.fence)} now"
        for node, spec in sorted(new.nodes.items())
        if node in old.nodes and len(spec.fence) < len(old.nodes[node].fence)
    }


def _distance(cluster: ClusterState, fencer: NodeId, victim: NodeId) -> int:
    """Return 0 for a fencer with a whole method that works, 1 for unknown, 2 for none."""
    works: dict[int, bool] = {}
    for path in _paths_of(cluster, fencer):
        if path.node == victim:
            is_fine = path.state is PathState.WORKS
            works[path.method] = works.get(path.method, True) and is_fine
    if not works:
        return 1
    return 0 if any(works.values()) else 2


def _paths_of(cluster: ClusterState, tester: NodeId) -> tuple[FencePath, ...]:
    test = cluster.tests.get(tester)
    return test.paths if test else ()


def _place(path: FencePath) -> tuple[NodeId, int, int, str]:
    return (path.node, path.method, path.step, path.device)


def _is_configured(cluster: ClusterState, path: FencePath) -> bool:
    spec = cluster.spec.nodes.get(path.node)
    methods = spec.fence if spec else ()
    steps = methods[path.method] if path.method < len(methods) else ()
    return path.step < len(steps) and steps[path.step].device == path.device


def _merged(cluster: ClusterState, before: FencePath | None, path: FencePath) -> FencePath:
    """Date a finding. Only a member that reads on clears a device of having lied."""
    now_ms = cluster.now_ms
    is_member = cluster.nodes[path.node].status is NodeStatus.ONLINE
    if path.state is PathState.LIES and not is_member:
        path = replace(path, state=PathState.WORKS, detail="")  # it told the truth
    if before is not None and is_liar(before) and not is_member:
        return before
    is_same = before is not None and before.state is path.state
    since_ms = before.since_ms if before is not None and is_same else now_ms
    return replace(path, since_ms=since_ms, at_ms=now_ms)


def _alert(ledger: Ledger, tester: NodeId, before: PathState, path: FencePath) -> None:
    if path.state is before:
        return
    where = f"method {path.method + 1} of {ledger.name(path.node)}"
    by = ledger.name(tester)
    if path.state is PathState.WORKS:
        ledger.note("fence.path_restored", device=path.device, path=where, by=by)
    else:
        reason = path.detail or None
        ledger.note(
            "fence.path_failed",
            Severity.ERROR,
            device=path.device,
            path=where,
            by=by,
            reason=reason,
        )
