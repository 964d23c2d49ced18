# SPDX-License-Identifier: Apache-2.0
"""Mending a part of a service that is up: the agreed side; the owner's is in `jobs.py`."""

from __future__ import annotations

from collections.abc import Sequence

from domains.model import NodeId, ServiceName
from rgmgr.core.actions import Severity
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import Service
from rgmgr.core.spec import ResourceName
from rgmgr.core.subtrees import bear, tops_off


def mend(
    ledger: Ledger,
    service: Service,
    owner: NodeId,
    broken: tuple[ResourceName, ...],
    unstartable: tuple[ResourceName, ...] = (),
) -> bool:
    """Have the owner mend the parts that these resources belong to; False: the service failed."""
    borne = bear(service, broken, unstartable, ledger.state.now_ms)
    if borne is None:
        return False
    ledger.renew(borne)
    ledger.note(
        "service.part_failed",
        Severity.WARNING,
        service=service.spec.name,
        resources=", ".join(borne.mending),
        node=ledger.name(owner),
        reason=service.fault,
    )
    off = [name for name in tops_off(borne) if name in borne.mending]
    if off:
        _note_off(ledger, service.spec.name, owner, off, service.fault)
    return True


def clear_off(
    ledger: Ledger, name: ServiceName, owner: NodeId, off: tuple[ResourceName, ...]
) -> None:
    """A service has just started without these parts: have the owner clear what is left of them."""
    ledger.renew(replace(ledger.state.services[name], mending=off))
    _note_off(ledger, name, owner, off, "did not start")


def mended(ledger: Ledger, service: Service, owner: NodeId) -> None:
    """What was to be mended is as it should be, be that up or off."""
    off = tops_off(service)
    ledger.put(replace(service, mending=(), former=(), fault=service.fault if off else ""))
    back = [name for name in service.mending if name not in off]
    if back:
        ledger.note(
            "service.mended",
            service=service.spec.name,
            resources=", ".join(back),
            owner=ledger.name(owner),
        )


def _note_off(
    ledger: Ledger, name: ServiceName, owner: NodeId, off: Sequence[ResourceName], reason: str
) -> None:
    ledger.note(
        "service.partial",
        Severity.ERROR,
        service=name,
        resources=", ".join(off),
        node=ledger.name(owner),
        reason=reason,
    )
