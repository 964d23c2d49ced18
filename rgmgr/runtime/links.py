# SPDX-License-Identifier: Apache-2.0
"""Watches this node's links, votes and timers: for the bus, and for the journal when one changes.

Corosync does not tell such changes in time, so it is asked: every five seconds how the links are,
and all the rest, which costs thirty times as much, when one has changed or each minute. Nothing
is decided by what it says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

import structlog

from domains.model import NodeId
from rgmgr.adapters.corosync import Link, LinkReport, Quorum, Reporter, Totem
from rgmgr.core.events import LinksLooked, LinkState
from rgmgr.errors import CorosyncError
from rgmgr.links import (
    LINK_DOWN,
    CorosyncView,
    LinkView,
    QuorumView,
    TotemView,
    VoterView,
    seen,
    unknown,
)

PERIOD_MS = 5_000
LOOKS_PER_REPORT = 6
CLOSE_MS = 1_000
CLOSE_LOOKS = 5
"""So many looks, so close together, follow a change of the ring; not at once, for then there is
better work to do, and knet may notice later."""

log = structlog.get_logger("rgmgrd")


class LinkWatch:
    """Keeps the latest view.

    Args:
        reporter: asks corosync.
        emit: hears what each look found.
        now_ms: this node's monotonic clock.
        period_ms: between two looks at the links.
    """

    def __init__(
        self,
        reporter: Reporter,
        emit: Callable[[LinksLooked], None],
        now_ms: Callable[[], int],
        *,
        period_ms: int = PERIOD_MS,
    ) -> None:
        self._reporter = reporter
        self._emit = emit
        self._now_ms = now_ms
        self._period_ms = period_ms
        self._view = unknown("corosync has not been asked yet")
        self._states: tuple[LinkState, ...] = ()
        self._looked_ms = self._glanced_ms = 0
        self._report: LinkReport | None = None  # the latest, unless something went wrong since
        self._close_looks = 0
        self._is_called = asyncio.Event()

    def view(self) -> CorosyncView:
        """Return what was seen last."""
        return self._view

    def ring_changed(self) -> None:
        """Look closely for a while."""
        self._close_looks = CLOSE_LOOKS
        self._is_called.set()

    async def run(self, looked: Callable[[], None]) -> None:
        """Look again and again, until cancelled; `looked` is called after each whole look."""
        while True:
            before, self._view = self._view, await self._look()
            _tell(before, self._view)
            looked()
            if not self._close_looks:
                await self._until_due()
            self._is_called.clear()
            if self._close_looks:
                self._close_looks -= 1
                await asyncio.sleep(CLOSE_MS / 1000)

    async def _until_due(self) -> None:
        """Return when a whole look is due: a link has changed, the ring has, or it is time."""
        for _ in range(LOOKS_PER_REPORT):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._period_ms / 1000):
                    await self._is_called.wait()
            if self._is_called.is_set() or await self._is_news():
                return

    async def _is_news(self) -> bool:
        """Tell whether a link has changed, or nobody knows."""
        if self._report is None:
            return True
        try:
            is_news = await self._reporter.has_changed(self._report)
        except (CorosyncError, TimeoutError):
            return True
        if not is_news:
            self._glanced_ms = self._now_ms()
        return is_news

    async def _look(self) -> CorosyncView:
        self._report = None
        try:
            self._report = report = await self._reporter.report()
            now_ms = self._now_ms()
            seen_ms = max(self._looked_ms, self._glanced_ms)
            self._states = states_of(report.links, self._states, self._looked_ms, seen_ms, now_ms)
            self._looked_ms = now_ms
            self._emit(LinksLooked(self._states))
            return view_of(report)
        except CorosyncError as error:
            return unknown(f"{error}; 'systemctl status corosync' says more")
        except TimeoutError:
            return unknown("corosync does not answer; is it stopped, or the node overloaded?")


def states_of(
    links: tuple[Link, ...],
    before: tuple[LinkState, ...],
    looked_ms: int,
    seen_ms: int,
    now_ms: int,
) -> tuple[LinkState, ...]:
    """Return how each link is and since which look, given what the last whole look found.

    One that was lost and came back between two of those counts as changed by this one. At `seen_ms`
    all were still up, or down, as at that look.
    """
    known = {(state.node, state.link): state for state in before}
    found = []
    for link in links:
        losses = max(0, (link.down_count or 0) - 1)
        state = LinkState(
            node=NodeId(link.node),
            link=link.link,
            is_up=link.is_connected,
            first_ms=0,
            before_ms=0,
            losses=losses,
        )
        was = known.get((state.node, state.link))
        if was is not None and (was.is_up, was.losses) == (state.is_up, losses):
            state = was
        elif was is not None:
            earlier_ms = looked_ms if was.is_up == state.is_up else seen_ms
            state = replace(state, first_ms=now_ms, before_ms=earlier_ms)
        found.append(state)
    return tuple(found)


def view_of(report: LinkReport) -> CorosyncView:
    """Return a report with names instead of ids, and with its warnings."""
    names = report.node_names
    view = CorosyncView(
        node=names.get(report.local_node, ""),
        totem=_totem(report.totem),
        quorum=_quorum(report.quorum) if report.quorum else None,
        links=tuple(_link(link, names.get(link.node, str(link.node))) for link in report.links),
    )
    return seen(view)


def _link(link: Link, node: str) -> LinkView:
    return LinkView(
        node=node,
        link=link.link,
        local_address=link.local_address,
        address=link.address,
        is_connected=link.is_connected,
        latency_us=link.latency_us,
        # knet counts the time before a link first came up, too
        down_count=None if link.down_count is None else max(0, link.down_count - 1),
    )


def _quorum(quorum: Quorum) -> QuorumView:
    device = quorum.qdevice
    return QuorumView(
        is_quorate=quorum.is_quorate,
        expected=quorum.expected,
        total=quorum.total,
        needed=quorum.needed,
        flags=tuple(sorted(flag.value for flag in quorum.flags)),
        qdevice=device.name if device else "",
        qdevice_votes=device.votes if device else 0,
        is_qdevice_alive=device is not None and device.is_alive and device.casts_vote,
        voters=tuple(
            VoterView(node=voter.name, state=voter.state.value, votes=voter.votes)
            for voter in quorum.voters
        ),
    )


def _totem(totem: Totem) -> TotemView:
    return TotemView(
        token_ms=totem.token_ms,
        consensus_ms=totem.consensus_ms,
        detection_ms=totem.detection_ms,
        ping_timeout_ms=min(totem.ping_timeout_ms.values(), default=0),
        link_count=totem.link_count,
        link_mode=totem.link_mode,
        crypto_cipher=totem.crypto_cipher,
        crypto_hash=totem.crypto_hash,
    )


def _tell(before: CorosyncView, now: CorosyncView) -> None:
    """Write what has changed into the journal. A corosync that is away is told by others."""
    earlier = {(link.node, link.link): link for link in before.links}
    for link in now.links:
        was = earlier.get((link.node, link.link), link)
        is_again = link.is_connected and (link.down_count or 0) > (was.down_count or 0)
        facts = {"node": link.node, "link": link.link, "address": link.address}
        if was.is_connected and (not link.is_connected or is_again):  # between two looks, maybe
            log.warning("link.lost", **facts)
        if link.is_connected and (not was.is_connected or is_again):
            log.info("link.restored", **facts)
    known = {warning.text for warning in before.warnings}
    for warning in now.warnings:
        if warning.code != LINK_DOWN and warning.text not in known:
            log.warning("corosync.warned", reason=warning.text)
