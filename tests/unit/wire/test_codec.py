# SPDX-License-Identifier: Apache-2.0
"""The bytes that members of different versions must agree on."""

from __future__ import annotations

import enum
import struct
import textwrap
import zlib
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from domains.model import NodeId, ServiceName
from rgmgr.core.messages import (
    PROTOCOL_MAX,
    Ack,
    Body,
    Message,
    Operation,
    ServiceStarted,
    ServiceStartFailed,
)
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import ResourceSpec
from rgmgr.errors import RgmgrError, WireError, WireFault
from rgmgr.wire import codec, frame
from rgmgr.wire.codec import decode, decode_state, encode, encode_state

if TYPE_CHECKING:
    from tests.conftest import Golden


def example(hint: Any, name: str = "x") -> Any:  # noqa: PLR0911 - one return for each kind of type
    """Return one fixed value of a type: numbers from the field's name, words the name itself."""
    if hint is NoneType or hint == tuple[ResourceSpec, ...]:
        return None if hint is NoneType else ()
    if hint in (int, NodeId):
        return len(name) if hint is NodeId else sum(name.encode())
    if hint is bool:
        return True
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[-1]
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{f.name: example(hints[f.name], f.name) for f in fields(hint)})
    arguments = get_args(hint)
    if get_origin(hint) in (Union, UnionType):
        return example(arguments[0], name)
    if get_origin(hint) is dict:
        return {example(arguments[0], name): example(arguments[1], name)}
    if get_origin(hint) is tuple:
        return (example(arguments[0], name),)
    return hint(name) if callable(hint) else name


def operation(body: Any) -> Operation:
    return Operation(epoch=7, incarnation=8, sequence=9, first_epoch=6, at_ms=123, body=body)


MESSAGES = {kind.__name__: example(kind) for kind in get_args(Message) if kind is not Operation}
OPERATIONS = {kind.__name__: operation(example(kind)) for kind in get_args(Body)}
KEPT = MESSAGES | {f"Operation-{name}": value for name, value in OPERATIONS.items()}


def as_hex(payload: bytes) -> str:
    return "\n".join(textwrap.wrap(payload.hex(), 64)) + "\n"


@pytest.mark.parametrize("name", KEPT)
def test_the_bytes_of_a_message_never_change(name: str, golden: Golden) -> None:
    """A changed file here means that two versions in one cluster do not understand each other."""
    payload = encode(KEPT[name])
    golden(f"wire/{name}.hex", as_hex(payload))
    assert decode(payload) == KEPT[name]


def test_the_bytes_of_a_state_never_change(golden: Golden) -> None:
    state = example(ClusterState)
    payload = encode_state(state)
    golden("wire/ClusterState.hex", as_hex(payload))
    assert decode_state(payload) == state


def vocabulary(hint: Any, found: dict[str, str]) -> None:
    """Collect what a type is made of, and all that this is made of."""
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        found[hint.__name__] = " ".join(sorted(str(word.value) for word in hint))
    elif is_dataclass(hint) and hint.__name__ not in found:  # type: ignore[union-attr]
        hints = get_type_hints(hint)
        found[hint.__name__] = " ".join(f.name for f in fields(hint))  # type: ignore[union-attr]
        for each in hints.values():
            vocabulary(each, found)
    for part in get_args(hint):
        vocabulary(part, found)


def test_a_protocol_keeps_its_words(golden: Golden) -> None:
    """After a release a difference here means: raise the protocol, and see docs/adr/0024."""
    found: dict[str, str] = {}
    for message in (*get_args(Message), *get_args(Body)):
        vocabulary(message, found)
    lines = [f"{name}: {words}" for name, words in sorted(found.items())]

    golden(f"wire/protocol-{PROTOCOL_MAX}.txt", "\n".join(lines) + "\n")


def test_the_numbers_of_kinds_and_tags_never_change(golden: Golden) -> None:
    tables = (codec._KIND_BY_MESSAGE, codec._TAG_BY_BODY)
    lines = [f"{number} {kind.__name__}" for table in tables for kind, number in table.items()]
    golden("wire/numbers.txt", "\n".join(lines) + "\n")


def test_every_message_and_body_has_its_own_number() -> None:
    for table, union in ((codec._KIND_BY_MESSAGE, Message), (codec._TAG_BY_BODY, Body)):
        assert set(table) == set(get_args(union))
        assert len(set(table.values())) == len(table)


def framed(kind: int, flags: int, body: bytes, magic: bytes = b"RGMG", version: int = 1) -> bytes:
    fixed = struct.pack("!4sBBHI", magic, version, kind, flags, len(body))
    return fixed + struct.pack("!I", zlib.crc32(body, zlib.crc32(fixed))) + body


def refusal(payload: bytes) -> WireError:
    with pytest.raises(WireError) as caught:
        decode(payload)
    assert isinstance(caught.value, RgmgrError)
    return caught.value


def test_an_unknown_kind_may_be_ignored_unless_its_sender_says_otherwise() -> None:
    assert refusal(framed(99, 0, b"\x80")).fault is WireFault.IGNORABLE
    assert refusal(framed(99, 1, b"\x80")).fault is WireFault.NOT_UNDERSTOOD
    assert "99" in str(refusal(framed(99, 1, b"\x80")))


def test_an_unknown_operation_is_not_understood() -> None:
    header = {"epoch": 1, "incarnation": 1, "sequence": 1, "first_epoch": 1, "at_ms": 1}
    body = msgspec.msgpack.encode(header | {"tag": 250, "body": {"colour": "red"}})
    assert refusal(framed(3, 1, body)).fault is WireFault.NOT_UNDERSTOOD
    assert refusal(framed(3, 0, body)).fault is WireFault.IGNORABLE


