# SPDX-License-Identifier: Apache-2.0
"""What an INSTALL does to the agreed state: who is in, who is lost, what really runs where.

The state it builds on is the same for all members, and so is the message, so the result is too.
A node that is back is judged by its boot id and by what was done about it meanwhile; a service
is judged by what its owner's systemd reports, never by memory alone.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core import doubts, migration, rivals
from rgmgr.core.actions import Severity
from rgmgr.core.evolve import replace
from rgmgr.core.fence_paths import forget_lost_testers
from rgmgr.core.fencing import call_off, open_case, prove
from rgmgr.core.incidents import service_back
from rgmgr.core.ledger import Ledger
from rgmgr.core.mending import mend
from rgmgr.core.messages import EMERGENCY_OP, Claim, Enrolment, Health, Install
from rgmgr.core.model import (
    After,
    ClusterState,
    Node,
    NodeStatus,
    Proof,
    ProofKind,
    Service,
    ServiceState,
)
from rgmgr.core.placement import offer_to_joiners
from rgmgr.core.recovery import begin_stop, finish_stop
from rgmgr.core.seating import may_run
from rgmgr.core.settle import settle
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.core.standing import after_outage, is_left_alone
from rgmgr.core.subtrees import as_found, non_critical_tops, tops_off
from rgmgr.core.unproven import UNPROVEN

LOST = "it left the ring without goodbye"
TAKING_PART = (NodeStatus.ONLINE, NodeStatus.LEAVING)
STAYING = (*TAKING_PART, NodeStatus.DETACHED)
NUMBER_BITS = 20
Claims = dict[NodeId, Claim]


def with_spec(state: ClusterState, spec: ClusterSpec) -> ClusterState:
    """Return the state under another configuration; what runs is refitted later (`refit.py`).

    A node that is new in the configuration of a formed cluster has never run anything.
    """
    found = rivals.found(state, spec.services)
    new_node = Node(status=NodeStatus.LEFT if state.has_formed else NodeStatus.UNSEEN)
    nodes = {n: state.nodes.get(n, new_node) for n in sorted(spec.nodes)}
    services: dict[ServiceName, Service] = {}
    for service_spec in spec.services:
        known = state.services.get(service_spec.name)
        waits_for = found.get(service_spec.name, ())
        if known is None:
            services[service_spec.name] = Service(spec=service_spec, rivals=waits_for)
        else:
            services[service_spec.name] = replace(
                known,
                rivals=waits_for,
                spec=known.spec if known.keeps_tree else service_spec,
                failed_on=tuple(n for n in known.failed_on if n in nodes),
                awaits=known.awaits if known.awaits and known.awaits.node in nodes else None,
            )
    gone = {name: s for name, s in state.services.items() if name not in services}
    standby = {n: order for n, order in state.standby.items() if n in nodes}
    return replace(state, spec=spec, nodes=nodes, services={**services, **gone}, standby=standby)


def begun(base: ClusterState, message: Install) -> Ledger:
    """Return what INSTALL makes of the state that it is for: alike everywhere."""
    ledger = Ledger(replace(base, next_op=_first_op(message)))
    install(ledger, message)
    settle(ledger)
    return ledger


def _first_op(message: Install) -> int:
    """Number transitions apart from those of any other epoch, also of a lost branch."""
    lives = sum(enrolment.incarnation for enrolment in message.enrolments)
    apart = (message.ring.seq + lives) % (1 << NUMBER_BITS)
    return ((message.epoch << NUMBER_BITS) + apart) << NUMBER_BITS


def install(ledger: Ledger, message: Install) -> None:
    """Begin the epoch of this message."""
    is_cold = not ledger.state.has_formed and not any(e.is_live for e in message.enrolments)
    if is_cold and message.ring.seq != ledger.state.ring_seq:
        doubts.doubt_the_absent(ledger, message)
    if is_cold:
        known = [node.boot_id for node in ledger.state.nodes.values()]
        has_booted = all(e.boot_id not in known for e in message.enrolments)
        gap_ms = max(0, message.at_ms - ledger.state.now_ms)
        ledger.state = after_outage(ledger.state, gap_ms, has_booted=has_booted)
    is_same_ring = ledger.state.ring_seq == message.ring.seq
    ledger.state = replace(
        ledger.state,
        epoch=message.epoch,
        ring_seq=message.ring.seq,
        applied=0,
        now_ms=max(ledger.state.now_ms, message.at_ms),
        wall_ahead_ms=message.wall_ms - message.at_ms if message.wall_ms else 0,
        has_formed=True,
    )
    before, were_members = ledger.state.nodes, ledger.state.members()
    enrolled = {enrolment.node: enrolment for enrolment in message.enrolments}
    for node_id in sorted(before):
        if node_id in enrolled:
            _enrol(ledger, node_id, enrolled[node_id])
        else:
            _lose(ledger, node_id, message, is_cold=is_cold)
    is_half = doubts.doubt_the_other_half(ledger, message)
    doubts.doubt_attempts(ledger, message, were_members, is_same_ring=is_same_ring)
    forget_lost_testers(ledger)
    joined = _arrivals(ledger, before)
    if joined or _departures(ledger, before):
        new_chance(ledger)
    rebooted = {
        n for n, node in before.items() if n in enrolled and _has_rebooted(node, enrolled[n])
    }
    _reconcile(ledger, enrolled, rebooted, is_half=is_half)
    away_since = {n: _away_since(node, message.epoch) for n, node in before.items()}
    offer_to_joiners(ledger, away_since)


def _away_since(node: Node, epoch: int) -> int:
    """Return the first epoch in which a service on this node could not be moved to a joiner."""
    return epoch if node.status in TAKING_PART else node.lost_epoch


def _enrol(ledger: Ledger, node_id: NodeId, enrolment: Enrolment) -> None:
    node = ledger.state.nodes[node_id]
    is_same = node.incarnation == enrolment.incarnation
    if is_same and node.status is NodeStatus.LEFT:
        return  # it said goodbye and is about to go: it gets nothing more
    has_rebooted = _has_rebooted(node, enrolment)
    if node.status is NodeStatus.UNCLEAN and node.attempt > 0 and not node.may_return:
        if not has_rebooted:
            return  # a device may switch it off at any moment: it stays out until one did
        proof = Proof(kind=ProofKind.REBOOTED, at_ms=ledger.state.now_ms, by=node_id)
        prove(ledger, node_id, proof)
    elif node.status is NodeStatus.UNCLEAN:
        call_off(ledger, node_id)
    elif node.to_unfence and node.boot_id == enrolment.boot_id:
        reason = "its paths were cut, and it was not booted since: boot it"
        ledger.note("fence.boot_needed", Severity.ERROR, node=ledger.name(node_id), reason=reason)
        return
    elif node.status is NodeStatus.FENCED and not has_rebooted and _is_disproved(node, enrolment):
        ledger.note(
            "fence.disproved",
            Severity.ERROR,
            node=ledger.name(node_id),
            reason=_disproof(node),
        )
        open_case(ledger, node_id, ledger.state.epoch, cause="it was proven off, but runs")
        return
    is_going = is_same and node.status is NodeStatus.LEAVING
    has_given_away = node.status is NodeStatus.LEAVING and not is_same
    is_return = node.status in STAYING and node.joined_epoch > 0 and not has_given_away
    welcome = Node(
        status=NodeStatus.LEAVING if is_going else NodeStatus.ONLINE,
        incarnation=enrolment.incarnation,
        boot_id=enrolment.boot_id,
        sequence=node.sequence if is_same else 0,
        joined_epoch=node.joined_epoch if is_return else ledger.state.epoch,
        watchdog_ms=enrolment.watchdog_ms,
        proof=ledger.state.nodes[node_id].proof,
        lost=node.lost if is_same else None,
        ills=node.ills if is_same else None,
    )
    if cut := node.to_unfence or (node.to_restore if node.is_cut_off else ()):
        welcome = replace(welcome, victim=node.victim, to_restore=cut, is_cut_off=True)
    ledger.put_node(node_id, welcome)
    if node.status not in TAKING_PART:
        ledger.note("member.joined", node=ledger.name(node_id), was=node.status.value)


def _has_rebooted(node: Node, enrolment: Enrolment) -> bool:
    return bool(node.boot_id) and node.boot_id != enrolment.boot_id


def _disproof(node: Node) -> str:
    said = {ProofKind.HUMAN: "who said so was wrong", ProofKind.TIMED: "its watchdog did not fire"}
    why = said.get(node.proof.kind, "the device lies") if node.proof else ""
    return f"it was proven off but runs with the same boot id: {why}"


def _is_disproved(node: Node, enrolment: Enrolment) -> bool:
    """Tell whether a node that runs on shows that its proof was none.

    A watchdog only proves that nothing is held: who stopped everything in time was not reset.
    """
    if not node.boot_id or node.proof is None:
        return False
    if node.proof.kind is ProofKind.TIMED:
        return any(c.is_busy or c.health is not Health.NONE for c in enrolment.claims)
    return node.proof.kind in (ProofKind.FENCED, ProofKind.HUMAN)


def _lose(ledger: Ledger, node_id: NodeId, message: Install, *, is_cold: bool) -> None:
    node = ledger.state.nodes[node_id]
    is_in_ring = node_id in message.ring_nodes
    fencing = ledger.state.spec.fencing
    delay_ms = fencing.post_fail_delay_ms
    match node.status:
        case NodeStatus.ONLINE | NodeStatus.LEAVING if is_in_ring:
            # one that was leaving has given its services away: its return is an arrival
            joined = node.joined_epoch if node.status is NodeStatus.ONLINE else 0
            gone = replace(
                node, status=NodeStatus.DETACHED, lost_epoch=message.epoch, joined_epoch=joined
            )
            ledger.put_node(node_id, gone)
            ledger.note("member.detached", Severity.WARNING, node=ledger.name(node_id))
        case NodeStatus.ONLINE | NodeStatus.LEAVING:
            ledger.note("member.left", Severity.WARNING, node=ledger.name(node_id))
            open_case(ledger, node_id, message.epoch, cause=LOST, is_silent=True, delay_ms=delay_ms)
        case NodeStatus.DETACHED if not is_in_ring:
            open_case(
                ledger, node_id, node.lost_epoch, cause=LOST, is_silent=True, delay_ms=delay_ms
            )
        case NodeStatus.UNSEEN if is_in_ring:
            # its daemon is away, or not yet there; the node lives and is given its grace
            gone = replace(node, status=NodeStatus.DETACHED, lost_epoch=message.epoch)
            ledger.put_node(node_id, gone)
        case NodeStatus.UNSEEN:
            status = NodeStatus.LEFT if is_cold and fencing.clean_start else node.status
            seen = replace(node, status=status, lost_epoch=node.lost_epoch or message.epoch)
            ledger.put_node(node_id, seen)
        case _:
            pass


def _arrivals(ledger: Ledger, before: dict[NodeId, Node]) -> tuple[NodeId, ...]:
    """Nodes that came from outside; the return of a mere daemon is not an arrival."""
    return tuple(
        n
        for n, node in sorted(ledger.state.nodes.items())
        if node.status in TAKING_PART and before[n].status not in STAYING
    )


def _departures(ledger: Ledger, before: dict[NodeId, Node]) -> bool:
    lost = NodeStatus.UNCLEAN
    return any(
        node.status is lost and before[n].status is not lost
        for n, node in ledger.state.nodes.items()
    )


def new_chance(ledger: Ledger) -> None:
    """A changed membership ends an operator's `stop` and forgives failed starts."""
    for service in tuple(ledger.state.services.values()):
        if service.is_held or service.failed_on:
            ledger.put(replace(service, is_held=False, failed_on=()))


