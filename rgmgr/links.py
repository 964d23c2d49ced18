# SPDX-License-Identifier: Apache-2.0
"""What an administrator may see of corosync on one node: links, votes, timers, and warnings.

Owns the schema behind `rgmgr status --links --json` and the properties Links, Quorum and Totem on
the bus, and says what in them is unwise. Every node sees its own links only. Pure; `seen` is the
entry point. Sources of the limits: measurements in docs/corosync-conf.md, votequorum(5).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from rgmgr.view import Notice

SCHEMA_VERSION = 1
"""Raised when a field changes its meaning or goes away; a new field does not raise it."""

LINK_DOWN = "link-down"
"""Code of the warning that comes and goes with a link."""

DETECTION_MS_MAX = 10_000
TOKEN_MS_MIN = 500
PING_TIMEOUT_MS_MIN = 700
_TWO = 2
_NEW_FILE = "'rgmgr corosync-conf' writes a corosync.conf that is right"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One link from this node to another, as this node sees it."""

    node: str
    link: int
    local_address: str
    address: str
    is_connected: bool
    latency_us: int | None = None  # running average; None: not known
    down_count: int | None = None  # how often it was lost since corosync started


@dataclass(frozen=True, slots=True, kw_only=True)
class VoterView:
    """One node of corosync's node list."""

    node: str
    state: str  # member, dead, leaving, unknown
    votes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QuorumView:
    """The arithmetic: quorate while `total` is not below `needed`."""

    is_quorate: bool
    expected: int
    total: int
    needed: int
    flags: tuple[str, ...]  # votequorum's words, such as two_node, wait_for_all
    qdevice: str  # its name; empty: there is none
    qdevice_votes: int
    is_qdevice_alive: bool
    voters: tuple[VoterView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TotemView:
    """The effective values, which are not always those of corosync.conf."""

    token_ms: int
    consensus_ms: int
    detection_ms: int  # from a power cut to the new membership
    ping_timeout_ms: int  # the shortest of all links; 0: not known
    link_count: int
    link_mode: str  # passive, active, rr
    crypto_cipher: str  # none: off
    crypto_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CorosyncView:
    """All of it. Without `totem`, `fault` says why nothing is known."""

    schema: int = SCHEMA_VERSION
    node: str = ""  # whose links these are
    fault: str = ""
    totem: TotemView | None = None
    quorum: QuorumView | None = None
    links: tuple[LinkView, ...] = ()  # by node and link
    warnings: tuple[Notice, ...] = ()


def seen(view: CorosyncView) -> CorosyncView:
    """Return the view with the warnings that belong to it."""
    return replace(view, warnings=tuple(_warnings(view)))


def unknown(fault: str) -> CorosyncView:
    """Return the view of a node that cannot ask its corosync."""
    return CorosyncView(fault=fault)


def tie_breaker(view: CorosyncView) -> str:
    """Say what decides between two halves of the cluster; empty: nothing does."""
    quorum = view.quorum
    if quorum is None:
        return ""
    if quorum.qdevice:
        state = "votes" if quorum.is_qdevice_alive else "DOES NOT VOTE"
        return f"ties: arbiter {quorum.qdevice} {state}"
    is_set = "auto_tie_breaker" in quorum.flags
    return "ties: one half is chosen by its nodes (auto_tie_breaker)" if is_set else ""


def encode_corosync(view: CorosyncView) -> str:
    """Return the view as JSON."""
    return msgspec.json.encode(view).decode()


def properties(view: CorosyncView) -> dict[str, object]:
    """Return what the bus shows of a view, by property name; what is not known is left out."""
    quorum = _fields(view.quorum)
    voters = quorum.pop("voters", [])
    return {
        "LocalNode": view.node,
        "CorosyncFault": view.fault,
        "Totem": _fields(view.totem),
        "Quorum": quorum,
        "Voters": voters,
        "Links": [_fields(link) for link in view.links],
        "CorosyncWarnings": [_fields(warning) for warning in view.warnings],
    }


def from_properties(facts: Mapping[str, object]) -> CorosyncView:
    """Read what `properties` wrote; properties and fields of a newer version are skipped.

    Raises:
        ValueError: they do not fit, or some are missing.
    """
    missing = [name for name in properties(CorosyncView()) if name not in facts]
    if missing:
        raise ValueError(f"{missing[0]} is missing")
    quorum = facts["Quorum"] if isinstance(facts["Quorum"], dict) else {}
    fields = {
        "node": facts["LocalNode"],
        "fault": facts["CorosyncFault"],
        "totem": facts["Totem"] or None,
        "quorum": {**quorum, "voters": facts["Voters"]} if quorum else None,
        "links": facts["Links"],
        "warnings": facts["CorosyncWarnings"],
    }
    return msgspec.convert(fields, CorosyncView)


def _fields(part: object) -> dict[str, object]:
    built: dict[str, object] = msgspec.to_builtins(part) or {}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in built.items()
        if value is not None
    }


