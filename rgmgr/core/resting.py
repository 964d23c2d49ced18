# SPDX-License-Identifier: Apache-2.0
"""Frozen services on this node: nobody looks after them, and what becomes of them is no failure.

An administrator works on one. When it is frozen no more, what he left of it is found out first, and
only then judged.
"""

from __future__ import annotations

from domains.model import ServiceName
from rgmgr.core.actions import ResumeChecks, SuspendChecks
from rgmgr.core.local import Rest, Turn
from rgmgr.core.model import Service, ServiceState


def heed(turn: Turn, name: ServiceName, service: Service, *, is_busy: bool) -> None:
    """Suspend or resume the checks of a service, as its record asks. `is_busy`: it has a job."""
    rest = turn.local.resting.get(name)
    is_ours = service.owner == turn.local.me and service.state is ServiceState.STARTED
    if service.frozen and is_ours:
        if rest is not Rest.ASLEEP:
            _set(turn, name, Rest.ASLEEP)
            turn.do(SuspendChecks(name))
        return
    if rest is Rest.ASLEEP:
        _set(turn, name, Rest.WAKING)
        turn.do(ResumeChecks(name))
    if name in turn.local.resting and (is_busy or not is_ours):
        _set(turn, name, None)


def is_unknown(turn: Turn, name: ServiceName) -> bool:
    """Tell whether nobody may judge how the service is."""
    return name in turn.local.resting


def probed(turn: Turn, name: ServiceName) -> None:
    """What is active of the service was found out."""
    if turn.local.resting.get(name) is Rest.WAKING:
        _set(turn, name, None)


def _set(turn: Turn, name: ServiceName, rest: Rest | None) -> None:
    others = {n: r for n, r in turn.local.resting.items() if n != name}
    turn.update(resting=others if rest is None else {**others, name: rest})