def _reconcile(
    ledger: Ledger, enrolled: dict[NodeId, Enrolment], rebooted: set[NodeId], *, is_half: bool
) -> None:
    taking_part = [n for n in sorted(enrolled) if _is_any_of(TAKING_PART, ledger, n)]
    kept_out = [n for n in sorted(enrolled) if _is_any_of(UNPROVEN, ledger, n)]
    claims_by_name = _claims_by_name(enrolled, [*taking_part, *kept_out])
    for name in tuple(ledger.state.services):
        claims = claims_by_name.get(name, {})
        _give_way(ledger, ledger.state.services[name], claims, taking_part, is_half=is_half)
        service = ledger.state.services[name]
        if service.owner is None:
            if service.state is not ServiceState.FAILED:
                _adopt(ledger, service, {n: c for n, c in claims.items() if n in taking_part})
        elif service.owner in taking_part and service.frozen:
            _judge_frozen(ledger, service, service.owner, claims.get(service.owner), rebooted)
        elif service.owner in taking_part:
            _judge_owner(ledger, service, service.owner, claims.get(service.owner))
        _order_cleanup(ledger, name, claims, taking_part)
    known = ledger.state.services
    strangers = {name: tuple(held) for name, held in claims_by_name.items() if name not in known}
    ledger.state = replace(ledger.state, strangers=strangers)


