# SPDX-License-Identifier: Apache-2.0
"""What follows from the agreed state by itself: asked after every agreed event."""

from __future__ import annotations

from rgmgr.core import fencing, placement, refit
from rgmgr.core.ledger import Ledger


def settle(ledger: Ledger) -> None:
    """Fence what must be fenced, start and move what can be, refit what has changed."""
    fencing.settle(ledger)
    placement.settle(ledger)
    refit.settle(ledger)
