# SPDX-License-Identifier: Apache-2.0
"""Messages and the durable state to bytes and back.

The body of a frame (`frame.py`) is msgpack of the core's own dataclasses, field names included:
one schema, in `rgmgr.core`. An `Operation` carries its change as a tag and a nested body. The
bytes are deterministic: dictionaries are sorted by key, but for the services of a state, whose
order means something.

Rules for growing, which keep members of two versions in one cluster:

* The numbers in `_KIND_BY_MESSAGE` and `_TAG_BY_BODY` are for ever: append, never reuse.
* A new field needs a default; who does not know it ignores it.
* What an old kind, tag, field or word of an enumeration means never changes, and a new word is
  sent only once the installed protocol allows it; anything else needs a new group name.
* Either raises the protocol (`rgmgr.core.messages`); ADR 24 says when an old member is refused.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, TypeVar, cast

import msgspec

from rgmgr.core.messages import (
    Ack,
    AwaitOver,
    Body,
    ConfigProposed,
    FailbackDue,
    FenceDue,
    FenceFailed,
    FenceRequest,
    Goodbye,
    GraceExpired,
    HealthSettled,
    Hello,
    Install,
    JoinDelayOver,
    Leaving,
    LinksSeen,
    MaintenanceRequest,
    Message,
    NodeFenced,
    Operation,
    PathsTested,
    PowerRestored,
    Reached,
    Request,
    RetryDue,
    ServiceFailed,
    ServiceStarted,
    ServiceStartFailed,
    ServiceStayed,
    ServiceStopFailed,
    ServiceStopped,
    TermOver,
    Tick,
)
from rgmgr.core.model import ClusterState
from rgmgr.errors import WireError, WireFault
from rgmgr.wire.frame import Flag, pack, unpack

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

MESSAGE_MAGIC: Final = b"RGMG"
STATE_MAGIC: Final = b"RGST"
STATE_KIND: Final = 1

_KIND_BY_MESSAGE: Final[dict[type[Message], int]] = {
    Hello: 1,
    Install: 2,
    Operation: 3,
    Ack: 4,
    Tick: 5,
}
_TAG_BY_BODY: Final[dict[type[Body], int]] = {
    Request: 1,
    ServiceStarted: 2,
    ServiceStartFailed: 3,
    ServiceStopped: 4,
    ServiceStopFailed: 5,
    ServiceFailed: 6,
    FenceDue: 7,
    NodeFenced: 8,
    FenceFailed: 9,
    GraceExpired: 10,
    JoinDelayOver: 11,
    Leaving: 12,
    Goodbye: 13,
    ConfigProposed: 14,
    FenceRequest: 15,
    PowerRestored: 16,
    PathsTested: 17,
    FailbackDue: 18,
    Reached: 19,
    HealthSettled: 22,
    MaintenanceRequest: 30,
    TermOver: 31,
    AwaitOver: 20,
    RetryDue: 21,
    LinksSeen: 23,
    ServiceStayed: 24,
}
_MAY_BE_IGNORED: Final = (Ack, Tick)


class _OperationOnWire(msgspec.Struct):
    """An operation whose body is still bytes: which type it has, its tag tells."""

    epoch: int
    incarnation: int
    sequence: int
    first_epoch: int
    at_ms: int
    tag: int
    body: msgspec.Raw


T = TypeVar("T")

_encoder: Final = msgspec.msgpack.Encoder()
_operation_decoder: Final = msgspec.msgpack.Decoder(_OperationOnWire)
_state_decoder: Final = msgspec.msgpack.Decoder(ClusterState)
_message_decoders: Final[dict[int, msgspec.msgpack.Decoder[Message]]] = {
    kind: msgspec.msgpack.Decoder(message)
    for message, kind in _KIND_BY_MESSAGE.items()
    if message is not Operation
}
_body_decoders: Final[dict[int, msgspec.msgpack.Decoder[Body]]] = {
    tag: msgspec.msgpack.Decoder(body) for body, tag in _TAG_BY_BODY.items()
}


def encode(message: Message) -> bytes:
    """Return the bytes of a message; equal messages have equal bytes.

    Raises:
        WireError: it is too large, or holds text or a number that has no encoding.
    """
    flags = Flag(0) if isinstance(message, _MAY_BE_IGNORED) else Flag.MUST_UNDERSTAND
    return pack(MESSAGE_MAGIC, _KIND_BY_MESSAGE[type(message)], flags, _encode(message))


def decode(payload: bytes) -> Message:
    """Return the message in these bytes, which may come from anybody.

    Raises:
        WireError: there is none. Its `fault` says whether it may be dropped.
    """
    frame = unpack(MESSAGE_MAGIC, payload)
    if frame.kind == _KIND_BY_MESSAGE[Operation]:
        return _decode_operation(frame.body, frame.flags)
    decoder = _message_decoders.get(frame.kind)
    if decoder is None:
        raise _unknown(f"message kind {frame.kind}", frame.flags)
    return _decode(decoder, frame.body)


def encode_state(state: ClusterState) -> bytes:
    """Return the bytes of a state for the disk.

    Raises:
        WireError: it is too large, or holds text or a number that has no encoding.
    """
    return pack(STATE_MAGIC, STATE_KIND, Flag.MUST_UNDERSTAND, _encode(state))


def decode_state(payload: bytes) -> ClusterState:
    """Return the state in these bytes, which may be torn.

    Raises:
        WireError: there is none.
    """
    frame = unpack(STATE_MAGIC, payload)
    if frame.kind != STATE_KIND:
        raise _unknown(f"state format {frame.kind}", frame.flags)
    return _decode(_state_decoder, frame.body)


def _operation_on_wire(operation: Operation) -> dict[str, object]:
    return {
        "epoch": operation.epoch,
        "incarnation": operation.incarnation,
        "sequence": operation.sequence,
        "first_epoch": operation.first_epoch,
        "at_ms": operation.at_ms,
        "tag": _TAG_BY_BODY[type(operation.body)],
        "body": _plain(operation.body),
    }


def _decode_operation(payload: bytes, flags: Flag) -> Operation:
    wire = _decode(_operation_decoder, payload)
    decoder = _body_decoders.get(wire.tag)
    if decoder is None:
        raise _unknown(f"operation tag {wire.tag}", flags)
    return Operation(
        epoch=wire.epoch,
        incarnation=wire.incarnation,
        sequence=wire.sequence,
        first_epoch=wire.first_epoch,
        at_ms=wire.at_ms,
        body=_decode(decoder, bytes(wire.body)),
    )


def _unknown(what: str, flags: Flag) -> WireError:
    must = bool(flags & Flag.MUST_UNDERSTAND)
    fault = WireFault.NOT_UNDERSTOOD if must else WireFault.IGNORABLE
    return WireError(f"{what}, which this version of rgmgr does not know", fault)


def _encode(value: Message | ClusterState) -> bytes:
    try:
        plain = _operation_on_wire(value) if isinstance(value, Operation) else _plain(value)
        return _encoder.encode(plain)
    except (msgspec.MsgspecError, OverflowError, UnicodeEncodeError, RecursionError) as error:
        raise WireError(f"cannot be encoded: {error}") from error


def _decode(decoder: msgspec.msgpack.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, OverflowError) as error:
        raise WireError(f"{len(body)} bytes do not fit the schema: {error}") from error
    except RecursionError:
        raise WireError(f"{len(body)} bytes are nested too deeply") from None


# Taken as they are by the encoder. So is an enumeration, as its value.
_LEAVES: Final = frozenset({int, str, bool, type(None)})


def _plain(value: object) -> object:
    """Return a value in builtin types, with dictionaries in the order in which they are sent."""
    if isinstance(value, enum.Enum):
        return value
    if isinstance(value, tuple):
        return [item if type(item) in _LEAVES else _plain(item) for item in value]
    if isinstance(value, dict):
        return _plain_items((key, value[key]) for key in sorted(value))
    names = cast("DataclassInstance", value).__dataclass_fields__
    if not isinstance(value, ClusterState):
        return _plain_items((name, getattr(value, name)) for name in names)
    return _plain_items((name, getattr(value, name)) for name in names if name != "services") | {
        "services": _plain_items(value.services.items())
    }


def _plain_items(items: Iterable[tuple[str | int, object]]) -> dict[str | int, object]:
    # leaves are most of a state: no call for each of them
    return {key: item if type(item) in _LEAVES else _plain(item) for key, item in items}