def _claims_by_name(
    enrolled: dict[NodeId, Enrolment], nodes: list[NodeId]
) -> dict[ServiceName, Claims]:
    """Return by service what each of these nodes says of it."""
    found: dict[ServiceName, Claims] = {}
    for n in nodes:
        for claim in enrolled[n].claims:
            found.setdefault(claim.service, {})[n] = claim
    return found


def _give_way(
    ledger: Ledger, service: Service, claims: Claims, taking_part: list[NodeId], *, is_half: bool
) -> None:
    """Call off a start of which nothing is up yet, where another node has some of the service.

    Or may have, as the other half of the cluster may.
    """
    if service.state is not ServiceState.STARTING or service.owner not in taking_part:
        return
    own = claims.get(service.owner)
    may_be_held = is_half or _holders(service, claims)
    is_in_doubt = own is None or own.health is Health.NONE or service.landing is not None
    if may_be_held and is_in_doubt:
        finish_stop(ledger, replace(service, after=After.SETTLE, freed_epoch=0))


def _holders(service: Service, claims: Claims) -> tuple[NodeId, ...]:
    """Return the nodes that hold something of a service which is not their own."""
    return tuple(
        n
        for n, claim in claims.items()
        if n not in (service.owner, service.landing)
        and (claim.is_busy or claim.health is not Health.NONE)
    )


