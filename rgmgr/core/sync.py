# SPDX-License-Identifier: Apache-2.0
"""Epochs: how members that see the same view come to the same state.

Every view ends the epoch. Each member says HELLO for exactly that view; with one from everybody
and quorum for this very ring, the one with the most recent state sends INSTALL. That message is
the cut: what came before it is the same for all, and operations of other epochs are dropped. Cold
start, join, restart of a daemon and the merge of partitions are this one path.

Why it is right: a minority never installs; a majority that went on has the greater epoch, so it
wins every merge; INSTALLs of one ring are in total order, so the second of two is void.
"""

from __future__ import annotations

from domains.model import NodeId, ServiceName
from rgmgr.core import outbox
from rgmgr.core.actions import Exit, Multicast, Severity
from rgmgr.core.digest import digest
from rgmgr.core.durable import KEPT_NODES, PAIR, is_kept, save_if_changed
from rgmgr.core.events import ViewChanged
from rgmgr.core.evolve import replace
from rgmgr.core.executor import claims, holds_anything
from rgmgr.core.fence_share import forget_answered
from rgmgr.core.lineage import candidates, recency
from rgmgr.core.local import LocalState, Turn
from rgmgr.core.membership import STAYING, TAKING_PART, begun
from rgmgr.core.messages import EMERGENCY_OP, Ack, Claim, Enrolment, Health, Hello, Install
from rgmgr.core.model import ClusterState, NodeStatus, RingId, ServiceState
from rgmgr.core.subtrees import names_off
from rgmgr.core.unproven import UNPROVEN

TOO_FEW = "too few are here of those that agreed last; start rgmgrd on one more node"
EX_CONFIG = 78
"""systemd does not start it again after this status."""


def view_changed(turn: Turn, event: ViewChanged) -> None:
    """The membership changed: block, and say hello."""
    turn.update(view=event, is_overdue=False, view_epoch=0)
    _heed_verdict(turn)
    _begin(turn)


def quorum_changed(turn: Turn, ring: RingId, *, is_quorate: bool) -> None:
    """votequorum's verdict; it counts for its own ring only."""
    turn.update(quorum_ring=ring, is_quorate=is_quorate)
    _heed_verdict(turn)
    if has_quorum(turn) and turn.local.is_installed and turn.local.emergency:
        _begin(turn)  # only a new epoch, told what runs here now, lifts the emergency
    try_install(turn)


def _heed_verdict(turn: Turn) -> None:
    """Act on the verdict for the present ring; it may have come before or after the view."""
    view = turn.local.view
    if view is None or turn.local.quorum_ring != view.ring:
        return
    turn.update(is_overdue=False)
    if not turn.local.is_quorate:
        declare_emergency(turn, "this node has no quorum")


def _is_denied(turn: Turn) -> bool:
    """Tell whether the present ring has no quorum; without a verdict nobody knows."""
    view = turn.local.view
    is_told = view is not None and turn.local.quorum_ring == view.ring
    return is_told and not turn.local.is_quorate


def corosync_lost(turn: Turn, reason: str) -> None:
    """Membership and quorum are unknown: that is no quorum."""
    turn.update(
        view=None,
        quorum_ring=None,
        is_quorate=False,
        is_installed=False,
        hellos={},
    )
    turn.beat(sent_ms=0, seen_ms=None)
    declare_emergency(turn, f"corosync is not reachable: {reason}")


def declare_emergency(turn: Turn, reason: str) -> None:
    """This node may run nothing: stop what the policy names, now."""
    if not turn.local.emergency:
        turn.note("services.forbidden", Severity.ERROR, reason=reason)
    turn.update(emergency=reason)


def heed_own_status(turn: Turn) -> None:
    """A member that the others fence, or do not know, must run nothing."""
    if not turn.local.is_installed or turn.local.emergency:
        return
    me = turn.cluster.nodes.get(turn.local.me)
    if me is None or me.status in (NodeStatus.UNCLEAN, NodeStatus.FENCED):
        declare_emergency(turn, "the cluster is fencing this node" if me else "not configured")


