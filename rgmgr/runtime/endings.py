# SPDX-License-Identifier: Apache-2.0
"""What the daemon says when an exception ends it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import structlog

from rgmgr.adapters.journal import Journal
from rgmgr.adapters.notify import Notifier
from rgmgr.adapters.store import StoreError
from rgmgr.adapters.watchdog import WatchdogError
from rgmgr.errors import CorosyncError

log = structlog.get_logger("rgmgrd")


def explain(error: Exception, journal: Journal) -> None:
    """Say in a line what can be put right on this node; all else is a bug, with its traceback."""
    reasons = tuple(leaves(error))
    if not all(
        isinstance(reason, StoreError | CorosyncError | WatchdogError) for reason in reasons
    ):
        journal.failed("daemon.crashed", error)
        return
    user = os.geteuid()
    hint = {"hint": f"rgmgrd must run as root, this is uid {user}"} if user else {}
    for reason in reasons:
        log.error("daemon.failed", reason=str(reason), **hint)
    with Notifier() as notifier:
        notifier.status(f"ending: {reasons[0]}")


def leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a group of tasks failed with, one by one."""
    if isinstance(error, ExceptionGroup):
        for part in error.exceptions:
            yield from leaves(part)
    else:
        yield error
