# SPDX-License-Identifier: Apache-2.0
"""What each survivor saw of its links to a node that was lost: told once per case, for history.

Links say what a membership cannot: all links down is a node without power or network, links that
are up with a node that left the ring are a corosync that died or stands still. Decides nothing.
"""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core import incidents, outbox
from rgmgr.core.events import LinksLooked, LinkState
from rgmgr.core.ledger import Ledger
from rgmgr.core.local import Turn
from rgmgr.core.messages import LinksSeen
from rgmgr.core.model import FenceCase, LinkSight

RIPE_MS = 3_000
"""A link counts as up only this long after the loss: knet may notice later than totem."""
NEWS_MS = 30_000
"""Later a link says nothing about the loss any more."""
LINKS_MAX = 8


def looked(turn: Turn, event: LinksLooked) -> None:
    """Tell all of the links to nodes that were just lost, once for each case."""
    if not turn.local.is_installed:
        return
    for case in turn.cluster.cases:
        links = [state for state in event.links if state.node == case.node]
        age_ms = turn.cluster_ms - case.opened_ms
        is_ripe = age_ms >= RIPE_MS or not any(state.is_up for state in links)
        if links and is_ripe and age_ms < NEWS_MS and _is_news(turn, case):
            sights = tuple(_sight(turn, state) for state in links[:LINKS_MAX])
            outbox.send(turn, LinksSeen(victim=case.number, links=sights))


def seen(ledger: Ledger, sender: NodeId, body: LinksSeen) -> None:
    """Add what a survivor saw to the history; what it said first counts."""
    case = incidents.case_of(ledger.state, body.victim)
    if case is not None and all(sight.by != sender for sight in case.sights):
        own = tuple(sight for sight in body.links[:LINKS_MAX] if sight.by == sender)
        incidents.noted(ledger, body.victim, sights=(*case.sights, *own))


def _is_news(turn: Turn, case: FenceCase) -> bool:
    if case.node == turn.local.me or any(sight.by == turn.local.me for sight in case.sights):
        return False
    bodies = [sent.operation.body for sent in turn.local.sent]
    return not any(isinstance(b, LinksSeen) and b.victim == case.number for b in bodies)


def _sight(turn: Turn, state: LinkState) -> LinkSight:
    return LinkSight(
        by=turn.local.me,
        link=state.link,
        is_up=state.is_up,
        first_ms=_cluster_ms(turn, state.first_ms),
        before_ms=_cluster_ms(turn, state.before_ms),
        losses=state.losses,
    )


def _cluster_ms(turn: Turn, own_ms: int) -> int:
    return max(1, own_ms + turn.local.clock_offset_ms) if own_ms else 0
