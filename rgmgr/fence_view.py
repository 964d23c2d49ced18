# SPDX-License-Identifier: Apache-2.0
"""What an operator may see of fencing: cases, proofs, paths. A part of `view.Status`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from domains.model import NodeId

if TYPE_CHECKING:
    from rgmgr.core.model import (
        ClusterState,
        FenceCase,
        FencePath,
        FenceTrial,
        LinkSight,
        Node,
        Outage,
        Proof,
    )
    from rgmgr.core.spec import ClusterSpec

UNCLEAN, WORKS = "unclean", "works"
"""Words of the core, which is not loaded to read them: see `view`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FencingView:
    """How far the fencing of an unclean node has come. `by` is None until it has begun."""

    by: str | None
    attempt: int
    last_fault: str
    cause: str = ""  # why it counts as lost
    withheld: str = ""  # why no attempt is made; empty: they go on


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofView:
    """Why a node counted as down the last time it was lost."""

    kind: str  # proven, rebooted, timed, human, none
    by: str
    age_ms: int
    detail: str
    guarantee: str = ""  # what it is worth: proven, timed, human, none


@dataclass(frozen=True, slots=True, kw_only=True)
class PathView:
    """One device of one fence method of a node, as one member found it when it last tried."""

    method: int  # from 1
    device: str
    by: str
    state: str  # works, fails, lies
    detail: str
    age_ms: int  # of the latest test


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialView:
    """One attempt at fencing. Spans count from the opening of its case."""

    by: str
    begun_after_ms: int
    ended_after_ms: int | None  # None: it goes on, or nobody heard how it ended
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutageView:
    """A service of a lost node. The span counts from the opening of the case."""

    service: str
    back_after_ms: int | None  # None: it is not back
    back_on: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SightView:
    """A link of corosync to a lost node as one survivor saw it. Spans as in `TrialView`.

    They are those of two looks and may be negative: the link changed between them.
    """

    by: str
    link: int
    is_up: bool
    found_after_ms: int | None  # the look that first found it so; None: it was never otherwise
    before_after_ms: int | None  # the last look that found it the other way
    losses: int  # since the survivor's corosync started


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One loss of a node and what was done about it. Spans count from `opened`."""

    number: int
    node: str
    cause: str
    by: str | None  # who made the latest attempt, or heard the human
    attempts: int
    outcome: str  # a kind of proof, 'called off', or 'open'
    detail: str
    age_ms: int  # since it was opened
    begun_after_ms: int | None  # the first attempt; None: there was none
    ended_after_ms: int | None
    wall_s: int  # wall clock at its end where the proof was brought; 0: not known
    epoch: int = 0
    members: tuple[str, ...] = ()  # who was there to see it
    trials: tuple[TrialView, ...] = ()  # the latest
    outages: tuple[OutageView, ...] = ()
    ring_seq: int = 0  # of the ring of that epoch
    sights: tuple[SightView, ...] = ()


def paths_of(node: NodeId, cluster: ClusterState, now_ms: int) -> tuple[PathView, ...]:
    """Return what the members know of the fence paths of a node."""
    found = [
        (path, cluster.spec.node_name(tester))
        for tester, test in sorted(cluster.tests.items())
        for path in test.paths
        if path.node == node
    ]
    found.sort(key=lambda pair: (pair[0].method, pair[0].step))
    return tuple(_path(path, by, now_ms) for path, by in found)


def _path(path: FencePath, by: str, now_ms: int) -> PathView:
    return PathView(
        method=path.method + 1,
        device=path.device,
        by=by,
        state=path.state.value,
        detail=path.detail,
        age_ms=max(0, now_ms - path.at_ms),
    )


def cases_of(cluster: ClusterState, now_ms: int) -> tuple[CaseView, ...]:
    """Return the latest cases, oldest first."""
    return tuple(_case(case, cluster.spec, now_ms) for case in cluster.cases)


def _case(case: FenceCase, spec: ClusterSpec, now_ms: int) -> CaseView:
    return CaseView(
        number=case.number,
        node=spec.node_name(case.node),
        cause=case.cause,
        by=_name(case.by, spec),
        attempts=case.attempts,
        outcome=case.outcome or "open",
        detail=case.detail,
        age_ms=max(0, now_ms - case.opened_ms),
        begun_after_ms=case.begun_ms - case.opened_ms if case.attempts else None,
        ended_after_ms=case.ended_ms - case.opened_ms if case.outcome else None,
        wall_s=case.wall_s,
        epoch=case.epoch,
        members=tuple(map(spec.node_name, case.members)),
        trials=tuple(_trial(trial, case, spec) for trial in case.trials),
        outages=tuple(_outage(outage, case, spec) for outage in case.outages),
        ring_seq=case.ring_seq,
        sights=tuple(_sight(sight, case, spec) for sight in case.sights),
    )


def _sight(sight: LinkSight, case: FenceCase, spec: ClusterSpec) -> SightView:
    return SightView(
        by=spec.node_name(sight.by),
        link=sight.link,
        is_up=sight.is_up,
        found_after_ms=sight.first_ms - case.opened_ms if sight.first_ms else None,
        before_after_ms=sight.before_ms - case.opened_ms if sight.before_ms else None,
        losses=sight.losses,
    )


def _trial(trial: FenceTrial, case: FenceCase, spec: ClusterSpec) -> TrialView:
    return TrialView(
        by=spec.node_name(trial.by),
        begun_after_ms=trial.begun_ms - case.opened_ms,
        ended_after_ms=trial.ended_ms - case.opened_ms if trial.ended_ms else None,
        result=trial.result,
    )


def _outage(outage: Outage, case: FenceCase, spec: ClusterSpec) -> OutageView:
    return OutageView(
        service=outage.service,
        back_after_ms=outage.back_ms - case.opened_ms if outage.back_ms else None,
        back_on=_name(outage.back_on, spec),
    )


def fencing_of(record: Node, cluster: ClusterState) -> FencingView | None:
    """Return how far the fencing of a node is; None when it is not unclean."""
    if record.status.value != UNCLEAN:
        return None
    cause = next((case.cause for case in cluster.cases if case.number == record.victim), "")
    return FencingView(
        by=_name(record.fencer, cluster.spec),
        attempt=record.attempt,
        last_fault=record.last_fault,
        cause=cause,
        withheld=record.withheld,
    )


def proof_of(proof: Proof | None, now_ms: int, spec: ClusterSpec) -> ProofView | None:
    """Return why a node counted as down the last time; None when it never did."""
    if proof is None:
        return None
    return ProofView(
        kind=proof.kind.value,
        by=spec.node_name(proof.by),
        age_ms=max(0, now_ms - proof.at_ms),
        detail=proof.detail,
        guarantee=proof.kind.guarantee,
    )


def unclean_text(name: str, case: FencingView, services: int) -> str:
    """Say in a sentence what becomes of a node that is lost without proof."""
    if case.withheld:
        ways = f"'rgmgr fence {name}', or 'rgmgr fence ack {name}' if it is surely off"
        progress = f"not being fenced: {case.withheld}; {ways}"
    elif case.by is None:
        progress = "waiting to be fenced"
    else:
        progress = f"being fenced by {case.by}, attempt {case.attempt}"
    fault = f", last fault: {case.last_fault}" if case.last_fault else ""
    waiting = f"; services that wait for proof: {services}" if services else ""
    return f"{name} is unclean: {progress}{fault}{waiting}"


def path_text(name: str, paths: tuple[PathView, ...]) -> str:
    """Say which fence devices of a node do not answer as they should; empty: all do."""
    bad = [path for path in paths if path.state != WORKS]
    if not bad:
        return ""
    devices = ", ".join(dict.fromkeys(path.device for path in bad))
    testers = ", ".join(dict.fromkeys(path.by for path in bad))
    is_lost = len(bad) == len(paths)
    words = "NO fence path works" if is_lost else "not every fence path works"
    return f"{name}: {words} ({devices}, seen by {testers}): {bad[0].detail or bad[0].state}"


def _name(node: NodeId | None, spec: ClusterSpec) -> str | None:
    return None if node is None else spec.node_name(node)
