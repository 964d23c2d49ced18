# SPDX-License-Identifier: Apache-2.0
"""What the daemon shows: a snapshot for the bus, a line in `systemctl status`, faults of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import structlog

from domains.model import NodeId, ServiceName
from rgmgr.adapters.fencing.discovery import DeviceCheck
from rgmgr.adapters.watchdog import Watchdog, WatchdogError
from rgmgr.config.advice import warnings
from rgmgr.core.evolve import comparer, replace
from rgmgr.core.fence_paths import methods_removed
from rgmgr.core.local import State
from rgmgr.core.model import ClusterState, FencePath, Node, NodeStatus, PathTest
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.sync import has_quorum_of, missing
from rgmgr.errors import ConfigError
from rgmgr.history_view import History, encode_history, history_of
from rgmgr.present import Span, Surroundings, encode_surroundings, told_to_readers
from rgmgr.runtime.pump import monotonic_ms
from rgmgr.runtime.ticks import Ticks
from rgmgr.view import Standing, Status, snapshot
from rgmgr.wire.codec import encode_state

PROBLEM_LINES_MAX = 100

log = structlog.get_logger("rgmgrd")


def log_problems(error: ConfigError) -> None:
    """Write a line for each problem of a configuration; of very many only the first."""
    for found in error.problems[:PROBLEM_LINES_MAX]:
        hint = {"hint": found.hint} if found.hint else {}
        log.error(
            "config.refused", source=error.source, key=found.path, problem=found.problem, **hint
        )
    rest = len(error.problems) - PROBLEM_LINES_MAX
    if rest > 0:
        problem = f"{rest} more problems; 'rgmgr config check' tells all"
        log.error("config.refused", source=error.source, problem=problem)


def log_warnings(spec: ClusterSpec, source: Path) -> None:
    """Write a line for each thing in a configuration that deserves a second look."""
    for warning in warnings(spec):
        log.warning("config.warned", source=str(source), reason=warning)


def log_methods_removed(old: ClusterSpec, new: ClusterSpec) -> None:
    """Write a line for each node that the file leaves fewer fence methods than it had."""
    for name, methods in methods_removed(old, new).items():
        log.warning("fence.methods_removed", node=name, methods=methods)


def log_device_check(check: DeviceCheck, source: Path) -> None:
    """Write a line for each option of a fence device that its agent would not take.

    None of them ends the daemon: an agent may change while services run.
    """
    for found in check.problems:
        log.error(
            "fence.misconfigured",
            source=str(source),
            key=found.path,
            problem=found.problem,
            hint=found.hint,
        )
    for warning in check.warnings:
        log.warning("config.warned", source=str(source), reason=warning)


def status_of(state: State | None, spec: ClusterSpec, note: str, ticks: Ticks) -> Status:
    """Return the snapshot; `note` says what a daemon without a state waits for."""
    if state is None:
        nobody = Standing(
            me=None, is_connected=False, is_quorate=False, is_installed=False, note=note
        )
        return snapshot(None, nobody, spec)
    local = state.local
    standing = Standing(
        me=local.me,
        is_connected=local.view is not None,
        is_quorate=has_quorum_of(local),
        is_installed=local.is_installed,
        ring_nodes=local.view.ring_nodes if local.view else (),
        note=_note(state),
        now_ms=monotonic_ms() + local.clock_offset_ms,
        files=ticks.files(),
        skews_ms=ticks.skews_ms(),
        orphans=_orphans(state),
    )
    return snapshot(state.cluster, standing, state.cluster.spec)


def history_text(state: State | None) -> str:
    """Return what the members decided, as JSON."""
    if state is None:
        return encode_history(History(decisions=()))
    now_ms = max(state.cluster.now_ms, monotonic_ms() + state.local.clock_offset_ms)
    return encode_history(history_of(state.cluster, now_ms))


def is_shown_alike(before: State, now: State) -> bool:
    """Tell at little cost that nobody can see a difference, but for ages and clocks."""
    old, new = before.local, now.local
    return (
        (before.cluster is now.cluster or _are_agreed_alike(before.cluster, now.cluster))
        and old.view is new.view
        and old.is_installed
        and new.is_installed
        and has_quorum_of(old) == has_quorum_of(new)
        and (old.active is new.active or _orphans(before) == _orphans(now))
    )


def _comparer_but(kind: type[ClusterState | Node], *names: str) -> Callable[[object, object], bool]:
    return comparer(field.name for field in fields(kind) if field.name not in names)


_is_rest_alike = _comparer_but(ClusterState, "applied", "now_ms", "nodes", "tests")
_is_node_alike = _comparer_but(Node, "sequence")


def _are_agreed_alike(before: ClusterState, now: ClusterState) -> bool:
    """Tell whether all that was agreed is that time has passed and fence paths are as they were."""
    return (
        _is_rest_alike(before, now)
        and before.nodes.keys() == now.nodes.keys()
        and all(_is_node_alike(node, now.nodes[name]) for name, node in before.nodes.items())
        and _found(before.tests) == _found(now.tests)
    )


def _found(tests: Mapping[NodeId, PathTest]) -> list[tuple[NodeId, int, list[FencePath]]]:
    return [
        (node, test.number, [replace(path, at_ms=0) for path in test.paths])
        for node, test in tests.items()
    ]


def _orphans(state: State) -> dict[ServiceName, tuple[ResourceName, ...]]:
    """Return what runs here of services that no member knows; before an epoch nobody can tell."""
    if not state.local.is_installed:
        return {}
    known = state.cluster.services
    return {name: found for name, found in state.local.active.items() if name not in known}


def present_of(
    state: State,
    measured: dict[str, Span],
    *,
    detection_ms: int,
    is_two_node: bool,
    tie_breaker: str,
) -> tuple[bytes, str]:
    """Return what forecasts start from: the agreed state in wire form, and what is around it."""
    local = state.local
    around = Surroundings(
        me=local.me,
        is_installed=local.is_installed,
        is_quorate=has_quorum_of(local),
        ring_nodes=local.view.ring_nodes if local.view else (),
        now_ms=max(state.cluster.now_ms, monotonic_ms() + local.clock_offset_ms),
        detection_ms=detection_ms,
        is_two_node=is_two_node,
        tie_breaker=tie_breaker,
        measured=measured,
    )
    return encode_state(told_to_readers(state.cluster)), encode_surroundings(around)


def status_line(state: State) -> str:
    """Return one ASCII line: quorum, members, services, and what needs attention."""
    cluster, local = state.cluster, state.local
    members = cluster.members()
    if not local.is_installed:
        return f"not acting: {_note(state)}"
    here = [s.spec.name for s in cluster.services.values() if s.owner == local.me]
    parts = [
        f"quorate, {len(members)} of {len(cluster.nodes)} nodes online",
        f"{len(here)} of {len(cluster.services)} services here"
        + (f" ({', '.join(sorted(here)[:5])})" if here else ""),
    ]
    unclean = [
        cluster.spec.node_name(n)
        for n, node in sorted(cluster.nodes.items())
        if node.status is NodeStatus.UNCLEAN
    ]
    if unclean:
        parts.append(f"fencing {', '.join(unclean)}")
    if cluster.spec.fencing.unsafe_disabled:
        parts.append("FENCING IS DISABLED")
    orders = {"DISARMED": cluster.disarmed, "LOCKED": cluster.locked}
    parts += [word for word, order in orders.items() if order]
    if local.me in cluster.standby:
        parts.append("this node is in STANDBY")
    return "; ".join(parts)


def _note(state: State) -> str:
    """Say why this member is not in an epoch; empty when it is."""
    local = state.local
    if local.is_installed:
        return ""
    if local.emergency or local.is_sync_overdue:
        return local.emergency or missing(state.cluster, local)
    if local.view is None:
        return "waiting for corosync"
    if not local.is_probed:
        return "asking systemd what runs here"
    if not has_quorum_of(local):
        return "waiting for quorum"
    silent = [n for n in local.view.members if n not in local.hellos]
    names = ", ".join(map(state.cluster.spec.node_name, silent))
    return f"waiting for HELLO of {names}" if names else "joining"


def promised_ms(watchdog: Watchdog, spec: ClusterSpec, *, is_two_node: bool) -> int:
    """Return the timeout that this node may promise the others; 0 where nothing would reset it."""
    try:
        return watchdog.begin(spec.fencing, is_two_node=is_two_node)
    except WatchdogError as error:
        hint = "a lost node of this kind cannot be proven down by time alone"
        log.warning("watchdog.missing", reason=str(error), hint=hint)
        return 0
