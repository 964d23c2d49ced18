# SPDX-License-Identifier: Apache-2.0
"""Services that wait for their node: by `takeover` after its loss, by `on_shutdown` after that.

While a service waits it starts on that node alone, as soon as that is back. The wait also ends by
its time, by an administrator's decision, by any request that starts or stops the service, and when
the node cannot have it any more. It is kept on disk. Source: heartbeat's meatware and
`deadtime`, Proxmox `shutdown_policy`; ADR 16.
"""

from __future__ import annotations

from domains.model import NodeId
from domains.rank import may_own
from rgmgr.core.actions import Answer, Severity
from rgmgr.core.evolve import replace
from rgmgr.core.ledger import Ledger
from rgmgr.core.messages import AwaitOver, Request, Verb
from rgmgr.core.model import Await, AwaitKind, ClusterState, Service, ServiceState
from rgmgr.core.spec import ShutdownMode, TakeoverMode
from rgmgr.core.verdict import ACCEPTED, Verdict

VERBS = (Verb.CONFIRM, Verb.REFUSE)
IDLE = (ServiceState.STOPPED, ServiceState.RECOVERING)
TIMED = (AwaitKind.DELAY, AwaitKind.RETURN)
OPEN = (AwaitKind.DELAY, AwaitKind.CONFIRM, AwaitKind.ALERT)
"""Kinds about which an administrator may decide."""

_KIND_BY_MODE = {
    TakeoverMode.DELAY: AwaitKind.DELAY,
    TakeoverMode.CONFIRM: AwaitKind.CONFIRM,
    TakeoverMode.ALERT: AwaitKind.ALERT,
}
_WORDS = {
    AwaitKind.DELAY: "{node} was lost: taken over after {delay}, unless it is back before",
    AwaitKind.CONFIRM: "{node} was lost: waiting for it, or for an administrator to confirm the"
    " takeover",
    AwaitKind.ALERT: "{node} was lost: waiting for it, or for an administrator to enable the"
    " service",
    AwaitKind.REFUSED: "waiting for {node}: takeover {decision}",
    AwaitKind.RETURN: "waiting for {node}, which was shut down, for at most {wait}",
    AwaitKind.STAY: "waiting for {node}, which was shut down",
}


def after_loss(ledger: Ledger, service: Service, node: NodeId) -> Service:
    """Return the record of a service whose owner is proven down, waiting if its mode says so."""
    kind = _KIND_BY_MODE.get(service.spec.takeover)
    if kind is None:
        return service
    until_ms = ledger.state.now_ms + service.spec.takeover_delay_ms
    wait = Await(node=node, kind=kind, until_ms=until_ms if kind in TIMED else 0)
    name, lost = service.spec.name, ledger.name(node)
    if kind is AwaitKind.ALERT:
        ledger.note("takeover.alerted", Severity.ERROR, service=name, node=lost)
    elif kind is AwaitKind.CONFIRM:
        ledger.note("takeover.asked", Severity.ERROR, service=name, node=lost)
    else:
        delay_ms = service.spec.takeover_delay_ms
        ledger.note(
            "takeover.delayed", Severity.WARNING, service=name, node=lost, delay_ms=delay_ms
        )
    return replace(service, awaits=wait, decision="")


def of_last_owner(ledger: Ledger, node: NodeId) -> None:
    """A node is proven down that nobody saw after an outage: what last ran there may wait."""
    for service in tuple(ledger.state.services.values()):
        is_idle = service.owner is None and service.state in IDLE and not service.is_held
        if is_idle and service.last_owner == node and service.awaits is None:
            waiting = after_loss(ledger, service, node)
            if waiting.awaits is not None:
                ledger.move(waiting, ServiceState.STOPPED)


def after_shutdown(ledger: Ledger, service: Service, node: NodeId) -> Service:
    """Return the record of a service that a leaving node has stopped, waiting if it shall."""
    if service.spec.on_shutdown is ShutdownMode.FAILOVER:
        return service
    wait = Await(node=node, kind=AwaitKind.STAY)
    if service.spec.on_shutdown is ShutdownMode.WAIT:
        until_ms = ledger.state.now_ms + service.spec.shutdown_wait_ms
        wait = Await(node=node, kind=AwaitKind.RETURN, until_ms=until_ms)
    return replace(service, awaits=wait)


def lets(service: Service, node: NodeId) -> bool:
    """Tell whether the service may start on this node, as far as it waits for one."""
    return service.awaits is None or service.awaits.node == node


def is_void(cluster: ClusterState, service: Service) -> bool:
    """Tell whether the node that is waited for cannot have the service any more."""
    wait = service.awaits
    return wait is not None and (
        wait.node not in cluster.nodes
        or not may_own(cluster.spec.domain_of(service.spec), wait.node)
    )


def over(ledger: Ledger, body: AwaitOver) -> None:
    """The time of a wait is up: whoever is best may have the service now."""
    service = ledger.state.services.get(body.service)
    wait = service.awaits if service else None
    if service and wait and wait.kind in TIMED and wait.until_ms == body.until_ms:
        ledger.put(replace(service, awaits=None))
        ledger.note("takeover.due", service=body.service, node=ledger.name(wait.node))


def because(cluster: ClusterState, service: Service) -> str | None:
    """Say what the service waits for; None when it does not wait for its node."""
    wait = service.awaits
    if wait is None:
        return None
    words = _WORDS[wait.kind]
    return words.format(
        node=cluster.spec.node_name(wait.node),
        delay=f"{service.spec.takeover_delay_ms / 1_000:g} s",
        wait=f"{service.spec.shutdown_wait_ms / 1_000:g} s",
        decision=service.decision,
    )


def decide(ledger: Ledger, service: Service, request: Request) -> Verdict:
    """Take an administrator's decision about a takeover; who and why is kept."""
    wait, name = service.awaits, service.spec.name
    if wait is None or wait.kind not in OPEN:
        is_late = service.decision and service.state is not ServiceState.STARTED
        late = f": {service.decision}" if is_late else ""
        return Verdict(Answer.INVALID, f"nobody is asked about a takeover of {name}{late}")
    word = "confirmed" if request.verb is Verb.CONFIRM else "refused"
    why = f": {request.because}" if request.because else ""
    decision = f"{word} by {request.by or 'an administrator'}{why}"
    after = (
        None if request.verb is Verb.CONFIRM else replace(wait, kind=AwaitKind.REFUSED, until_ms=0)
    )
    ledger.put(replace(service, awaits=after, decision=decision))
    ledger.note(f"takeover.{word}", service=name, node=ledger.name(wait.node), decision=decision)
    return ACCEPTED


def outcome_of_refusal(service: Service) -> Verdict:
    """Tell how a refused takeover stands."""
    wait, name = service.awaits, service.spec.name
    if wait is not None and wait.kind is AwaitKind.REFUSED:
        return Verdict(Answer.DONE, f"{name} waits for its node: takeover {service.decision}")
    return Verdict(Answer.FAILED, f"overtaken: {name} is {service.state.value}")


def over_of(service: Service) -> AwaitOver | None:
    """Return what the end of a wait by its time is; None when it has no such end."""
    wait = service.awaits
    if wait is None or wait.kind not in TIMED:
        return None
    return AwaitOver(service=service.spec.name, until_ms=wait.until_ms)


def key_of(service: Service) -> str:
    """Return the key of the timer of a wait; empty when none runs."""
    over = over_of(service)
    return f"await:{over.service}:{over.until_ms}" if over else ""