def has_quorum_of(local: LocalState) -> bool:
    """Tell whether the latest verdict is for the present ring, and says yes."""
    view = local.view
    return view is not None and local.is_quorate and local.quorum_ring == view.ring


def has_quorum(turn: Turn) -> bool:
    """Tell whether this member has quorum for the ring it is in."""
    return has_quorum_of(turn.local)


def probed(turn: Turn) -> None:
    """We know what runs here, so we may say hello."""
    turn.update(is_probed=True)
    if not turn.local.is_installed:
        _say_hello(turn)


def rejoin(turn: Turn, reason: str) -> None:
    """Ask for a new epoch: what was agreed of this node is not how it is."""
    turn.note("sync.rejoining", Severity.WARNING, reason=reason)
    _say_hello(turn)


def heed_own_stops(turn: Turn) -> None:
    """Ask for a new epoch, once in each, when the records do not know what an emergency stopped.

    One may begin with our HELLO of before that.
    """
    is_calm = turn.local.is_installed and not turn.local.emergency
    stopped = _unheeded(turn) if is_calm else ()
    if stopped and turn.is_news("unheeded", f"{turn.cluster.epoch} {len(stopped)}"):
        rejoin(turn, f"stopped here without quorum, and not agreed: {', '.join(stopped)}")


def _unheeded(turn: Turn) -> tuple[ServiceName, ...]:
    reported = turn.local.reported.values()
    if turn.local.me not in turn.cluster.members() or (EMERGENCY_OP, False) not in reported:
        return ()
    return tuple(c.service for c in claims(turn) if _is_unheeded(turn, c))


def _is_unheeded(turn: Turn, claim: Claim) -> bool:
    service = turn.cluster.services.get(claim.service)
    if claim.op != EMERGENCY_OP or claim.is_busy or service is None:
        return False
    is_up = service.state is ServiceState.STARTED and service.owner == turn.local.me
    is_down = claim.health is Health.NONE or not names_off(service).issuperset(claim.missing)
    return is_up and is_down


def heard_hello(turn: Turn, sender: NodeId, hello: Hello) -> None:
    """Somebody said hello; in an installed epoch it asks for a new one."""
    view = turn.local.view
    if view is None or hello.ring != view.ring or hello.members != view.members:
        return
    if turn.local.is_installed:
        _begin(turn, but_not=sender)
    turn.update(hellos={**turn.local.hellos, sender: hello})
    try_install(turn)


def overdue(turn: Turn) -> None:
    """Go on without those that did not say hello in time."""
    turn.update(is_sync_overdue=True)
    silent = _silent(turn.local)
    names = ", ".join(map(turn.cluster.spec.node_name, silent))
    reason = missing(turn.cluster, turn.local)
    turn.note("sync.overdue", Severity.WARNING, silent=names or None, reason=reason)
    if turn.local.me not in turn.cluster.nodes:
        declare_emergency(turn, reason)  # it may begin none, and nobody knows what runs here
    if turn.local.emergency:  # quorum is there again, and would be the wrong reason
        turn.update(emergency=reason)
    try_install(turn)


def missing(cluster: ClusterState, local: LocalState) -> str:
    """Say whose daemon has to be started before an epoch can begin here."""
    name = cluster.spec.node_name
    if local.me not in cluster.nodes:
        return "this node is not configured; start rgmgrd on one that is"
    if silent := _silent(local):
        return f"rgmgrd on {', '.join(map(name, silent))} has not been heard; start it there"
    if len(cluster.nodes) != PAIR:
        return TOO_FEW
    other = ", ".join(name(n) for n in cluster.nodes if n not in local.hellos)
    return f"{other} may have gone on without this node; start rgmgrd there, or see rgmgrd(8)"


