# SPDX-License-Identifier: Apache-2.0
"""What operators ask about fencing: accepted or refused alike by all, answered by the one asked.

The human's word is proof like that of a device, so it is refused for a node that shows any sign
of life. `refusal` looks at what the asked member alone sees; `apply` changes the agreed state.

Source: fence_node(8), fence_ack_manual(8), Linux-HA's meatware.
"""

from __future__ import annotations

from collections.abc import Callable

from domains.model import NodeId
from rgmgr.core.actions import Answer, Severity
from rgmgr.core.evolve import replace
from rgmgr.core.fence_paths import fencers
from rgmgr.core.fencing import open_case, order, prove, withhold
from rgmgr.core.incidents import case_of, trial_ended
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import Turn
from rgmgr.core.messages import FenceOrder, FenceRequest, words_of
from rgmgr.core.model import (
    CALLED_OFF,
    ClusterState,
    FenceCase,
    NodeStatus,
    PathState,
    Proof,
    ProofKind,
)
from rgmgr.core.requests import PROVEN_DOWN
from rgmgr.core.seating import online
from rgmgr.core.verdict import ACCEPTED, Verdict

ALIVE = (NodeStatus.ONLINE, NodeStatus.LEAVING, NodeStatus.DETACHED)


def refusal(turn: Turn, request: FenceRequest) -> Verdict | None:
    """Return why this member does not even ask the others; None when it does."""
    view = turn.local.view
    is_in_ring = view is not None and request.node in view.ring_nodes
    if request.order is FenceOrder.ACK and request.node is not None and is_in_ring:
        name = turn.cluster.spec.node_name(request.node)
        return Verdict(Answer.NOT_ALLOWED, f"corosync on this node hears {name}: it is not off")
    return None


def apply(ledger: Ledger, sender: NodeId, request: FenceRequest) -> Verdict:
    """Accept the request, changing the agreed state, or refuse it and change nothing."""
    verdict = _decide(ledger, sender, request)
    is_refused = verdict.answer is not None and verdict.answer is not Answer.DONE
    ledger.note(
        "request.refused" if is_refused else "request.accepted",
        Severity.INFO,
        request=f"fence {request.order.value}",
        node=ledger.name(request.node),
        by=ledger.name(sender),
        reason=verdict.text or None,
        **words_of(request),
    )
    return verdict


def number_of(ledger: Ledger, request: FenceRequest) -> int:
    """Return what an accepted request is known by: its case, or its test."""
    node = ledger.state.nodes.get(request.node) if request.node is not None else None
    if request.order is FenceOrder.TEST or node is None:
        return ledger.state.test
    return node.victim


def outcome(cluster: ClusterState, request: FenceRequest, number: int) -> Verdict:
    """Tell how an accepted request stands. `number`: from `number_of`, at acceptance."""
    if request.order is FenceOrder.TEST:
        return _outcome_of_test(cluster, request, number)
    case = case_of(cluster, number)
    if case is None:
        return Verdict(Answer.FAILED, "the record of it is gone; see 'rgmgr fence history'")
    return _outcome_of_case(cluster, case)


def _outcome_of_case(cluster: ClusterState, case: FenceCase) -> Verdict:
    name = cluster.spec.node_name(case.node)
    if case.outcome == CALLED_OFF:
        return Verdict(Answer.FAILED, f"{name} came back before it was fenced")
    if case.outcome:
        return Verdict(Answer.DONE, f"{name} is fenced: {_proof_in_words(cluster, case)}")
    if case.node not in cluster.nodes:
        return Verdict(Answer.FAILED, f"{name} was removed from the configuration")
    if cluster.nodes[case.node].withheld:
        return Verdict(Answer.FAILED, cluster.nodes[case.node].withheld)
    return ACCEPTED


def _decide(ledger: Ledger, sender: NodeId, request: FenceRequest) -> Verdict:
    if request.order is FenceOrder.TEST and request.node is None:
        return _test(ledger, sender, request)
    if request.node is None or request.node not in ledger.state.nodes:
        return Verdict(Answer.INVALID, "name a configured node")
    return _APPLY[request.order](ledger, sender, request)


