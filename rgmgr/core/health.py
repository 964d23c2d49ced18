# SPDX-License-Identifier: Apache-2.0
"""What the nodes reach of what is pinged, and when that counts.

Each node pings for itself and tells the others when several answers or silences in a row say
something new. What was told counts only once nobody has told anything new for a while, and then for
all nodes at once: when the thing itself dies, one node notices it before another one, and nothing
may move to where it will be noticed next (`HealthSettled`, told by the first member).

Source: heartbeat ipfail, ping nodes.
"""

from __future__ import annotations

from dataclasses import replace

from domains.model import NodeId
from rgmgr.core import outbox
from rgmgr.core.actions import SendPing, Severity
from rgmgr.core.events import PingEnded
from rgmgr.core.evolve import evolve
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import Probe, Turn
from rgmgr.core.messages import HealthSettled, Reached
from rgmgr.core.model import NodeStatus
from rgmgr.core.placement import offer_to_joiners
from rgmgr.core.spec import PingSpec

PATIENCE_MS = 4_000
"""More than an answer may take: so much later another node may notice the same silence."""


def timers(turn: Turn) -> dict[str, int]:
    """Return when to ask for each thing again; not while an answer is on its way."""
    if not turn.local.is_installed:
        return {}
    probes = turn.local.probes
    return {
        f"ping:{ping.name}": ping.interval_ms
        for ping in turn.cluster.spec.pings
        if not probes.get(ping.name, _NEW).is_under_way
    }


def begin(turn: Turn, key: str) -> None:
    """Ask once."""
    for ping in turn.cluster.spec.pings:
        if key == f"ping:{ping.name}":
            probe = turn.local.probes.get(ping.name, _NEW)
            _put(turn, ping.name, replace(probe, is_under_way=True))
            turn.do(SendPing(ping))


def ended(turn: Turn, event: PingEnded) -> None:
    """An answer came, or none in time."""
    ping = next((p for p in turn.cluster.spec.pings if p.name == event.name), None)
    if ping is None:
        turn.update(probes={n: p for n, p in turn.local.probes.items() if n != event.name})
        return
    probe = turn.local.probes.get(event.name, _NEW)
    streak = max(probe.streak, 0) + 1 if event.is_answered else min(probe.streak, 0) - 1
    _put(
        turn, event.name, Probe(streak=_bound(streak, ping), is_lost=_verdict(probe, streak, ping))
    )


def tell(turn: Turn) -> None:
    """Tell the others what is new, once everything has been asked for long enough."""
    me = turn.cluster.nodes.get(turn.local.me)
    pings = turn.cluster.spec.pings
    if not pings or me is None or not turn.local.is_installed or me.status is not NodeStatus.ONLINE:
        return
    found = [(ping.name, turn.local.probes.get(ping.name, _NEW).is_lost) for ping in pings]
    if any(is_lost is None for _, is_lost in found):
        return
    news = Reached(tuple(name for name, is_lost in found if is_lost))
    is_told = any(sent.operation.body == news for sent in turn.local.sent if not sent.applied_at)
    if me.lost != news.lost and not is_told:
        outbox.send(turn, news)


def grace_ms(turn: Turn) -> int:
    """Return how long nothing new has to be told before it counts."""
    return PATIENCE_MS + max((ping.interval_ms for ping in turn.cluster.spec.pings), default=0)


def reported(ledger: Ledger, sender: NodeId, body: Reached) -> None:
    """A node has told what it reaches."""
    ledger.put_node(sender, replace(ledger.state.nodes[sender], lost=body.lost))
    number = ledger.take_op()
    is_new = any(node.lost != node.ills for node in ledger.state.nodes.values())
    ledger.state = evolve(ledger.state, {"health": number if is_new else 0})


def settled(ledger: Ledger, body: HealthSettled) -> None:
    """What the nodes told last counts now; a node that reaches more again is like a joiner."""
    if body.number != ledger.state.health:
        return
    better = []
    for node_id, node in tuple(ledger.state.nodes.items()):
        if node.lost is None or node.lost == node.ills:
            continue
        ledger.put_node(node_id, replace(node, ills=node.lost))
        was = node.ills
        if was is None or not set(was) <= set(node.lost):
            better.append(node_id)
        if gone := sorted(set(node.lost) - set(was or ())):
            ledger.note(
                "node.reach_lost",
                Severity.WARNING,
                node=ledger.name(node_id),
                pings=", ".join(gone),
            )
        if back := sorted(set(was or ()) - set(node.lost)):
            ledger.note("node.reach_regained", node=ledger.name(node_id), pings=", ".join(back))
    ledger.state = evolve(ledger.state, {"health": 0})
    offer_to_joiners(ledger, dict.fromkeys(ledger.state.nodes, 0), among=tuple(better))


_NEW = Probe()


def _put(turn: Turn, name: str, probe: Probe) -> None:
    turn.update(probes={**turn.local.probes, name: probe})


def _bound(streak: int, ping: PingSpec) -> int:
    """Return the streak, not longer than anything asks for."""
    most = max(ping.failures, ping.successes)
    return max(-most, min(most, streak))


def _verdict(probe: Probe, streak: int, ping: PingSpec) -> bool | None:
    if streak >= ping.successes:
        return False
    return True if streak <= -ping.failures else probe.is_lost