def _silent(local: LocalState) -> tuple[NodeId, ...]:
    """Return the nodes in our ring whose daemon has not said hello."""
    view = local.view
    present = {*view.members, *view.ring_nodes} if view else set()
    return tuple(n for n in sorted(present) if n not in local.hellos)


def try_install(turn: Turn) -> None:
    """Send INSTALL if the epoch is ours to begin."""
    local = turn.local
    if local.is_installed or local.has_sent_install or not has_quorum(turn):
        return
    if not _is_complete(turn) or local.me not in local.hellos:
        return
    if _is_source(turn):
        turn.update(has_sent_install=True)
        turn.do(Multicast(_make_install(turn)))


def heard_install(turn: Turn, message: Install) -> None:
    """Begin the epoch, if the message is for our view and newer than what we have."""
    view = turn.local.view
    if view is None or message.ring != view.ring or message.view != view.members:
        return
    me = next((e for e in message.enrolments if e.node == turn.local.me), None)
    is_in = me is not None and me.incarnation == turn.local.incarnation
    if message.epoch <= max(turn.local.view_epoch, turn.cluster.epoch if is_in else 0):
        return  # the second one is void for all alike, also for those that it leaves out
    if message.protocol < turn.local.protocols[0]:
        _give_up(turn, message.protocol)
        return
    if not is_in:
        _left_out(turn, message)
        return
    base = message.state or turn.cluster
    if message.state is None and digest(base) != message.digest:
        turn.note("sync.diverged", Severity.ERROR, epoch=message.epoch)
        _begin(turn)
        return
    _take_over(turn, base, message)


def _give_up(turn: Turn, protocol: int) -> None:
    """The others cannot speak with this version: its services run on, unmanaged."""
    reason = (
        f"the members speak protocol {protocol}, this rgmgrd none below {turn.local.protocols[0]};"
        " install the version before it here, or upgrade the others first"
    )
    turn.note("sync.refused", Severity.ERROR, reason=reason)
    turn.update(is_over=True)
    turn.do(Exit(EX_CONFIG, reason))


def _left_out(turn: Turn, message: Install) -> None:
    """A majority went on without us, so its history counts, whatever number ours has."""
    turn.note("sync.left_out", Severity.WARNING, epoch=message.epoch)
    older = min(turn.cluster.epoch, message.epoch - 1)
    turn.cluster = replace(turn.cluster, epoch=older)
    turn.update(view_epoch=message.epoch)
    _begin(turn)


def heard_ack(turn: Turn, sender: NodeId, ack: Ack) -> None:
    """A member has made the durable part of this epoch safe."""
    is_present = turn.local.is_installed and ack.epoch == turn.cluster.epoch
    if is_present and ack.applied > turn.local.acks.get(sender, -1):
        turn.update(acks={**turn.local.acks, sender: ack.applied})
        if not turn.local.is_known and is_kept(turn, 0):
            turn.update(is_known=True)


def _begin(turn: Turn, *, but_not: NodeId | None = None) -> None:
    """Leave the epoch, forgetting every hello; say hello unless ours was the cause."""
    turn.update(is_installed=False, hellos={}, has_sent_install=False, is_sync_overdue=False)
    if but_not != turn.local.me:
        _say_hello(turn)


def _say_hello(turn: Turn) -> None:
    local = turn.local
    if not local.is_probed or local.view is None or local.me not in local.view.members:
        return
    hello = Hello(
        ring=local.view.ring,
        members=local.view.members,
        incarnation=local.incarnation,
        boot_id=local.boot_id,
        epoch=turn.cluster.epoch,
        epoch_ring_seq=turn.cluster.ring_seq,
        applied=turn.cluster.applied,
        is_live=local.is_live,
        digest=digest(turn.cluster),
        config_version=local.own_spec.version,
        config_digest=local.own_spec.digest,
        claims=claims(turn),
        protocol_min=local.protocols[0],
        protocol_max=local.protocols[1],
        state_boot_id=_boot_of(turn.cluster, local.me),
        ended={
            node_id: node.boot_id
            for node_id, node in sorted(turn.cluster.nodes.items())
            if node.status is NodeStatus.FENCED
        },
        watchdog_ms=_promised_ms(turn),
        agreed_version=turn.cluster.spec.version,
        agreed_nodes=tuple(sorted(turn.cluster.spec.nodes)),
    )
    turn.do(Multicast(hello))


