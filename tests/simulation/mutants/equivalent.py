# SPDX-License-Identifier: Apache-2.0
"""Mistakes that change nothing, for another rule covers each."""

from __future__ import annotations

from tests.simulation.mutants.modules import OPERATIONS, OUTBOX
from tests.simulation.mutants.mutant import mutant as _

EQUIVALENT = (
    _(
        "apply-twice",
        "applies an operation again that was sent again",
        OPERATIONS,
        " or operation.sequence <= node.sequence:",
        ":",
    ),
    _(
        "other-epochs",
        "applies the operations of other epochs",
        OPERATIONS,
        "if not turn.local.is_installed or operation.epoch != turn.cluster.epoch:",
        "if not turn.local.is_installed:",
    ),
    _(
        "forget-early",
        "forgets an operation as soon as one member has applied it",
        OUTBOX,
        "    stable = min(",
        "    stable = max(",
    ),
    _(
        "said-anew",
        "takes the epoch in which a word was said again for that in which it was said",
        OUTBOX,
        "first = operation.first_epoch or epoch",
        "first = epoch",
    ),
)
"""The same stories: another rule covers each. Why, and what shows it: docs/simulation.md."""
