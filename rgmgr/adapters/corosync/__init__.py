# SPDX-License-Identifier: Apache-2.0
"""This process in a CPG group of the local corosync: who is there, is there quorum, who said what.

Owns everything that touches libcpg, libquorum, libcfg and libcmap, and nothing else: it
translates and never decides. `Corosync.run` is the entry point, `events` the vocabulary.

One event loop; calls that may block run in threads of their own with a deadline. Corosync may be
absent, stop, hang or restart at any time: that is told by events and never raised. The compiled
binding is imported at the first connect, so this package may be imported without it.

Source: cpg_overview(3), quorum_overview(3), cmap_overview(3), corosync-cfgtool(8).
"""

from rgmgr.adapters.corosync.adapter import Corosync
from rgmgr.adapters.corosync.events import (
    CorosyncConnected,
    CorosyncEvent,
    CorosyncLost,
    CorosyncUnavailable,
    Departure,
    DuplicateDaemon,
    GroupMember,
    MessageReceived,
    QuorumChanged,
    RingId,
    RingNodesChanged,
    ShutdownAnswer,
    ShutdownRequested,
    ShutdownUrgency,
    ViewChanged,
)

__all__ = [
    "Corosync",
    "CorosyncConnected",
    "CorosyncEvent",
    "CorosyncLost",
    "CorosyncUnavailable",
    "Departure",
    "DuplicateDaemon",
    "GroupMember",
    "MessageReceived",
    "QuorumChanged",
    "RingId",
    "RingNodesChanged",
    "ShutdownAnswer",
    "ShutdownRequested",
    "ShutdownUrgency",
    "ViewChanged",
]
