# SPDX-License-Identifier: Apache-2.0
"""Whose state an epoch is built on, judged by what all have said hello with."""

from __future__ import annotations

from collections.abc import Mapping

from domains.model import NodeId
from rgmgr.core.durable import PAIR
from rgmgr.core.messages import Hello


def candidates(hellos: Mapping[NodeId, Hello]) -> tuple[NodeId, ...]:
    """Return whose state may be the one to build on.

    An epoch in which more than half of the nodes live wins over any number: the majority that kept
    a later one would have one of them, so it was not kept, or a disk was lost since. Nothing that
    these have begun may be taken back. By whatever configuration is known, there are no more nodes.
    """
    count = max((len(hello.agreed_nodes) for hello in hellos.values()), default=0)
    lives: dict[tuple[int, int], list[NodeId]] = {}
    for n, hello in hellos.items():
        if hello.is_live and n in hello.agreed_nodes:
            lives.setdefault((hello.epoch, hello.epoch_ring_seq), []).append(n)
    kept = next((alike for alike in lives.values() if 2 * len(alike) > count > PAIR), None)
    return tuple(kept) if kept else not_outlived(hellos)


def not_outlived(hellos: Mapping[NodeId, Hello]) -> tuple[NodeId, ...]:
    """Return whose state may count, whatever their numbers.

    Two nodes that part both go on, and their numbers tell nothing. What another state knows of
    the end of the boot in which a state was agreed does; first what is known for certain. Where
    each knows of the other one's end, a device has lied to the one that sees that boot go on.
    """
    for is_outlived in (_has_outlived, _has_survived, _may_have_outlived):
        kept = tuple(
            n
            for n, hello in hellos.items()
            if not any(is_outlived(other, n, hello) for other in hellos.values())
        )
        if 0 < len(kept) < len(hellos):
            return kept
    return tuple(hellos)


def _has_outlived(other: Hello, node: NodeId, hello: Hello) -> bool:
    """Tell whether a state was agreed in a boot that the other one knows to be over, by proof.

    One of two nodes is dropped from the configuration only when it is down.
    """
    is_dropped = (
        len(hello.agreed_nodes) == PAIR
        and other.epoch > 0
        and other.agreed_version > hello.agreed_version
        and node not in other.agreed_nodes
    )
    is_over = hello.state_boot_id and other.ended.get(node) == hello.state_boot_id
    return is_dropped or bool(is_over)


def _has_survived(other: Hello, node: NodeId, hello: Hello) -> bool:
    """Tell whether a state's boot is over and that of the other one, which knows it, goes on."""
    goes_on = other.state_boot_id == other.boot_id
    is_over = hello.state_boot_id != hello.boot_id
    return goes_on and is_over and _has_outlived(other, node, hello)


def _may_have_outlived(other: Hello, node: NodeId, hello: Hello) -> bool:
    """Tell whether the other state has proof of the end of a boot, without knowing of which.

    It began from a spoilt disk, and had not yet met the node. Of two, that has booted since.
    """
    has_booted = hello.state_boot_id not in ("", hello.boot_id)
    is_pair = len(other.agreed_nodes) == PAIR
    return is_pair and has_booted and not other.ended.get(node, hello.boot_id)


def recency(node: NodeId, hello: Hello) -> tuple[int, int, int, bool, int, int]:
    """Order states by age.

    An INSTALL that only one side of a parting ring saw has the same epoch as the one that the
    other side made in its next ring; the next ring has the greater sequence, and the quorum.
    """
    return (
        hello.epoch,
        hello.epoch_ring_seq,
        hello.applied,
        hello.is_live,
        hello.config_version,
        -node,
    )