def test_a_later_header_is_not_understood() -> None:
    assert refusal(framed(4, 1, b"\x80", version=2)).fault is WireFault.NOT_UNDERSTOOD


def test_a_later_state_format_is_refused() -> None:
    with pytest.raises(WireError, match="state format 2"):
        decode_state(framed(2, 1, b"\x80", magic=b"RGST"))


def test_operations_must_be_understood_and_ticks_need_not() -> None:
    flags = {name: encode(value)[7] & 1 for name, value in KEPT.items()}
    assert {name for name, flag in flags.items() if not flag} == {"Ack", "Tick"}


def test_unknown_fields_and_flags_are_ignored() -> None:
    body = {"epoch": 3, "applied": 4, "colour": "red"}
    assert decode(framed(4, 0x8000, msgspec.msgpack.encode(body))) == Ack(3, 4)


def test_a_field_with_a_default_may_be_missing() -> None:
    """How a message of an earlier version looks to a later one."""
    state = example(ClusterState)
    plain = msgspec.msgpack.decode(encode_state(state)[16:], strict=False)
    defaulted = [f.name for f in fields(ClusterState) if f.default is not MISSING]
    assert defaulted
    for name in defaulted:
        del plain[name]
    found = decode_state(framed(1, 1, msgspec.msgpack.encode(plain), magic=b"RGST"))
    assert found.services == state.services
    assert (found.epoch, found.next_op) == (0, 1)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(encode(Ack(1, 2))[:15], id="half a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="something else"),
        pytest.param(encode(Ack(1, 2)) + b"\0", id="a byte too many"),
        pytest.param(encode_state(example(ClusterState)), id="a state"),
        pytest.param(framed(4, 0, b""), id="an empty body"),
        pytest.param(framed(4, 0, b"\x91" * 100_000), id="deep nesting"),
        pytest.param(framed(4, 0, b"\xdd\xff\xff\xff\xff"), id="a list of 2**32"),
        pytest.param(framed(4, 0, b"\xdf\xff\xff\xff\xff"), id="a map of 2**32"),
        pytest.param(framed(4, 0, b"\x81\xa2\xff\xfe\x01"), id="text that is not UTF-8"),
        pytest.param(framed(4, 2, b"not zlib"), id="no zlib stream"),
        pytest.param(framed(4, 2, zlib.compress(b"\x80" * 100)[:-3]), id="torn zlib stream"),
        pytest.param(framed(4, 2, zlib.compress(b"\x80") + b"more"), id="more than a zlib stream"),
    ],
)
def test_bad_bytes_are_malformed(payload: bytes) -> None:
    assert refusal(payload).fault is WireFault.MALFORMED


def test_resources_nested_without_end_are_refused() -> None:
    tree: dict[str, object] = {"name": "x", "type": "fs", "parameters": {}, "children": []}
    leaf = msgspec.msgpack.encode(tree)
    inner = leaf[:-1] + b"\x91"  # the last byte is the empty list of children
    with pytest.raises(WireError, match="nested"):
        codec._decode(msgspec.msgpack.Decoder(ResourceSpec), inner * 20_000 + leaf)


def test_a_small_message_that_grows_without_bound_is_refused() -> None:
    bomb = zlib.compress(bytes(frame.BODY_BYTES_MAX + 1), 9)
    assert len(bomb) < 20_000
    assert "above the limit" in str(refusal(framed(4, 2, bomb)))


def test_a_large_plain_body_is_refused() -> None:
    assert "above the limit" in str(refusal(framed(4, 0, bytes(frame.BODY_BYTES_MAX + 1))))


def test_long_bodies_are_compressed_and_short_ones_are_not() -> None:
    """A threshold, so that the many small messages stay readable in a packet dump."""

    def failed(reason: str) -> Operation:
        return operation(ServiceStartFailed(service=ServiceName("web"), op=1, reason=reason))

    overhead = len(encode(failed(""))) - frame.HEADER_BYTES + 2  # the length needs two more bytes
    longest = failed("x" * (frame.COMPRESS_ABOVE_BYTES - overhead))
    longer = failed("x" * (frame.COMPRESS_ABOVE_BYTES - overhead + 1))
    assert encode(longest)[7] == frame.Flag.MUST_UNDERSTAND
    assert encode(longer)[7] == frame.Flag.MUST_UNDERSTAND | frame.Flag.COMPRESSED
    assert len(encode(longer)) < 200
    assert [decode(encode(value)) for value in (longest, longer)] == [longest, longer]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(Ack(2**64, 1), "cannot be encoded", id="number"),
        pytest.param(operation(ServiceStarted(ServiceName("\ud800"), 1)), "cannot be", id="text"),
        pytest.param(
            operation(ServiceStarted(ServiceName("x" * (frame.BODY_BYTES_MAX + 1)), 1)),
            "the limit is",
            id="size",
        ),
    ],
)
def test_what_cannot_be_encoded_is_refused(value: Message, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        encode(value)


def test_resources_nested_too_deeply_are_not_encoded() -> None:
    tree = ResourceSpec(name="leaf", type="fs", parameters={})
    for _ in range(5_000):
        tree = ResourceSpec(name="x", type="fs", parameters={}, children=(tree,))
    with pytest.raises(WireError, match="cannot be encoded"):
        codec._encode(tree)
