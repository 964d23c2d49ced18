# SPDX-License-Identifier: Apache-2.0
"""What follows from the agreed state by itself: asked after every agreed event."""

from __future__ import annotations

from rgmgr.core import depend, fencing, placement, refit
from rgmgr.core.ledger import Ledger


def settle(ledger: Ledger) -> None:
    """Fence what must be fenced, refit what has changed, start, stop and move what must be."""
    fencing.settle(ledger)
    refit.settle(ledger)
    placement.settle(ledger)
    depend.stop_dependents(ledger)
