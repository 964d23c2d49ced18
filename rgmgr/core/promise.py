# SPDX-License-Identifier: Apache-2.0
"""How long the promise of a member is good: of its gate, and of its watchdog. See `watchdog.py`."""

from __future__ import annotations

from domains.model import NodeId
from rgmgr.core.model import ClusterState

LEASE_MS = 1_500
"""Of a tick that came back. Less than any sensible detection time: the gate closes before the
others act."""
MARGIN_MS = 3_000
"""For a device that counts in whole seconds, and for the reset itself."""


def is_fresh(proven_ms: int, now_ms: int) -> bool:
    """Tell whether a tick that was sent then still proves anything."""
    return 0 <= now_ms - proven_ms <= LEASE_MS


def wait_ms(cluster: ClusterState, victim: NodeId) -> int:
    """Return after how long a lost node holds nothing; 0: it has not promised a watchdog."""
    node = cluster.nodes.get(victim)
    if node is None or not node.watchdog_ms:
        return 0
    return LEASE_MS + 2 * node.watchdog_ms + MARGIN_MS
