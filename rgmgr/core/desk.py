# SPDX-License-Identifier: Apache-2.0
"""The operators of this node: every request gets exactly one answer, when it is done.

What an operator is told is done survives: the answer waits until a majority of the configured
nodes has it on disk.
"""

from __future__ import annotations

from rgmgr.core import fence_requests, maintenance, outbox, requests
from rgmgr.core.actions import Answer, Reply
from rgmgr.core.durable import is_final, is_kept
from rgmgr.core.local import Turn, Waiting
from rgmgr.core.messages import AnyRequest, FenceRequest, MaintenanceRequest, Request
from rgmgr.core.verdict import Verdict


def requested(turn: Turn, request: AnyRequest) -> None:
    """An operator asked: tell all, or say at once why not."""
    if turn.local.shutdown is not None:
        _answer(turn, request, Verdict(Answer.TRY_AGAIN, "the daemon on this node is stopping"))
    elif isinstance(request, FenceRequest) and (refusal := fence_requests.refusal(turn, request)):
        _answer(turn, request, refusal)
    elif turn.local.emergency:
        _answer(turn, request, Verdict(Answer.NO_QUORUM, turn.local.emergency))
    else:
        turn.update(waiting={**turn.local.waiting, request.number: Waiting(request)})
        outbox.send(turn, request)


def verdict_given(turn: Turn, request: AnyRequest, verdict: Verdict, op: int) -> None:
    """Our request was delivered: accepted or refused by all."""
    if request.number not in turn.local.waiting:
        return
    if verdict.answer is not None:
        _answer(turn, request, verdict)
    else:
        waiting = {**turn.local.waiting, request.number: Waiting(request, op)}
        turn.update(waiting=waiting)


def settle_requests(turn: Turn) -> None:
    """Answer what is done and on enough disks."""
    for waiting in tuple(turn.local.waiting.values()):
        if waiting.accepted_op is None:
            continue
        verdict = _outcome(turn, waiting.request, waiting.accepted_op)
        is_enough = is_kept if isinstance(waiting.request, FenceRequest) else is_final
        is_safe = turn.local.is_installed and is_enough(turn, turn.local.saved_at)
        if verdict.answer is not None and (is_safe or verdict.answer is not Answer.DONE):
            _answer(turn, waiting.request, verdict)


def give_up(turn: Turn, reason: str) -> None:
    """Quorum is gone: answer everybody, and do not send again what was not yet agreed."""
    numbers = set(turn.local.waiting)
    for waiting in tuple(turn.local.waiting.values()):
        is_open = waiting.accepted_op is None
        text = reason if is_open else f"{reason}; it was accepted and may still be carried out"
        _answer(turn, waiting.request, Verdict(Answer.NO_QUORUM, text))
    kept = tuple(
        sent
        for sent in turn.local.sent
        if not isinstance(body := sent.operation.body, AnyRequest) or body.number not in numbers
    )
    turn.update(sent=kept)


def _outcome(turn: Turn, request: AnyRequest, accepted_op: int) -> Verdict:
    if isinstance(request, FenceRequest):
        return fence_requests.outcome(turn.cluster, request, accepted_op)
    if isinstance(request, MaintenanceRequest):
        return maintenance.outcome(turn.cluster, request)
    return requests.outcome(turn.cluster, request, accepted_op)


def _answer(turn: Turn, request: AnyRequest, verdict: Verdict) -> None:
    waiting = {n: w for n, w in turn.local.waiting.items() if n != request.number}
    turn.update(waiting=waiting)
    name = request.service if isinstance(request, Request) else None
    service = turn.cluster.services.get(name) if name else None
    turn.do(
        Reply(
            number=request.number,
            answer=verdict.answer or Answer.DONE,
            text=verdict.text,
            owner=service.owner if service else None,
        )
    )
