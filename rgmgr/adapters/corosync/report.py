# SPDX-License-Identifier: Apache-2.0
"""What this node's corosync knows of links, votes and timers, for status pages and checks.

Read with handles of their own, so a report disturbs no session; all of it is the local view.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rgmgr.adapters.corosync.cfg import CfgHandle, NodeStatus
from rgmgr.adapters.corosync.cmap import CmapHandle, Map
from rgmgr.adapters.corosync.facts import NODES, names_of, number_of
from rgmgr.adapters.corosync.quorum import QuorumHandle, VoteFlag, VoteInfo, VotequorumHandle
from rgmgr.adapters.corosync.raw import Value, VoterState
from rgmgr.errors import CorosyncError

_LINKS: Final = "stats.knet.node"
_ENCRYPTED: Final = "stats.knet.handle.tx_crypt_packets"
_RUNTIME: Final = "runtime.config.totem."
_INTERFACE: Final = "runtime.config.totem.interface."
_FIGURES: Final = ("latency_samples", "latency_ave", "latency_max", "down_count")
_SET: Final = ("transport", "link_mode", "crypto_cipher", "crypto_hash")
_EFFECTIVE: Final = (
    "token",
    "consensus",
    "token_retransmits_before_loss_const",
    "hold",
    "join",
    "merge",
)
_OF_A_LINK: Final = ("knet_ping_interval", "knet_ping_timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One knet link from this node to another one, as this node sees it."""

    node: int  # the other one
    link: int  # 0 to 7
    local_address: str
    address: str
    is_enabled: bool
    is_connected: bool
    mtu_bytes: int  # 0 while it is not known
    latency_us: int | None  # running average; None before the first ping came back
    latency_us_max: int | None
    down_count: int | None  # since corosync started; every link is down once, before it comes up


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVotes:
    """One node of corosync's list and how it counts."""

    node: int
    name: str
    state: VoterState
    votes: int
    expected: int
    is_reachable: bool  # by any link


@dataclass(frozen=True, slots=True, kw_only=True)
class Qdevice:
    """A quorum device that is registered here."""

    name: str
    votes: int
    is_alive: bool
    casts_vote: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quorum:
    """The arithmetic of quorum, in votes."""

    is_quorate: bool
    expected: int
    highest_expected: int
    total: int  # present now
    needed: int
    flags: frozenset[VoteFlag]
    qdevice: Qdevice | None
    voters: tuple[NodeVotes, ...]  # ascending by node


@dataclass(frozen=True, slots=True, kw_only=True)
class Totem:
    """How the ring works; timers are the effective values."""

    transport: str
    token_ms: int
    consensus_ms: int
    retransmits_before_loss: int
    hold_ms: int
    join_ms: int
    merge_ms: int
    link_mode: str  # passive, active or rr
    crypto_cipher: str  # "none" where off
    crypto_hash: str
    link_count: int  # of this node
    ping_interval_ms: dict[int, int]  # by link
    ping_timeout_ms: dict[int, int]

    @property
    def is_encrypted(self) -> bool:
        """Say whether what goes over the links can be read by nobody else."""
        return self.crypto_cipher != "none"

    @property
    def detection_ms(self) -> int:
        """Return how long after a power cut the others form a ring without that node."""
        return self.token_ms + self.consensus_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport:
    """All of it."""

    local_node: int
    cluster_name: str
    node_names: dict[int, str]
    links: tuple[Link, ...]  # ascending by node and link; not those of this node to itself
    quorum: Quorum | None  # None: corosync.conf names no quorum provider
    totem: Totem
    nodes: tuple[NodeStatus, ...] = ()  # what `Glance` gives while no link changes


def read_report() -> LinkReport:
    """Ask corosync; blocks, without limit while corosync is stopped.

    Raises:
        CorosyncError: corosync is not there.
    """
    with CmapHandle() as cmap, CmapHandle(Map.STATISTICS) as statistics, CfgHandle() as cfg:
        names = names_of(cmap.items(NODES))
        me = cfg.local_node()
        nodes = {node: _status(cfg, node) for node in names}
        numbers = sorted({link.link for status in nodes.values() for link in status.links})
        return LinkReport(
            local_node=me,
            cluster_name=str(cmap.get("totem.cluster_name") or ""),
            node_names=names,
            links=tuple(
                link
                for node, status in nodes.items()
                if node != me
                for link in links_of(status, statistics.values(_keys_of_links(status)))
            ),
            quorum=_quorum(names, nodes),
            totem=totem_of(
                cmap.values(_keys_of_totem(numbers)),
                link_count=len(nodes[me].links) if me in nodes else 0,
                encrypted_packets=number_of(statistics.get(_ENCRYPTED)),
            ),
            nodes=tuple(nodes.values()),
        )


class Glance:
    """Asks only how links are: a hundredth of the work of a report, with a handle that is kept."""

    def __init__(self) -> None:
        self._cfg: CfgHandle | None = None

    def read(self, nodes: Iterable[int]) -> tuple[NodeStatus, ...]:
        """Return the links to these nodes; blocks as `read_report` does, one call at a time.

        Raises:
            CorosyncError: corosync is not there, or not any more; the next call connects anew.
        """
        cfg, self._cfg = self._cfg or CfgHandle(), None
        try:
            found = tuple(_status(cfg, node) for node in nodes)
        except BaseException:
            cfg.close()
            raise
        self._cfg = cfg
        return found