def _warnings(view: CorosyncView) -> Iterator[Notice]:
    if view.totem is not None:
        yield from _of_links(view.totem, view.links)
        yield from _of_crypto(view.totem)
        yield from _of_timers(view.totem)
        yield from _of_quorum(view)


def _of_links(totem: TotemView, links: tuple[LinkView, ...]) -> Iterator[Notice]:
    if totem.link_count == 1:
        text = (
            "nodes have a single link: when it breaks they lose each other and fence;"
            f" give every node a second address; {_NEW_FILE}"
        )
        yield Notice("single-link", text)
    elif totem.link_mode == "passive" and totem.link_count > 1:
        text = "link_mode is passive: losing the link in use stalls the cluster; set it to active"
        yield Notice("passive-links", text)
    reached = {link.node for link in links if link.is_connected}
    for link in links:
        if not link.is_connected and link.node in reached:  # else the whole node is away
            text = (
                f"link {link.link} to {link.node} ({link.local_address} to {link.address}) is down;"
                " look at the cable, the switch and the firewall (UDP)"
            )
            yield Notice(LINK_DOWN, text)


def _of_crypto(totem: TotemView) -> Iterator[Notice]:
    if totem.crypto_cipher == "none" and totem.crypto_hash == "none":
        text = (
            "traffic is neither encrypted nor authenticated: whoever reaches the port can join;"
            f" {_NEW_FILE}"
        )
        yield Notice("no-encryption", text)
    elif totem.crypto_cipher == "none":
        yield Notice(
            "no-encryption",
            "traffic is not encrypted: names, states and requests can be read on the network;"
            " set crypto_cipher to aes256",
        )


def _of_timers(totem: TotemView) -> Iterator[Notice]:
    if totem.detection_ms > DETECTION_MS_MAX:
        text = (
            f"a dead node is noticed after {totem.detection_ms / 1000:.1f} s only (token"
            f" {totem.token_ms} ms and consensus {totem.consensus_ms} ms); {_NEW_FILE}"
        )
        yield Notice("slow-detection", text)
    if totem.token_ms < TOKEN_MS_MIN:
        text = (
            f"the token of {totem.token_ms} ms takes a busy node for a dead one; use 1000 or more"
        )
        yield Notice("short-token", text)
    if 0 < totem.ping_timeout_ms < PING_TIMEOUT_MS_MIN:
        text = (
            f"knet_ping_timeout is {totem.ping_timeout_ms} ms: links of a busy node flap;"
            " set it to 2000, and knet_ping_interval to 200"
        )
        yield Notice("short-ping-timeout", text)


def _of_quorum(view: CorosyncView) -> Iterator[Notice]:
    quorum = view.quorum
    if quorum is None:
        text = "corosync has no quorum provider and would always say quorate; set 'provider: "
        yield Notice("no-quorum-provider", f"{text}corosync_votequorum' in its quorum section")
        return
    if quorum.qdevice and not quorum.is_qdevice_alive:
        text = f"the quorum device {quorum.qdevice!r} does not vote; is its host reachable?"
        yield Notice("qdevice-down", text)
    if "two_node" in quorum.flags and "wait_for_all" not in quorum.flags:
        text = (
            "two_node without wait_for_all: after a full outage each node may start alone and"
            " fence the other; remove 'wait_for_all: 0' from corosync.conf"
        )
        yield Notice("two-node-unsafe", text)
    if len(quorum.voters) == _TWO and "two_node" not in quorum.flags and not quorum.qdevice:
        text = "two nodes without two_node or a quorum device: losing one stops the other as well;"
        yield Notice("two-node-missing", f"{text} set 'two_node: 1' in the quorum section")