def heed_strangers(ledger: Ledger) -> None:
    """A configuration has brought services: what nodes hold of them already must go first."""
    for name, holders in tuple(ledger.state.strangers.items()):
        service = ledger.state.services.get(name)
        if service is not None:
            rest = {n: h for n, h in ledger.state.strangers.items() if n != name}
            ledger.state = replace(ledger.state, strangers=rest)
            _clean_up(ledger, service, holders, holders)


def _is_any_of(statuses: tuple[NodeStatus, ...], ledger: Ledger, node_id: NodeId) -> bool:
    node = ledger.state.nodes.get(node_id)
    return node is not None and node.status in statuses


def _judge_frozen(
    ledger: Ledger,
    service: Service,
    owner: NodeId,
    claim: Claim | None,
    rebooted: set[NodeId],
) -> None:
    """An administrator may have half of it down; only what is surely gone is written off."""
    if service.state is not ServiceState.STARTED:
        _judge_owner(ledger, service, owner, claim)
    elif claim is None and owner in rebooted:
        finish_stop(ledger, replace(service, after=After.SETTLE, freed_epoch=0))
    elif claim and claim.op == EMERGENCY_OP:
        begin_stop(ledger, service, After.SETTLE)


def _judge_owner(ledger: Ledger, service: Service, owner: NodeId, claim: Claim | None) -> None:
    """Compare the record with what its owner's systemd says."""
    if claim and claim.is_busy and claim.op == service.op:
        return  # still at it: the result will come
    health = claim.health if claim else Health.NONE
    found = _as_claimed(service, claim, tops_off(service))
    match service.state:
        case ServiceState.STARTING if found and claim and claim.op == service.op:
            up = replace(found, failed_on=(), fault="", landing=None)
            running = ledger.move(up, ServiceState.STARTED)
            service_back(ledger, running.spec.name, owner)
        case ServiceState.STARTING if claim and (claim.is_busy or claim.op == service.op):
            begin_stop(ledger, replace(service, fault="its start was interrupted"), After.SETTLE)
        # else its daemon is another one: what is active may be on its way up, and starts anew
        case ServiceState.STARTED:
            _judge_running(ledger, service, owner, claim)
        case ServiceState.STOPPING | ServiceState.RECOVERABLE:
            if claim is None or (health is Health.NONE and not claim.is_busy):
                finish_stop(ledger, replace(service, freed_epoch=0))
            elif service.after is After.MIGRATE and found and claim.op == service.op:
                migration.stayed(ledger, service, "its node has it still")
            else:
                ledger.move(service, service.state)  # a fresh number: stop what is left
        case _:
            pass


