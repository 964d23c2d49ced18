# SPDX-License-Identifier: Apache-2.0
"""Reads the batches that the C side of the binding fills: bytes in, one value per callback out.

A batch is a row of records, each a head (`rgmgr_head` of cffi_build/corosync.csrc.c) and a body of
as many bytes as the head says. Pure, and the one place beside the C text that knows the layout.
"""

import functools
import struct
from collections.abc import Callable
from typing import Final

from rgmgr.adapters.corosync.events import (
    GroupMember,
    QuorumChanged,
    RingId,
    RingNodesChanged,
    ShutdownRequested,
    ShutdownUrgency,
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
from rgmgr.errors import InvariantViolation

_HEAD: Final = struct.Struct("=6IQ")  # kind, bytes of the body, four values, a long value
_HEAD_BYTES: Final = _HEAD.size
_DELIVERY: Final = 1
_REASONS: Final = {
    1: Reason.JOIN,
    2: Reason.LEAVE,
    3: Reason.NODEDOWN,
    4: Reason.NODEUP,
    5: Reason.PROCDOWN,
}
_VOTER_STATES: Final = {1: VoterState.MEMBER, 2: VoterState.DEAD, 3: VoterState.LEAVING}
_FORCED: Final = 1  # COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS
NUMBERS: Final = {  # cmap_value_types_t
    1: "=b",
    2: "=B",
    3: "=h",
    4: "=H",
    5: "=i",
    6: "=I",
    7: "=q",
    8: "=Q",
    9: "=f",
    10: "=d",
}
STRING: Final = 11
_DELETED: Final = 1  # CMAP_TRACK_DELETE

_Values = tuple[int, int, int, int, int]  # four values and the long one


def read_batch(data: memoryview | bytes) -> list[RawEvent]:
    """Return the events of a batch, in order; nothing of them refers to `data`.

    Raises:
        InvariantViolation: the C side wrote what this side does not know.
    """
    events: list[RawEvent] = []
    append, unpack = events.append, _HEAD.unpack_from
    position, end = 0, len(data)
    while position < end:
        kind, size, first, second, third, fourth, number = unpack(data, position)
        begin = position + _HEAD_BYTES
        position = begin + size
        body = bytes(data[begin:position])
        if kind == _DELIVERY:
            append(Delivery(_member(first, second), body))
        else:
            append(_read(kind, (first, second, third, fourth, number), body))
    return events


def value_of(kind: int, data: bytes) -> Value:
    """Return a value of cmap by its `cmap_value_types_t`; what is no number or text stays bytes."""
    if kind in NUMBERS:
        found: int | float = struct.unpack(NUMBERS[kind], data)[0]
        return found
    if kind == STRING:
        return data.split(b"\0", 1)[0].decode(errors="replace")
    return data


def voter_state(state: int) -> VoterState:
    """Return the word for a node state of votequorum."""
    return _VOTER_STATES.get(state, VoterState.UNKNOWN)


@functools.lru_cache(maxsize=1024)
def _member(node: int, pid: int) -> GroupMember:
    return GroupMember(node, pid)


def _read(kind: int, values: _Values, body: bytes) -> RawEvent:
    reader = _READERS.get(kind)
    if reader is None:
        raise InvariantViolation(f"the binding wrote a record of kind {kind}; build it anew")
    return reader(values, body)


def _too_long(values: _Values, _body: bytes) -> TooLong:
    return TooLong(GroupMember(values[0], values[1]), values[4])


def _group(values: _Values, body: bytes) -> GroupChange:
    entries = list(struct.iter_unpack("=3I", body))
    members, left = values[0], values[0] + values[1]
    return GroupChange(
        members=tuple(GroupMember(node, pid) for node, pid, _reason in entries[:members]),
        left=_changes(entries[members:left]),
        joined=_changes(entries[left:]),
    )


def _changes(entries: list[tuple[int, ...]]) -> tuple[Change, ...]:
    return tuple(
        Change(GroupMember(node, pid), _REASONS.get(reason, Reason.UNKNOWN))
        for node, pid, reason in entries
    )


def _ring(values: _Values, body: bytes) -> RingChange:
    return RingChange(RingId(values[0], values[4]), _nodes(body))


def _verdict(values: _Values, body: bytes) -> QuorumChanged:
    return QuorumChanged(RingId(values[0], values[4]), bool(values[2]), _nodes(body))


def _ring_nodes(values: _Values, body: bytes) -> RingNodesChanged:
    members, joined = 4 * values[1], 4 * (values[1] + values[2])
    return RingNodesChanged(
        ring=RingId(values[0], values[4]),
        nodes=_nodes(body[:members]),
        joined=_nodes(body[members:joined]),
        left=_nodes(body[joined:]),
    )


def _voters(values: _Values, body: bytes) -> VotersChanged:
    found = sorted(struct.iter_unpack("=2I", body))
    states = tuple((node, voter_state(state)) for node, state in found)
    return VotersChanged(bool(values[0]), states)


def _expected(values: _Values, _body: bytes) -> ExpectedVotesChanged:
    return ExpectedVotesChanged(values[0])


def _shutdown(values: _Values, _body: bytes) -> ShutdownRequested:
    urgency = ShutdownUrgency.FORCED if values[0] == _FORCED else ShutdownUrgency.ASKED
    return ShutdownRequested(urgency)


def _key(values: _Values, body: bytes) -> KeyChanged:
    event, key_size, kind = values[0], values[1], values[2]
    key = body[:key_size].decode(errors="replace")
    return KeyChanged(key, None if event == _DELETED else value_of(kind, body[key_size:]))


def _nodes(body: bytes) -> tuple[int, ...]:
    return tuple(sorted(node for (node,) in struct.iter_unpack("=I", body)))


_READERS: Final[dict[int, Callable[[_Values, bytes], RawEvent]]] = {
    2: _too_long,
    3: _group,
    4: _ring,
    5: _verdict,
    6: _ring_nodes,
    7: _voters,
    8: _expected,
    9: _shutdown,
    10: _key,
}