def _keys_of_links(status: NodeStatus) -> Iterator[str]:
    """Return what knet counts of the links to a node, as far as `links_of` reads it."""
    for link in status.links:
        for name in _FIGURES:
            yield f"{_LINKS}{status.node}.link{link.link}.{name}"


def _keys_of_totem(links: Iterable[int]) -> Iterator[str]:
    """Return the keys that `totem_of` reads."""
    yield from (f"totem.{name}" for name in _SET)
    yield from (f"{_RUNTIME}{name}" for name in _EFFECTIVE)
    for link in links:
        yield from (f"{_INTERFACE}{link}.{name}" for name in _OF_A_LINK)


def links_of(status: NodeStatus, statistics: Mapping[str, Value]) -> tuple[Link, ...]:
    """Return the links to a node, with the figures that knet keeps of them."""
    return tuple(
        Link(
            node=status.node,
            link=link.link,
            local_address=link.local_address,
            address=link.address,
            is_enabled=link.is_enabled,
            is_connected=link.is_connected,
            mtu_bytes=link.mtu_bytes,
            **_figures(
                {
                    key.removeprefix(f"{_LINKS}{status.node}.link{link.link}."): value
                    for key, value in statistics.items()
                }
            ),
        )
        for link in status.links
    )


def totem_of(values: Mapping[str, Value], *, link_count: int, encrypted_packets: int) -> Totem:
    """Return how the ring works, from the keys of totem, set and effective.

    Where no cipher is set, corosync's version decides; what knet encrypted tells.
    """
    unset = ("aes256", "sha256") if encrypted_packets else ("none", "none")
    return Totem(
        transport=str(values.get("totem.transport", "knet")),
        token_ms=number_of(values.get(f"{_RUNTIME}token")),
        consensus_ms=number_of(values.get(f"{_RUNTIME}consensus")),
        retransmits_before_loss=number_of(
            values.get(f"{_RUNTIME}token_retransmits_before_loss_const")
        ),
        hold_ms=number_of(values.get(f"{_RUNTIME}hold")),
        join_ms=number_of(values.get(f"{_RUNTIME}join")),
        merge_ms=number_of(values.get(f"{_RUNTIME}merge")),
        link_mode=str(values.get("totem.link_mode", "passive")),
        crypto_cipher=str(values.get("totem.crypto_cipher", unset[0])),
        crypto_hash=str(values.get("totem.crypto_hash", unset[1])),
        link_count=link_count,
        ping_interval_ms=_by_link(values, "knet_ping_interval"),
        ping_timeout_ms=_by_link(values, "knet_ping_timeout"),
    )


def _status(cfg: CfgHandle, node: int) -> NodeStatus:
    try:
        return cfg.node_status(node)
    except CorosyncError as error:
        if error.code not in {"CS_ERR_FAILED_OPERATION", "CS_ERR_NOT_EXIST"}:
            raise
        # removed by a reload meanwhile, or a transport without knet
        return NodeStatus(node=node, is_reachable=False, links=())


def _figures(values: Mapping[str, Value]) -> dict[str, int | None]:
    has_latency = number_of(values.get("latency_samples")) > 0
    down_count = values.get("down_count")
    return {
        "latency_us": number_of(values.get("latency_ave")) if has_latency else None,
        "latency_us_max": number_of(values.get("latency_max")) if has_latency else None,
        "down_count": None if down_count is None else number_of(down_count),
    }


def _by_link(values: Mapping[str, Value], name: str) -> dict[int, int]:
    found = {}
    for key, value in values.items():
        link, _, last = key.removeprefix(_INTERFACE).partition(".")
        if key.startswith(_INTERFACE) and last == name:
            found[int(link)] = number_of(value)
    return dict(sorted(found.items()))


def _quorum(names: Mapping[int, str], nodes: Mapping[int, NodeStatus]) -> Quorum | None:
    with QuorumHandle() as quorum:
        if not quorum.has_provider:
            return None
    with VotequorumHandle() as votequorum:
        mine = votequorum.info()
        voters = tuple(
            _voter(votequorum, node, name, is_reachable=nodes[node].is_reachable)
            for node, name in names.items()
        )
    return Quorum(
        is_quorate=VoteFlag.QUORATE in mine.flags,
        expected=mine.expected,
        highest_expected=mine.highest_expected,
        total=mine.total,
        needed=mine.needed,
        flags=mine.flags,
        qdevice=_qdevice(mine),
        voters=voters,
    )


def _voter(votequorum: VotequorumHandle, node: int, name: str, *, is_reachable: bool) -> NodeVotes:
    try:
        info = votequorum.info(node)
    except CorosyncError as error:
        if error.code != "CS_ERR_NOT_EXIST":
            raise
        state, votes, expected = VoterState.UNKNOWN, 0, 0  # never seen since corosync started
    else:
        state, votes, expected = info.state, info.votes, info.expected
    return NodeVotes(
        node=node,
        name=name,
        state=state,
        votes=votes,
        expected=expected,
        is_reachable=is_reachable,
    )


def _qdevice(info: VoteInfo) -> Qdevice | None:
    if VoteFlag.QDEVICE_REGISTERED not in info.flags:
        return None
    return Qdevice(
        name=info.qdevice_name,
        votes=info.qdevice_votes,
        is_alive=VoteFlag.QDEVICE_ALIVE in info.flags,
        casts_vote=VoteFlag.QDEVICE_CAST_VOTE in info.flags,
    )
