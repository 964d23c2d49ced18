# SPDX-License-Identifier: Apache-2.0
"""Reading D-Bus messages: what the library writes comes out as it went in; rubbish never hangs."""

from __future__ import annotations

import struct

import pytest
from dbus_next.constants import MessageType
from dbus_next.message import Message
from dbus_next.signature import Variant
from hypothesis import given
from hypothesis import strategies as st

from rgmgr.adapters import bus_wire

EVERY_TYPE = (
    ("ynqiuxtd", [1, -2, 3, -4, 5, -6, 7, 8.5]),
    ("bb", [True, False]),
    ("sog", ["grüße", "/a/b", "a{sv}"]),
    ("ay", [b"\x00\xff"]),
    ("as", [["", "a", "bc"]]),
    ("as", [[]]),
    ("a(uo)", [[[7, "/job/7"], [8, "/job/8"]]]),
    ("ax", [[]]),
    ("a{s(ib)}", [{"k": [1, True], "l": [2, False]}]),
    ("ya(ssssssouso)", [1, [["n", "", "loaded", "active", "running", "", "/u", 3, "", "/"]]]),
)


def signal(signature: str, body: list[object]) -> bytes:
    message = Message(
        message_type=MessageType.SIGNAL,
        path="/org/rgmgr",
        interface="org.rgmgr.Test",
        member="Changed",
        signature=signature,
        body=body,
        serial=42,
    )
    return bytes(message._marshall())


@pytest.mark.parametrize(("signature", "body"), EVERY_TYPE)
def test_what_was_written_is_read(signature: str, body: list[object]) -> None:
    data = signal(signature, body)
    read = bus_wire.read_message(data)

    assert bus_wire.length(data[: bus_wire.HEADER_BYTES]) == len(data)
    assert read.body() == body
    assert (read.kind, read.serial, read.text(bus_wire.MEMBER)) == (4, 42, "Changed")


def test_variants_are_read_as_what_is_in_them() -> None:
    changed = {
        "ActiveState": Variant("s", "active"),
        "Job": Variant("(uo)", [3, "/job/3"]),
        "Nested": Variant("av", [Variant("t", 2**40), Variant("as", ["x"])]),
    }
    data = signal("sa{sv}as", ["org.rgmgr.X", changed, []])

    assert bus_wire.read_message(data).body() == [
        "org.rgmgr.X",
        {"ActiveState": "active", "Job": [3, "/job/3"], "Nested": [2**40, ["x"]]},
        [],
    ]


@given(st.data())
def test_damaged_messages_are_refused(data: st.DataObject) -> None:
    """The bus is trusted, but a daemon that hangs on one message would hold a whole cluster up."""
    whole = signal("a{sv}as", [{"a": Variant("(ux)", [1, 2])}, ["b"]])
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        bus_wire.length(damaged)
        bus_wire.read_message(damaged).body()
    except (ValueError, IndexError, TypeError, struct.error):
        pass  # refused


@pytest.mark.parametrize("signature", ["a()", "(", "a", "w", "a{"])
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        bus_wire._readers("<", signature)


def test_a_message_that_is_too_long_is_refused_at_its_head() -> None:
    head = struct.pack("<4B3I", ord("l"), 4, 0, 1, 1 << 31, 1, 0)

    with pytest.raises(ValueError, match="a message of"):
        bus_wire.length(head)
