# SPDX-License-Identifier: Apache-2.0
"""libquorum and libvotequorum: whether there is quorum, and how it is counted.

Decide by libquorum, which names the ring of its verdict; libvotequorum is for display and checks.
Left out: the `votequorum_qdevice_*` calls, which are for quorum devices, and votequorum's own node
list, which libquorum has with what joined and left.

Source: quorum_overview(3), votequorum_overview(3) and the page of each call.
"""

import enum
from dataclasses import dataclass

from rgmgr.adapters.corosync.batch import voter_state
from rgmgr.adapters.corosync.binding import load
from rgmgr.adapters.corosync.handle import Handle
from rgmgr.adapters.corosync.raw import VoterState


class VoteFlag(enum.Enum):
    """How quorum is counted; the values are the words of corosync.conf where it has them."""

    TWO_NODE = "two_node"
    QUORATE = "quorate"
    WAIT_FOR_ALL = "wait_for_all"
    LAST_MAN_STANDING = "last_man_standing"
    AUTO_TIE_BREAKER = "auto_tie_breaker"
    ALLOW_DOWNSCALE = "allow_downscale"
    QDEVICE_REGISTERED = "qdevice_registered"
    QDEVICE_ALIVE = "qdevice_alive"
    QDEVICE_CAST_VOTE = "qdevice_cast_vote"
    QDEVICE_MASTER_WINS = "qdevice_master_wins"


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteInfo:
    """How one node counts; `total`, `needed` and `flags` are as the local node sees them."""

    node: int
    state: VoterState
    votes: int
    expected: int
    highest_expected: int
    total: int
    needed: int
    flags: frozenset[VoteFlag]
    qdevice_name: str  # empty where none is registered
    qdevice_votes: int


class QuorumHandle(Handle):
    """The verdict on each ring. `dispatch` returns `QuorumChanged` and `RingNodesChanged`."""

    def __init__(self) -> None:
        """Connect. Source: quorum_model_initialize(3)."""
        super().__init__(load().lib.RGMGR_QUORUM, "quorum")
        kind = self._ffi.new("uint32_t *")
        code = self._lib.rgmgr_quorum_open(self._handle, kind)
        self._opened(code, "quorum_model_initialize")
        self.has_provider = kind[0] == self._lib.QUORUM_SET  # without one it is always quorate

    def is_quorate(self) -> bool:
        """Return the verdict of this moment; a decision needs the ring, which the event has."""
        quorate = self._ffi.new("int *")
        self._ask(self._lib.quorum_getquorate, quorate)
        return bool(quorate[0])

    def track(self) -> None:
        """Ask for events: the present state at once, then each change. CS_ERR_EXIST if asked."""
        self._ask(self._lib.quorum_trackstart, self._lib.CS_TRACK_CHANGES)

    def untrack(self) -> None:
        """Ask for no more events."""
        self._ask(self._lib.quorum_trackstop)


class VotequorumHandle(Handle):
    """Votes. `dispatch` returns `VotersChanged` and `ExpectedVotesChanged`.

    CS_ERR_LIBRARY at connect also means that corosync.conf names no quorum provider.
    """

    def __init__(self) -> None:
        """Connect. Source: votequorum_initialize(3)."""
        super().__init__(load().lib.RGMGR_VOTEQUORUM, "votequorum")
        self._opened(self._lib.rgmgr_votequorum_open(self._handle), "votequorum_initialize")

    def info(self, node: int = 0) -> VoteInfo:
        """Return how a node counts, 0 for the local one; CS_ERR_NOT_EXIST for an unknown one."""
        info = self._ffi.new("struct votequorum_info *")
        self._ask(self._lib.votequorum_getinfo, node, info)
        return VoteInfo(
            node=info.node_id,
            state=voter_state(info.node_state),
            votes=info.node_votes,
            expected=info.node_expected_votes,
            highest_expected=info.highest_expected,
            total=info.total_votes,
            needed=info.quorum,
            flags=frozenset(flag for flag in VoteFlag if info.flags & self._bit(flag)),
            qdevice_name=self._ffi.string(info.qdevice_name).decode(errors="replace"),
            qdevice_votes=info.qdevice_votes,
        )

    def set_expected(self, votes: int) -> None:
        """Set the expected votes of the whole cluster, until corosync restarts.

        CS_ERR_INVALID_PARAM where the present members would then be too many or too few.
        """
        self._ask(self._lib.votequorum_setexpected, votes)

    def set_votes(self, node: int, votes: int) -> None:
        """Set the votes of a node (0: the local one), until corosync restarts."""
        self._ask(self._lib.votequorum_setvotes, node, votes)

    def track(self) -> None:
        """Ask for events: the present state at once, then each change."""
        self._ask(self._lib.votequorum_trackstart, 0, self._lib.CS_TRACK_CHANGES)

    def untrack(self) -> None:
        """Ask for no more events."""
        self._ask(self._lib.votequorum_trackstop)

    def _bit(self, flag: VoteFlag) -> int:
        name = "TWONODE" if flag is VoteFlag.TWO_NODE else flag.name
        return int(getattr(self._lib, f"VOTEQUORUM_INFO_{name}"))
