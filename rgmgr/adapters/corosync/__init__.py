# SPDX-License-Identifier: Apache-2.0
"""This process in a CPG group of the local corosync: who is there, is there quorum, who said what.

Owns everything that touches corosync's libraries, and nothing else: it translates and never
decides. `Corosync.run` is the entry point, `events` the vocabulary. Below it are the handles of
libcpg, libquorum, libvotequorum, libcmap and libcfg, one class each, for other uses.

One event loop; calls that may block run in threads of their own with a deadline. Corosync may be
absent, stop, hang or restart at any time: that is told by events and never raised. The compiled
binding is imported at the first connect, so this package may be imported without it.

Source: docs/corosync.md, cpg_overview(3), quorum_overview(3), votequorum_overview(3),
cmap_overview(3), corosync-cfgtool(8).
"""

from rgmgr.adapters.corosync.adapter import Corosync
from rgmgr.adapters.corosync.cfg import (
    CfgHandle,
    LinkStatus,
    NodeStatus,
)
from rgmgr.adapters.corosync.cmap import (
    CmapHandle,
    Map,
    NumberType,
    Scope,
)
from rgmgr.adapters.corosync.cpg import CpgHandle
from rgmgr.adapters.corosync.events import (
    CorosyncConnected,
    CorosyncEvent,
    CorosyncLost,
    CorosyncUnavailable,
    Departure,
    DuplicateDaemon,
    GroupMember,
    MessageReceived,
    NodeListChanged,
    QuorumChanged,
    RingId,
    RingNodesChanged,
    ShutdownAnswer,
    ShutdownRequested,
    ShutdownUrgency,
    ViewChanged,
)
from rgmgr.adapters.corosync.quorum import (
    QuorumHandle,
    VoteFlag,
    VoteInfo,
    VotequorumHandle,
)
from rgmgr.adapters.corosync.raw import (
    Change,
    Delivery,
    ExpectedVotesChanged,
    GroupChange,
    KeyChanged,
    RawEvent,
    Reason,
    RingChange,
    TooLong,
    Value,
    VotersChanged,
    VoterState,
)
from rgmgr.adapters.corosync.report import (
    Link,
    LinkReport,
    NodeVotes,
    Qdevice,
    Quorum,
    Totem,
    read_report,
)
from rgmgr.adapters.corosync.reporter import Reporter

__all__ = [
    "CfgHandle",
    "Change",
    "CmapHandle",
    "Corosync",
    "CorosyncConnected",
    "CorosyncEvent",
    "CorosyncLost",
    "CorosyncUnavailable",
    "CpgHandle",
    "Delivery",
    "Departure",
    "DuplicateDaemon",
    "ExpectedVotesChanged",
    "GroupChange",
    "GroupMember",
    "KeyChanged",
    "Link",
    "LinkReport",
    "LinkStatus",
    "Map",
    "MessageReceived",
    "NodeListChanged",
    "NodeStatus",
    "NodeVotes",
    "NumberType",
    "Qdevice",
    "Quorum",
    "QuorumChanged",
    "QuorumHandle",
    "RawEvent",
    "Reason",
    "Reporter",
    "RingChange",
    "RingId",
    "RingNodesChanged",
    "Scope",
    "ShutdownAnswer",
    "ShutdownRequested",
    "ShutdownUrgency",
    "TooLong",
    "Totem",
    "Value",
    "ViewChanged",
    "VoteFlag",
    "VoteInfo",
    "VotequorumHandle",
    "VoterState",
    "VotersChanged",
    "read_report",
]