def _promised_ms(turn: Turn) -> int:
    """Return the timeout of our watchdog; 0 while something runs here that it does not guard."""
    is_guarded = turn.local.is_armed or not holds_anything(turn)
    return turn.local.watchdog_ms if is_guarded else 0


def _boot_of(cluster: ClusterState, node_id: NodeId) -> str:
    node = cluster.nodes.get(node_id)
    return node.boot_id if node else ""


def _test_known_of(cluster: ClusterState, node_id: NodeId) -> int:
    """Return the operators' test that a node has answered, as far as is agreed."""
    test = cluster.tests.get(node_id)
    return test.number if test else 0


def _view_members(turn: Turn) -> tuple[NodeId, ...]:
    return turn.local.view.members if turn.local.view else ()


def _is_complete(turn: Turn) -> bool:
    """Tell whether those that have said hello may begin: all, or enough when time is up."""
    silent = [n for n in _view_members(turn) if n not in turn.local.hellos]
    if not silent:
        return _has_mandate(turn)
    is_enough = 2 * len(_heard(turn)) > len(turn.cluster.nodes)
    return turn.local.is_sync_overdue and is_enough


def _heard(turn: Turn) -> tuple[NodeId, ...]:
    """Return who has said hello and counts: whom the configuration has dropped decides nothing."""
    return tuple(n for n in turn.cluster.nodes if n in turn.local.hellos)


def _has_mandate(turn: Turn) -> bool:
    """Tell whether the others cannot have gone on without us.

    corosync counts nodes, and a daemon may be away from a node that it counts. So more than half of
    the daemons of our last epoch must be here, be it in this life or on disk; one that said goodbye
    and whose node is in our ring counts as well. No more is asked if that epoch began in this very
    ring. Whom the configuration has dropped counts for nothing, and begins nothing of its own. Of
    two nodes each may go on, if corosync lets it. Of two halves the one goes on that
    corosync's tie breaker has chosen. Neither is enough from disk. To one half who is not proven
    down may be the other one, that went on.
    """
    nodes, hellos, heard = turn.cluster.nodes, turn.local.hellos, _heard(turn)
    if 2 * len(heard) > len(nodes) or not heard or _is_ring_of_epoch(turn):
        return bool(heard)
    ring_nodes = turn.local.view.ring_nodes if turn.local.view else ()
    if len(nodes) <= PAIR:
        return turn.local.is_live or _may_begin_alone(turn)
    idle = [n for n in ring_nodes if n in nodes and nodes[n].status is NodeStatus.LEFT]
    is_half = 2 * len(ring_nodes) == len(nodes)
    counted = {*TAKING_PART, NodeStatus.UNSEEN, *(UNPROVEN if is_half else ())}
    were_here = [n for n, node in nodes.items() if node.status in counted]
    present = {*idle, *(n for n in were_here if n in hellos)}
    return 2 * len(present) > len({*idle, *were_here}) or _is_chosen_half(turn)


def _may_begin_alone(turn: Turn) -> bool:
    """Tell whether the other one of two, whose daemon is not here, can know nothing better.

    It may as long as its node is in our ring; else when it can have gone on without us: it was not
    known to be down when we agreed last, and this node has booted or said goodbye since.
    """
    local, nodes = turn.local, turn.cluster.nodes
    others = [n for n in nodes if n not in local.hellos]
    if local.view is None or any(n in local.view.ring_nodes for n in others):
        return False
    me = nodes.get(local.me)
    is_unbroken = me is not None and me.boot_id == local.boot_id and me.status not in KEPT_NODES
    is_first = turn.cluster.epoch == 0
    return is_first or is_unbroken or all(nodes[n].status in KEPT_NODES for n in others)


