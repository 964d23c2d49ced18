# SPDX-License-Identifier: Apache-2.0
"""Watches this node's links, votes and timers: for the bus, and for the journal when one changes.

Corosync does not tell such changes in time, so it is asked: every five seconds how the links are,
and all the rest, which costs ten times as much, when one has changed or each half minute. Nothing
is decided by what it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from rgmgr.adapters.corosync import Link, LinkReport, Quorum, Reporter, Totem
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

log = structlog.get_logger("rgmgrd")


class LinkWatch:
    """Keeps the latest view.

    Args:
        reporter: asks corosync.
        period_ms: between two looks at the links.
    """

    def __init__(self, reporter: Reporter, *, period_ms: int = PERIOD_MS) -> None:
        self._reporter = reporter
        self._period_ms = period_ms
        self._view = unknown("corosync has not been asked yet")
        self._report: LinkReport | None = None  # the latest, unless something went wrong since

    def view(self) -> CorosyncView:
        """Return what was seen last."""
        return self._view

    async def run(self, looked: Callable[[], None]) -> None:
        """Look again and again, until cancelled; `looked` is called after each whole look."""
        while True:
            before, self._view = self._view, await self._look()
            _tell(before, self._view)
            looked()
            for _ in range(LOOKS_PER_REPORT):
                await asyncio.sleep(self._period_ms / 1000)
                if await self._is_news():
                    break

    async def _look(self) -> CorosyncView:
        self._report = None
        try:
            self._report = await self._reporter.report()
        except CorosyncError as error:
            return unknown(f"{error}; 'systemctl status corosync' says more")
        except TimeoutError:
            return unknown("corosync does not answer; is it stopped, or the node overloaded?")
        return view_of(self._report)

    async def _is_news(self) -> bool:
        """Tell whether a whole look is due at once."""
        if self._report is None:
            return True
        try:
            return await self._reporter.has_changed(self._report)
        except (CorosyncError, TimeoutError):
            return True


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