def _judge_running(ledger: Ledger, service: Service, owner: NodeId, claim: Claim | None) -> None:
    """A service that should be up: it is, or not quite, or somebody took it down."""
    found = _as_claimed(service, claim, tops_off(service))
    is_there = claim is not None and claim.health is not Health.NONE
    if not found and claim and claim.op == EMERGENCY_OP:
        begin_stop(ledger, service, After.SETTLE)  # no failure: no policy, no counting
    elif is_left_alone(ledger.state, service):
        if not found:
            ledger.put(replace(service, fault="found not running"))
    elif service.is_being_mended and claim and is_there:
        if claim.op != service.op:  # else the result is on its way
            ledger.renew(service)
    elif not found:
        faulty = replace(service, fault="found not running")
        missing = claim.missing if claim and not claim.is_busy else ()
        if not mend(ledger, faulty, owner, missing):
            begin_stop(ledger, faulty, After.RECOVER)
    elif found is not service:
        ledger.put(found)


def _as_claimed(
    service: Service, claim: Claim | None, tops: tuple[ResourceName, ...]
) -> Service | None:
    """Return the record of a service that is up, without these parts perhaps; None: it is not."""
    if claim is None or claim.is_busy:
        return None
    if claim.health is Health.RUNNING:
        return as_found(service, (), tops)
    is_known = claim.health is Health.PARTIAL and bool(claim.missing)
    return as_found(service, claim.missing, tops) if is_known else None


def _adopt(ledger: Ledger, service: Service, claims: Claims) -> None:
    """A service nobody owns runs somewhere: that node owns it, if it should run at all."""
    tops = non_critical_tops(service.spec)
    found = {n: _as_claimed(service, claim, tops) for n, claim in claims.items()}
    runners = [n for n, it in found.items() if it and may_run(ledger.state, service, n)]
    if not runners or service.state is ServiceState.DISABLED or service.is_held:
        return
    owner = service.last_owner if service.last_owner in runners else runners[0]
    op = ledger.take_op()  # what was said of the last number is not said of this owner
    adopted = replace(
        found[owner] or service,
        op=op,
        owner=owner,
        adopted_epoch=ledger.state.epoch,
        is_new=False,
        failed_on=(),
        awaits=None,
        fault="",
        target=None,
    )
    ledger.move(adopted, ServiceState.STARTED)
    ledger.note("service.adopted", service=service.spec.name, owner=ledger.name(owner))


def _order_cleanup(
    ledger: Ledger, name: ServiceName, claims: Claims, taking_part: list[NodeId]
) -> None:
    """Whoever holds something of a service that is not its own must let go of it.

    One that is kept out is waited for until it is proven down.
    """
    service = ledger.state.services[name]
    if service.state is ServiceState.FAILED:
        return
    holding = _holders(service, claims)
    holders = tuple(n for n in holding if n in taking_part)
    absent = [n for n in (*service.cleanup, *holding) if n not in taking_part]
    cleanup = tuple(sorted({*holders, *absent}))
    if cleanup == service.cleanup and not holders:
        return
    _clean_up(ledger, service, holders, cleanup)


def _clean_up(
    ledger: Ledger, service: Service, holders: tuple[NodeId, ...], nodes: tuple[NodeId, ...]
) -> None:
    if holders:
        ledger.note(
            "service.cleanup_ordered",
            Severity.ERROR,
            service=service.spec.name,
            nodes=", ".join(ledger.state.spec.node_name(n) for n in holders),
            owner=ledger.name(service.owner),
        )
    ledger.put(replace(service, cleanup=nodes, cleanup_op=ledger.take_op()))