def _is_chosen_half(turn: Turn) -> bool:
    """Tell whether we are half of the nodes, complete, and took part until now without a break.

    Half of the votes are quorum only by the word of corosync's tie breaker. An arbiter outside may
    have chosen the other half before; who has been away since might have been part of that.
    """
    nodes = turn.cluster.nodes
    ring_nodes = turn.local.view.ring_nodes if turn.local.view else ()
    return 2 * len(ring_nodes) == len(nodes) and all(
        n in nodes
        and nodes[n].status in TAKING_PART
        and (hello := turn.local.hellos.get(n)) is not None
        and nodes[n].incarnation == hello.incarnation
        for n in ring_nodes
    )


def _is_ring_of_epoch(turn: Turn) -> bool:
    view = turn.local.view
    return turn.local.is_live and view is not None and view.ring.seq == turn.cluster.ring_seq


def _is_source(turn: Turn) -> bool:
    """Tell whether our state is the one to build on.

    One that has said hello and then falls silent is waited for once; after that, anybody whose
    state is as recent may begin. Of several INSTALLs of one ring only the first counts.
    """
    hellos, me = turn.local.hellos, turn.local.me
    able = candidates(hellos)
    best = max(able, key=lambda n: recency(n, hellos[n]))
    is_as_recent = recency(me, hellos[me])[:3] == recency(best, hellos[best])[:3]
    is_good = me in able and is_as_recent
    return best == me or (turn.local.is_sync_overdue and is_good)


def _make_install(turn: Turn) -> Install:
    local, view = turn.local, turn.local.view
    assert view is not None  # noqa: S101  # the caller has quorum for it
    ours = digest(turn.cluster)
    is_alike = all(hello.digest == ours for hello in local.hellos.values())
    protocol = min(hello.protocol_max for hello in local.hellos.values())
    return Install(
        ring=view.ring,
        ring_nodes=view.ring_nodes,
        view=view.members,
        enrolments=tuple(
            Enrolment(
                node=n,
                incarnation=h.incarnation,
                boot_id=h.boot_id,
                is_live=h.is_live,
                claims=h.claims,
                watchdog_ms=h.watchdog_ms,
            )
            for n, h in sorted(local.hellos.items())
            if h.protocol_min <= protocol
        ),
        epoch=max(hello.epoch for hello in local.hellos.values()) + 1,
        at_ms=max(turn.cluster_ms, turn.cluster.now_ms),
        digest=ours,
        state=None if is_alike else turn.cluster,
        protocol=protocol,
    )


def _take_over(turn: Turn, base: ClusterState, message: Install) -> None:
    before = base.nodes.get(turn.local.me)
    has_stayed = (
        before is not None
        and before.status in STAYING
        and before.incarnation == turn.local.incarnation
    )
    ledger = begun(base, message)
    turn.cluster = ledger.state
    kept = () if _is_denied(turn) else _unheeded(turn)
    turn.update(
        is_installed=True,
        view_epoch=message.epoch,
        is_live=True,
        is_known=turn.local.is_known and has_stayed,
        protocol=message.protocol,
        hellos={},
        has_sent_install=False,
        acks={},
        clock_offset_ms=message.at_ms - turn.now_ms,
        tested=_test_known_of(turn.cluster, turn.local.me),
        emergency=turn.local.emergency if _is_denied(turn) else "",
        reported={n: r for n, r in turn.local.reported.items() if r[0] > 0 or n in kept},
    )
    turn.beat(applied_by={}, heard_ms={})
    members = ", ".join(map(turn.cluster.spec.node_name, turn.cluster.members()))
    turn.note("epoch.installed", epoch=message.epoch, members=members)
    turn.do(*ledger.records)
    heed_own_status(turn)
    outbox.resend(turn)
    forget_answered(turn)
    turn.update(saved=None)
    save_if_changed(turn)
