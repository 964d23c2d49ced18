# SPDX-License-Identifier: Apache-2.0
"""Our own operations until every member has applied them.

A message delivered to us may be lost for those who left the ring at that moment, and one sent in
an old epoch is dropped by all. So an operation is kept, and sent again in the next epoch when
the installed state lacks it; its sequence number makes sure that it is applied once.
"""

from __future__ import annotations

from rgmgr.core.actions import Multicast
from rgmgr.core.evolve import replace
from rgmgr.core.local import Sent, Turn
from rgmgr.core.messages import Body, Operation


def send(turn: Turn, body: Body) -> None:
    """Tell all members; at once when in an epoch, else at the beginning of the next."""
    local = turn.local
    operation = Operation(
        epoch=turn.cluster.epoch if local.is_installed else 0,
        incarnation=local.incarnation,
        sequence=local.sequence + 1,
        first_epoch=turn.cluster.epoch if local.is_installed else 0,
        at_ms=turn.cluster_ms,
        body=body,
    )
    turn.update(sequence=operation.sequence, sent=(*local.sent, Sent(operation)))
    if local.is_installed:
        turn.do(Multicast(operation))


def resend(turn: Turn) -> None:
    """Send what the newly installed state lacks; forget the rest."""
    me = turn.cluster.nodes.get(turn.local.me)
    known = me.sequence if me and me.incarnation == turn.local.incarnation else 0
    again = []
    for sent in turn.local.sent:
        operation = sent.operation
        if operation.sequence <= known:
            continue
        epoch = turn.cluster.epoch
        first = operation.first_epoch or epoch
        again.append(replace(operation, epoch=epoch, first_epoch=first, at_ms=turn.cluster_ms))
    turn.update(sent=tuple(Sent(operation) for operation in again))
    turn.do(*(Multicast(operation) for operation in again))


def applied(turn: Turn, operation: Operation) -> None:
    """Our own operation took effect here."""
    turn.update(
        sent=tuple(
            replace(sent, applied_at=turn.cluster.applied)
            if sent.operation.sequence == operation.sequence
            else sent
            for sent in turn.local.sent
        )
    )


def prune(turn: Turn) -> None:
    """Forget what every member has applied."""
    if not turn.local.sent:
        return
    members = turn.cluster.members()
    stable = min((turn.pulse.applied_by.get(n, 0) for n in members), default=0)
    if any(0 < s.applied_at <= stable for s in turn.local.sent):
        kept = tuple(s for s in turn.local.sent if not 0 < s.applied_at <= stable)
        turn.update(sent=kept)
