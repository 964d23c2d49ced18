# SPDX-License-Identifier: Apache-2.0
"""Reports for an event loop: asked for in a thread, with a deadline, one at a time."""

import asyncio
from collections.abc import Callable

from rgmgr.adapters.corosync.cfg import NodeStatus
from rgmgr.adapters.corosync.report import Glance, LinkReport, read_report
from rgmgr.adapters.corosync.worker import in_thread

REPORT_MS_MAX = 2_000


class Reporter:
    """Asks corosync on behalf of one loop.

    While corosync hangs so does the thread that asked; who asks meanwhile waits for the same
    answer, so that threads never pile up.
    """

    def __init__(self, read: Callable[[], LinkReport] = read_report) -> None:
        self._read = read
        self._glance = Glance()
        self._under_way: asyncio.Future[LinkReport] | None = None
        self._glancing: asyncio.Future[tuple[NodeStatus, ...]] | None = None

    async def report(self, timeout_ms: int = REPORT_MS_MAX) -> LinkReport:
        """Return what corosync knows now.

        Raises:
            CorosyncError: corosync is not there.
            TimeoutError: it does not answer.
        """
        if self._under_way is None or self._under_way.done():
            self._under_way = in_thread(self._read, "corosync-report")
        async with asyncio.timeout(timeout_ms / 1000):
            return await asyncio.shield(self._under_way)

    async def has_changed(self, report: LinkReport, timeout_ms: int = REPORT_MS_MAX) -> bool:
        """Tell whether a link is not as it was in this report; costs little.

        Raises:
            CorosyncError: corosync is not there.
            TimeoutError: it does not answer.
        """
        if self._glancing is None or self._glancing.done():
            nodes = [status.node for status in report.nodes]
            self._glancing = in_thread(lambda: self._glance.read(nodes), "corosync-glance")
        async with asyncio.timeout(timeout_ms / 1000):
            return await asyncio.shield(self._glancing) != report.nodes
