# SPDX-License-Identifier: Apache-2.0
"""The whole cluster on one screen: what is wrong first, then nodes, then services.

Loads no library, for what an operator and scripts ask most should come at once. Colour is never
the only carrier of a fact: what is bad is in capitals. Nothing is cut off; long text wraps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rgmgr.cli.columns import Cell, Piece, listing, wrapped
from rgmgr.cli.times import duration

if TYPE_CHECKING:
    from rgmgr.fence_view import ProofView
    from rgmgr.view import NodeView, ServiceView, Status

UNKNOWN = "unknown"
"""`view.NODE_UNKNOWN`, which takes long to load."""
_GOOD = ("online", "started", "works")
_BAD = ("unclean", "failed", "fails", "lies")
_PROOFS = {
    "proven": "proven down by",
    "rebooted": "seen rebooted by",
    "timed": "taken for down after its watchdog's time by",
    "human": "declared down by a human on",
    "none": "assumed down without proof by",
}
_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_MARK = "!! "


def overview(status: Status, width: int) -> Iterator[Piece]:
    """Yield the screen for a terminal of this width, piece by piece."""
    yield from _heading(status)
    yield Piece("\n")
    yield from _notices(status, width)
    yield Piece("\n")
    yield from _nodes(status, width)
    if status.services:
        yield Piece("\n")
        yield from _services(status, width)


def in_colour(pieces: Iterable[Piece]) -> str:
    """Return what a terminal shows as these pieces."""
    return "".join(
        f"\033[{';'.join(_CODES[word] for word in style.split())}m{text}\033[0m" if style else text
        for text, style in pieces
    )


def plain(pieces: Iterable[Piece]) -> str:
    """Return the text alone."""
    return "".join(piece.text for piece in pieces)


def shown(word: str) -> Piece:
    """Return a state or a status as it is shown everywhere."""
    if word in _BAD:
        return Piece(word.upper(), "bold red")
    return Piece(word, "green" if word in _GOOD else "yellow")


def node_status(node: NodeView) -> Cell:
    """Return what a node is, and what about it deserves attention."""
    words = [shown(node.status)]
    if node.is_local:
        words.append(Piece("this node"))
    if not node.is_configured:
        words.append(Piece("NOT CONFIGURED", "bold red"))
    words += [Piece(word) for word in _of_ring(node)]
    if node.status == "detached":
        words.append(Piece("its daemon is gone, services go on"))
    if node.is_cut_off:
        words.append(Piece("its paths are still cut, it gets no service"))
    if node.standby:
        words.append(Piece("STANDBY", "bold yellow"))
    if node.fencing:
        words.append(Piece(_fencing(node)))
    if node.proof and node.status == "fenced":
        words.append(Piece(proof_text(node.proof)))
    return tuple(piece for word in words for piece in (Piece(", "), word))[1:]


def proof_text(proof: ProofView) -> str:
    """Say why a node is believed to be down."""
    detail = f", {proof.detail}" if proof.detail else ""
    return f"{_PROOFS.get(proof.kind, proof.kind)} {proof.by} {duration(proof.age_ms)} ago{detail}"


def _heading(status: Status) -> Iterator[Piece]:
    yield Piece(status.cluster, "bold")
    yield Piece(f": version {status.config_version}, epoch {status.epoch}, ")
    yield Piece("quorate") if status.is_quorate else Piece("NO QUORUM", "bold red")
    yield Piece(f", seen by {status.node}" if status.node else "")


def notices_of(status: Status) -> list[str]:
    """Return what must not be overlooked."""
    texts = [notice.text for notice in status.notices]
    if status.note and not status.is_connected:  # what the daemon waits for, and where to look
        texts.insert(0, status.note)
    return texts


def _notices(status: Status, width: int) -> Iterator[Piece]:
    room = max(width - len(_MARK), 1)
    for text in notices_of(status):
        cell = (Piece(text, "bold"),)
        mark = Piece(_MARK, "bold red")
        for line in [cell] if len(text) <= room else wrapped(cell, room):
            yield mark
            yield from line
            yield Piece("\n")
            mark = Piece(" " * len(_MARK))


def _nodes(status: Status, width: int) -> Iterator[Piece]:
    rows = [
        (
            (Piece(node.name),),
            (Piece(str(node.id)),),
            node_status(node),
            (Piece(str(node.services) if node.services else "-"),),
        )
        for node in status.nodes
    ]
    return listing(("NODE", "ID", "STATUS", "SERVICES"), rows, width, wide=2, right=(1, 3))


def _of_ring(node: NodeView) -> Iterator[str]:
    """Yield where corosync sees the node otherwise than its status says."""
    if node.status in ("online", "leaving") and not node.is_in_ring:
        yield "not in the ring"
    if node.status in ("offline", "fenced", "unseen") and node.is_in_ring:
        yield "in the ring, its daemon does not take part"
    if node.status == UNKNOWN and node.is_in_ring:
        yield "in the ring"


def _fencing(node: NodeView) -> str:
    case = node.fencing
    if case is not None and case.withheld:
        return f"not being fenced: {case.withheld}"
    if case is None or case.by is None:
        return "waiting to be fenced"
    fault = f" (last fault: {case.last_fault})" if case.last_fault else ""
    return f"being fenced by {case.by}, attempt {case.attempt}{fault}"


def _services(status: Status, width: int) -> Iterator[Piece]:
    rows = [
        (
            (Piece(service.name),),
            _state(service),
            (Piece(_owner(service)),),
            (Piece(duration(service.age_ms)),),
            (Piece(service.because or ""),),
        )
        for service in status.services
    ]
    return listing(("SERVICE", "STATE", "OWNER", "FOR", "BECAUSE"), rows, width, wide=4)


def _state(service: ServiceView) -> Cell:
    word, style = shown(service.state)
    return (Piece(" ".join([word, *(f"[{flag}]" for flag in service.flags)]), style),)


def _owner(service: ServiceView) -> str:
    return service.owner or (f"({service.last_owner})" if service.last_owner else "-")
