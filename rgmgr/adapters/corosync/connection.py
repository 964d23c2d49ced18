# SPDX-License-Identifier: Apache-2.0
"""One life of the handles that a member of a group needs: from connect to close.

`connect`, `leave`, `answer_shutdown` and `close` block, without limit when corosync is stopped:
worker threads only. `dispatch` and `multicast` belong to the loop's thread.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from rgmgr.adapters.corosync.cfg import CfgHandle
from rgmgr.adapters.corosync.cmap import CmapHandle
from rgmgr.adapters.corosync.cpg import CpgHandle
from rgmgr.adapters.corosync.events import GroupMember, ShutdownAnswer
from rgmgr.adapters.corosync.facts import ClusterFacts, read_facts, track_nodes
from rgmgr.adapters.corosync.handle import Handle
from rgmgr.adapters.corosync.quorum import QuorumHandle
from rgmgr.adapters.corosync.raw import RawEvent


class Library(Enum):
    """The libraries that send events, in the order in which they are served."""

    QUORUM = "quorum"
    CFG = "cfg"
    CMAP = "cmap"
    CPG = "cpg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we are connected to, and who we are there."""

    local: GroupMember
    facts: ClusterFacts
    has_quorum_provider: bool


class Connection(Protocol):
    """What a session needs of a connection."""

    @property
    def peer(self) -> Peer:
        """Return whom we are connected to."""

    def filenos(self) -> Mapping[Library, int]:
        """Return the descriptors that become readable when there is something to dispatch."""

    def dispatch(self, library: Library) -> list[RawEvent]:
        """Return what this library has to tell, a bounded number of events; never blocks.

        Raises:
            CorosyncError: the connection is gone.
            InvariantViolation: an event was lost.
        """

    def multicast(self, frames: Sequence[bytes]) -> int:
        """Hand frames to corosync; return how many it took. Never blocks.

        Raises:
            CorosyncError: the connection is gone.
        """

    def leave(self) -> None:
        """Leave the group; the own LEAVE event tells when it is done. Blocks."""

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer a shutdown request. Blocks."""

    def close(self) -> None:
        """Free everything; never raises. Blocks."""


def connect(group: str) -> "LibraryConnection":
    """Open all handles, read the facts and join the group; blocks.

    Raises:
        CorosyncError: something failed; nothing is left open.
    """
    with ExitStack() as opened:
        cmap = opened.enter_context(CmapHandle())
        track_nodes(cmap)
        facts = read_facts(cmap)
        quorum = opened.enter_context(QuorumHandle())
        cfg = opened.enter_context(CfgHandle())
        cpg = opened.enter_context(CpgHandle())
        peer = Peer(
            local=GroupMember(cpg.local_node(), os.getpid()),
            facts=facts,
            has_quorum_provider=quorum.has_provider,
        )
        connection = LibraryConnection(peer, cmap, quorum, cfg, cpg)
        quorum.track()
        cfg.track_shutdown()
        cpg.join(group)
        opened.pop_all()
    return connection


class LibraryConnection:
    """A `Connection` to the corosync that runs on this node."""

    def __init__(
        self, peer: Peer, cmap: CmapHandle, quorum: QuorumHandle, cfg: CfgHandle, cpg: CpgHandle
    ) -> None:
        self.peer = peer
        self._cfg, self._cpg = cfg, cpg
        self._handles: dict[Library, Handle] = {
            Library.QUORUM: quorum,
            Library.CFG: cfg,
            Library.CMAP: cmap,
            Library.CPG: cpg,
        }
        self._fds = {library: handle.fileno() for library, handle in self._handles.items()}

    def filenos(self) -> Mapping[Library, int]:
        """Return the descriptors to watch."""
        return self._fds

    def dispatch(self, library: Library) -> list[RawEvent]:
        """Return what this library has to tell."""
        return self._handles[library].dispatch()

    def multicast(self, frames: Sequence[bytes]) -> int:
        """Hand frames to corosync."""
        return self._cpg.multicast(frames)

    def leave(self) -> None:
        """Leave the group."""
        self._cpg.leave()

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer a shutdown request."""
        self._cfg.answer_shutdown(answer)

    def close(self) -> None:
        """Finalize all handles."""
        for handle in self._handles.values():
            handle.close()
