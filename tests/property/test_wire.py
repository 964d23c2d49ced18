# SPDX-License-Identifier: Apache-2.0
"""What goes over the wire comes back the same, and nothing that comes can do harm."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rgmgr.core.messages import Message, Operation
from rgmgr.core.model import ClusterState
from rgmgr.errors import WireError
from rgmgr.wire.codec import MESSAGE_MAGIC, decode, decode_state, encode, encode_state
from tests.property.strategies import BODIES, MESSAGES, build, cluster_states, messages

modest = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@modest
@given(data=st.data())
def test_every_message_survives_the_wire(kind: type[Message], data: st.DataObject) -> None:
    message = data.draw(MESSAGES[kind])
    assert decode(encode(message)) == message


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
@settings(modest, max_examples=20)
@given(data=st.data())
def test_every_operation_survives_the_wire(body: type, data: st.DataObject) -> None:
    operation = data.draw(build(Operation, body=BODIES[body]))
    assert decode(encode(operation)) == operation


@modest
@given(state=cluster_states)
def test_a_state_survives_the_disk_with_its_services_in_order(state: ClusterState) -> None:
    found = decode_state(encode_state(state))
    assert found == state
    assert list(found.services) == list(state.services)


@modest
@given(state=cluster_states, data=st.data())
def test_bytes_do_not_depend_on_the_order_of_dictionaries(
    state: ClusterState, data: st.DataObject
) -> None:
    shuffled = replace(
        state,
        nodes=dict(data.draw(st.permutations(list(state.nodes.items())))),
        spec=replace(
            state.spec,
            nodes=dict(data.draw(st.permutations(list(state.spec.nodes.items())))),
            domains=dict(data.draw(st.permutations(list(state.spec.domains.items())))),
        ),
    )
    assert encode_state(shuffled) == encode_state(state)


def decodes_or_refuses(payload: bytes) -> None:
    for decoder in (decode, decode_state):
        with suppress(WireError):
            decoder(payload)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(payload: bytes) -> None:
    for decoder in (decode, decode_state):
        with pytest.raises(WireError):
            decoder(payload)


@settings(modest, max_examples=200)
@given(message=messages, data=st.data())
def test_a_changed_byte_is_noticed(message: Message, data: st.DataObject) -> None:
    """The checksum covers the header, too: no flag or kind can flip unseen."""
    payload = bytearray(encode(message))
    where = data.draw(st.integers(0, len(payload) - 1))
    payload[where] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WireError):
        decode(bytes(payload))


@settings(modest, max_examples=200)
@given(message=messages, data=st.data())
def test_a_torn_message_is_refused(message: Message, data: st.DataObject) -> None:
    payload = encode(message)
    with pytest.raises(WireError):
        decode(payload[: data.draw(st.integers(0, len(payload) - 1))])


def framed(magic: bytes, kind: int, flags: int, body: bytes) -> bytes:
    """Build a frame with a right checksum around any body."""
    fixed = struct.pack("!4sBBHI", magic, 1, kind, flags, len(body))
    return fixed + struct.pack("!I", zlib.crc32(body, zlib.crc32(fixed))) + body


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    magic=st.sampled_from((MESSAGE_MAGIC, b"RGST")),
    kind=st.integers(0, 7),
    flags=st.integers(0, 7),
    body=st.one_of(st.binary(max_size=100), anything.map(msgspec.msgpack.encode)),
)
def test_a_well_framed_body_of_anything_does_no_harm(
    magic: bytes, kind: int, flags: int, body: bytes
) -> None:
    decodes_or_refuses(framed(magic, kind, flags, body))


@settings(modest, max_examples=200)
@given(message=messages, data=st.data())
def test_a_changed_body_with_a_right_checksum_does_no_harm(
    message: Message, data: st.DataObject
) -> None:
    payload = encode(message)
    body = bytearray(payload[16:])
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    flags = int.from_bytes(payload[6:8], "big")
    decodes_or_refuses(framed(payload[:4], payload[5], flags, bytes(body)))
