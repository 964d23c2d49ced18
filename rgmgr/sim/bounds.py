# SPDX-License-Identifier: Apache-2.0
"""How much a member may remember (I13): asked after every event, so that nothing grows unseen.

Bounds come from what there is to remember: nodes, services, and requests that wait for an answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from rgmgr.core.evolve import comparer
from rgmgr.core.ladder import rungs_of
from rgmgr.core.local import LocalState, State
from rgmgr.core.model import HISTORY_MAX, ClusterState

RESULTS_PER_SERVICE = 4
"""Unacknowledged results of one service: the next transition waits for the last result."""
RESULTS_PER_SECOND = 2
"""More of them, of one that fails as soon as it is up, while a member's daemon stands still."""
STANDSTILL_MAX_MS = 15_000
"""systemd ends such a daemon, or the others lose its node (`WatchdogSec=` of rgmgrd.service)."""
WORDS_MAX = 64
"""One-time messages of one life: configurations told, and steps of leaving."""
OWN_TIMERS = 8
FAULT_BYTES_MAX = 8_192


_COUNTED = (
    *("view", "own_spec", "waiting", "sent", "timers"),
    *("hellos", "acks", "jobs", "said"),
)
_is_alike = comparer(_COUNTED)


def may_differ(before: State, after: State) -> bool:
    """Tell at little cost whether `check_local` may find what it did not find before."""
    return (
        before.cluster is not after.cluster
        or before.pulse.applied_by is not after.pulse.applied_by
        or (before.local is not after.local and not _is_alike(before.local, after.local))
    )


def check_local(state: State) -> Iterator[str]:
    """Yield what one member remembers too much of."""
    local, cluster = state.local, state.cluster
    nodes = len(cluster.nodes)
    if local.view is not None:  # a node may be in the group and not in the configuration
        nodes = max(nodes, len(local.view.ring_nodes), len(local.own_spec.nodes))
    services = len(cluster.services) + len(local.own_spec.services)  # one may replace the other
    results = RESULTS_PER_SERVICE + RESULTS_PER_SECOND * _standstill_ms(local) // 1_000
    sent_max = results * services + 4 * nodes + 2 * len(local.waiting) + 8
    for name, value, bound in (
        ("operations", local.sent, sent_max),
        ("timers", local.timers, OWN_TIMERS + 2 * nodes + services),
        ("hellos", local.hellos, nodes),
        ("acks", local.acks, 2 * nodes),  # also of those that were dropped from the configuration
        ("members' places", state.pulse.applied_by, 2 * nodes),
        ("jobs", local.jobs, services),
        ("words", local.said, WORDS_MAX),
    ):
        if len(value) > bound:
            yield f"remembers {len(value)} {name}, more than {bound}"


def _standstill_ms(local: LocalState) -> int:
    """Return how long a member has applied nothing any more, as far as that may last."""
    stamps = [sent.operation.at_ms for sent in local.sent if sent.applied_at]
    return min(STANDSTILL_MAX_MS, max(stamps) - min(stamps)) if stamps else 0


def check_agreed(cluster: ClusterState) -> Iterator[str]:
    """Yield what the agreed state holds too much of."""
    nodes = len(cluster.nodes)
    if len(cluster.history) > HISTORY_MAX:
        yield f"the history has {len(cluster.history)} entries"
    for name, service in cluster.services.items():
        for rung in rungs_of(service.spec):  # of others nothing is added any more
            found = sum(1 for r in service.recoveries if r.deed is rung.deed)
            if found > rung.limit:
                yield f"{name} remembers {found} times {rung.deed.value}"
        if len(service.failed_on) > nodes or len({*service.failed_on}) < len(service.failed_on):
            yield f"{name} failed on {service.failed_on}, more often than there are nodes"
        if len(service.cleanup) > nodes:
            yield f"{name} is cleaned up on {service.cleanup}, more than there are nodes"
        if len(service.fault) > FAULT_BYTES_MAX:
            yield f"{name} has a fault of {len(service.fault)} characters"
