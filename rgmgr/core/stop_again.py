# SPDX-License-Identifier: Apache-2.0
"""Stops on this node that are not the last word, so they are done again after a pause.

A clean-up may fail while the service runs elsewhere: its record stays as it is, and nothing else
would ask for another try. And a node without quorum to which a machine is on its way cannot see it
come in: it has stopped all, and looks again until the migration is over.
"""

from __future__ import annotations

from rgmgr.core.local import Turn
from rgmgr.core.messages import EMERGENCY_OP, Body, ServiceStopFailed, ServiceStopped
from rgmgr.core.model import Service
from rgmgr.core.no_quorum import must_stop
from rgmgr.core.survey import restless

CLEANUP_PAUSE_MS = 60_000
ARRIVAL_PAUSE_MS = 5_000


def timers(turn: Turn) -> dict[str, int]:
    """Return what is to be tried again here, by the key of its timer, and after how long, in ms."""
    found = {}
    for name in sorted(restless(turn.cluster, turn.before.cluster)):
        service = turn.cluster.services[name]
        op, _ = turn.local.reported.get(name, (0, False))
        if op == EMERGENCY_OP and _may_come_in(turn, service):
            found[_key(service, op)] = ARRIVAL_PAUSE_MS
        elif op == service.cleanup_op and _is_held_here(turn, service):
            found[_key(service, op)] = CLEANUP_PAUSE_MS
    return found


def due(turn: Turn, key: str) -> None:
    """The pause is over: what was told of that stop counts no more, so it is done again."""
    told = turn.local.reported
    rest = {
        name: said
        for name, said in told.items()
        if (service := turn.cluster.services.get(name)) is None or _key(service, said[0]) != key
    }
    turn.update(reported=rest)


def _key(service: Service, op: int) -> str:
    return f"again:{service.spec.name}:{op}"


def _may_come_in(turn: Turn, service: Service) -> bool:
    is_forbidden = bool(turn.local.emergency) and must_stop(turn, service)
    return is_forbidden and service.landing == turn.local.me


def _is_held_here(turn: Turn, service: Service) -> bool:
    """Tell whether all know that the clean-up was in vain; what is not applied may end it yet."""
    me, is_told = turn.local.me, (sent.operation.body for sent in turn.local.sent)
    is_ours = me in service.cleanup and service.owner != me
    return is_ours and not any(_is_of(body, service) for body in is_told)


def _is_of(body: Body, service: Service) -> bool:
    return (
        isinstance(body, ServiceStopped | ServiceStopFailed)
        and body.service == service.spec.name
        and body.op == service.cleanup_op
    )