def _fence(ledger: Ledger, _sender: NodeId, request: FenceRequest) -> Verdict:
    assert request.node is not None  # noqa: S101  # `_decide` has looked
    node = ledger.state.nodes[request.node]
    name = ledger.name(request.node)
    if ledger.state.spec.fencing.unsafe_disabled:
        return Verdict(Answer.NOT_ALLOWED, "fencing is disabled by the configuration")
    if node.status in PROVEN_DOWN:
        text = f"{name} is {node.status.value} and runs nothing; its device is not needed"
        return Verdict(Answer.NOT_ALLOWED, text)
    if not fencers(ledger.state, request.node):
        return Verdict(Answer.NOT_ALLOWED, f"no other online member could fence {name}")
    if node.status is not NodeStatus.UNCLEAN:
        lost_epoch = node.lost_epoch or ledger.state.epoch + 1  # a member hears all of this one
        open_case(ledger, request.node, lost_epoch, cause=_cause(request))
    order(ledger, request.node, stays_off=request.order is FenceOrder.OFF)
    return ACCEPTED


def _cause(request: FenceRequest) -> str:
    why = f": {request.because}" if request.because else ""
    return f"asked for by {request.by}{why}"


def _ack(ledger: Ledger, sender: NodeId, request: FenceRequest) -> Verdict:
    assert request.node is not None  # noqa: S101  # `_decide` has looked
    node = ledger.state.nodes[request.node]
    name = ledger.name(request.node)
    if node.status in ALIVE:
        text = f"{name} is {node.status.value}: it is alive; 'rgmgr fence {name}' switches it off"
        return Verdict(Answer.NOT_ALLOWED, text)
    if node.status in PROVEN_DOWN:
        text = f"{name} is {node.status.value}: nothing waits for your word"
        return Verdict(Answer.NOT_ALLOWED, text)
    if node.status is NodeStatus.UNSEEN:
        cause = "not seen since the cluster formed"
        open_case(ledger, request.node, node.lost_epoch, cause=cause)
    if node.fencer is not None:
        trial_ended(ledger, node.victim, f"ended: {request.by} says that it is off")
    proof = Proof(
        kind=ProofKind.HUMAN,
        at_ms=ledger.state.now_ms,
        by=sender,
        detail=f"{request.by} says that it is off",
    )
    prove(ledger, request.node, proof, wall_s=request.wall_s)
    return ACCEPTED


def _cancel(ledger: Ledger, _sender: NodeId, request: FenceRequest) -> Verdict:
    assert request.node is not None  # noqa: S101  # `_decide` has looked
    node = ledger.state.nodes[request.node]
    name = ledger.name(request.node)
    if node.status is not NodeStatus.UNCLEAN:
        return Verdict(Answer.NOT_ALLOWED, f"{name} is {node.status.value}: it is not being fenced")
    withhold(ledger, request.node, f"called off by {request.by}")
    going_on = "; the attempt under way goes on" if node.fencer is not None else ""
    text = f"{name} is not fenced any further{going_on}; what it may run starts nowhere"
    return Verdict(Answer.DONE, text)


def _test(ledger: Ledger, _sender: NodeId, _request: FenceRequest) -> Verdict:
    number = ledger.take_op()
    ledger.state = replace(ledger.state, test=number)
    return ACCEPTED


_APPLY: dict[FenceOrder, Callable[[Ledger, NodeId, FenceRequest], Verdict]] = {
    FenceOrder.FENCE: _fence,
    FenceOrder.OFF: _fence,
    FenceOrder.ACK: _ack,
    FenceOrder.CANCEL: _cancel,
    FenceOrder.TEST: _test,
}


def _outcome_of_test(cluster: ClusterState, request: FenceRequest, number: int) -> Verdict:
    if cluster.test < number:
        return Verdict(Answer.TRY_AGAIN, "it was agreed in a part of the cluster that did not last")
    testers = [node for node in online(cluster) if node != request.node]
    found = {node: cluster.tests.get(node) for node in testers}
    if any(test is None or test.number < number for test in found.values()):
        return ACCEPTED
    paths = [
        path
        for test in found.values()
        for path in (test.paths if test else ())
        if request.node in (None, path.node)
    ]
    bad = [path for path in paths if path.state is not PathState.WORKS]
    if not paths:
        return Verdict(Answer.FAILED, "there is no fence path to test")
    text = f"{len(paths) - len(bad)} of {len(paths)} fence paths work"
    return Verdict(Answer.FAILED if bad else Answer.DONE, text)


def _proof_in_words(cluster: ClusterState, case: FenceCase) -> str:
    by = f" by {cluster.spec.node_name(case.by)}" if case.by is not None else ""
    return f"{case.outcome}{by}" + (f" ({case.detail})" if case.detail else "")
