# SPDX-License-Identifier: Apache-2.0
"""Live migration: a service that is one virtual machine goes to another node while it runs.

It is a relocation whose stop is the machine's own migration and whose start at the target finds it
running. From the order on the target may have it, whatever becomes of the owner: the record says
so (`Service.landing`) until the target has told what it has, or is proven down. ADR 27.
"""

from __future__ import annotations

from domains.model import NodeId
from domains.rank import may_own
from rgmgr.core import rivals
from rgmgr.core.actions import Answer, Severity
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.model import After, ClusterState, NodeStatus, Service, ServiceState
from rgmgr.core.spec import MIGRATABLE_TYPES, ServiceSpec
from rgmgr.core.unproven import blockers, is_elsewhere
from rgmgr.core.verdict import Verdict

GONE = (NodeStatus.LEFT, NodeStatus.FENCED)


def is_under_way(service: Service) -> bool:
    """Tell whether it is on its way from node to node, and meant to be up all the time."""
    is_leaving = service.state is ServiceState.STOPPING and service.after is After.MIGRATE
    is_arriving = service.state is ServiceState.STARTING and service.landing is not None
    return is_leaving or is_arriving


def because(cluster: ClusterState, service: Service) -> str | None:
    """Say where it is going; None when it is not on its way."""
    goal = service.target if service.state is ServiceState.STOPPING else service.owner
    if goal is None or not is_under_way(service):
        return None
    return f"on its way to {cluster.spec.node_name(goal)} while it runs"


def why_not(spec: ServiceSpec) -> str:
    """Say why a service can only be stopped and started elsewhere; empty: it can be migrated."""
    name, first = spec.name, spec.resources[0]
    if len(spec.resources) > 1 or first.children:
        return f"{name} is more than one virtual machine: relocate it"
    if first.type not in MIGRATABLE_TYPES:
        return f"{name} is no virtual machine but a resource of type {first.type!r}: relocate it"
    if first.is_shared:
        return f"{first.name} of {name} is used by several services: relocate them"
    return ""


def refusal(cluster: ClusterState, service: Service, target: NodeId | None) -> Verdict | None:
    """Say why a service is not migrated; None: it can be. The target itself is fine."""
    name, owner = service.spec.name, service.owner
    if why := why_not(service.spec):
        return Verdict(Answer.INVALID, why)
    if target is None:
        return Verdict(Answer.INVALID, "a migration needs a node: name one")
    where = cluster.spec.node_name(owner) if owner is not None else ""
    found: Verdict | None = None
    match service.state:
        case ServiceState.STARTED if owner == target:
            found = Verdict(Answer.DONE, f"{name} runs on {where} already")
        case ServiceState.STARTED if owner not in cluster.members():
            found = Verdict(Answer.TRY_AGAIN, f"{name} runs on {where}, which cannot be asked")
        case ServiceState.STARTED if service.is_being_mended:
            found = Verdict(Answer.TRY_AGAIN, f"{name} is being worked on; try again")
        case ServiceState.STARTED:
            pass
        case ServiceState.STOPPED | ServiceState.DISABLED | ServiceState.FAILED:
            text = f"{name} is {service.state.value}; only what runs can be migrated"
            found = Verdict(Answer.FAILED, text)
        case _:
            found = Verdict(Answer.TRY_AGAIN, f"{name} is {service.state.value}; try again")
    return found


def may_be_elsewhere(cluster: ClusterState, service: Service) -> bool:
    """Tell whether a running machine may have gone from its owner while nobody knew of it.

    All daemons were away while it was on its way, and it was found at its source. Its target has
    not been asked since, or has not let go yet of what came in.
    """
    return is_elsewhere(cluster, service) and not why_not(service.spec)


def stayed(ledger: Ledger, service: Service, reason: str) -> None:
    """The owner has it as before; what the target may have of it has to go."""
    source, target = ledger.name(service.owner), ledger.name(service.target)
    fault = f"it stays on {source}, for it was not migrated to {target}: {reason}"
    ledger.note(
        "service.migration_failed",
        Severity.WARNING,
        service=service.spec.name,
        owner=source,
        target=target,
        reason=reason,
    )
    kept = replace(service, op=ledger.take_op(), fault=fault, target=None, after=After.STOP)
    ledger.move(doubted(ledger, kept), ServiceState.STARTED)


def hand_over(ledger: Ledger, service: Service) -> bool:
    """Give it to the target, which has it or starts it; the owner holds nothing of it any more.

    False, with nothing done: somebody else may have it, or the target may not.
    """
    target, free = service.landing, replace(service, owner=None)
    node = ledger.state.nodes.get(target) if target is not None else None
    domain = ledger.state.spec.domain_of(service.spec)
    if target is None or node is None or node.status in GONE or not may_own(domain, target):
        return False
    others = [n for n in blockers(ledger.state, free) if n != target]
    if others or service.cleanup or rivals.unreleased(ledger.state, service):
        return False
    moved = replace(
        service,
        owner=target,
        last_owner=service.owner,
        target=None,
        after=After.STOP,
        adopted_epoch=0,
    )
    ledger.move(moved, ServiceState.STARTING)
    ledger.note(
        "service.migrated",
        service=service.spec.name,
        owner=ledger.name(target),
        last_owner=ledger.name(service.owner),
    )
    return True


def doubted(ledger: Ledger, service: Service) -> Service:
    """Return the record of a service whose target must let go of it before it starts anywhere."""
    holder = service.landing
    node = ledger.state.nodes.get(holder) if holder is not None else None
    known = replace(service, landing=None)
    if holder is None or node is None or node.status in GONE:
        return known
    cleanup = tuple(sorted({*service.cleanup, holder}))
    return replace(known, cleanup=cleanup, cleanup_op=ledger.take_op())
