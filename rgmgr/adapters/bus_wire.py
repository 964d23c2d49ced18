# SPDX-License-Identifier: Apache-2.0
"""D-Bus messages as bytes: reads whole ones, four times as fast as the library does.

A start of many units brings hundreds of signals, and reading them was most of what the daemon did
between a failure and the last unit. Pure; knows neither sockets nor the library. Variants come out
as their plain values. Source: D-Bus Specification, "Marshaling (Wire Format)".
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

DISCONNECTED = "org.freedesktop.DBus.Error.Disconnected"
TIMEOUT = "org.freedesktop.DBus.Error.Timeout"
"""What a call is told that ended without a reply."""

LENGTH_MAX = 128 << 20  # of a message, as the specification has it
HEADER_BYTES = 16
PROTOCOL = 1

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
"""Kinds of messages."""
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL = 1, 2, 3, 4, 5
DESTINATION, SENDER, SIGNATURE = 6, 7, 8
"""Codes of header fields."""

Option = str | int | bool
Argument = str | Mapping[str, Option]

Read = Callable[[bytes, int], tuple[object, int]]
"""Takes a message and a place in it; returns the value there and the place behind it."""

_FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}


class RawMessage(NamedTuple):
    """A message as it came. `fields` by their code. The body is read on demand."""

    kind: int
    flags: int
    serial: int
    fields: dict[int, object]
    data: bytes
    body_at: int

    def text(self, field: int) -> str | None:
        """Return a header field that is a text; None: it is not there."""
        value = self.fields.get(field)
        return value if isinstance(value, str) else None

    def number(self, field: int) -> int:
        """Return a header field that is a number; 0: it is not there."""
        value = self.fields.get(field)
        return value if isinstance(value, int) else 0

    def body(self) -> list[object]:
        """Return what it says.

        Raises:
            ValueError, IndexError, struct.error: it is malformed.
        """
        place, values = self.body_at, []
        for read in _readers(_order(self.data), self.text(SIGNATURE) or ""):
            value, place = read(self.data, place)
            values.append(value)
        if place != len(self.data):
            raise ValueError(f"the body ends at {place}, the message at {len(self.data)}")
        return values


def call(
    serial: int,
    destination: str,
    path: str,
    interface: str,
    member: str,
    arguments: Sequence[Argument],
) -> bytes:
    """Return a call of a method that takes texts, and options as a{sv}."""
    body, signature = b"", ""
    for argument in arguments:
        body += _padding(len(body), 4)
        if isinstance(argument, str):
            signature += "s"
            body += _counted(argument)
        else:
            signature += "a{sv}"
            options = _options(argument)
            body += struct.pack("<I", len(options)) + _padding(len(body) + 4, 8) + options
    fields = b""
    for code, kind, text in (
        (PATH, "o", path),
        (DESTINATION, "s", destination),
        (INTERFACE, "s", interface),
        (MEMBER, "s", member),
    ):
        fields += _padding(len(fields), 8) + bytes([code, 1]) + kind.encode() + b"\0"
        fields += _counted(text)
    if signature:
        fields += _padding(len(fields), 8) + bytes([SIGNATURE, 1]) + b"g\0"
        fields += bytes([len(signature)]) + signature.encode("ascii") + b"\0"
    head = struct.pack("<4B3I", ord("l"), CALL, 0, PROTOCOL, len(body), serial, len(fields))
    return head + fields + _padding(len(fields), 8) + body


def _options(options: Mapping[str, Option]) -> bytes:
    """Return the entries of an a{sv}, which begin at a multiple of eight."""
    entries = b""
    for name, value in options.items():
        entries += _padding(len(entries), 8) + _counted(name)
        match value:
            case bool():
                entries += b"\1b\0"
                entries += _padding(len(entries), 4) + struct.pack("<I", value)
            case int():
                entries += b"\1x\0"
                entries += _padding(len(entries), 8) + struct.pack("<q", value)
            case str():
                entries += b"\1s\0"
                entries += _padding(len(entries), 4) + _counted(value)
    return entries


def length(head: bytes | bytearray) -> int:
    """Return how many bytes the message has that begins with these sixteen.

    Raises:
        ValueError: it is none, or too long.
    """
    body, _, fields = struct.unpack_from(f"{_order(head)}3I", head, 4)
    whole = _aligned(HEADER_BYTES + fields, 8) + body
    if whole > LENGTH_MAX:
        raise ValueError(f"a message of {whole} bytes")
    return int(whole)


def read_message(data: bytes) -> RawMessage:
    """Return a whole message.

    Raises:
        ValueError, IndexError, struct.error: it is malformed.
    """
    order = _order(data)
    _, kind, flags, _, _, serial = struct.unpack_from(f"{order}4B2I", data)
    (fields,) = _readers(order, "a(yv)")
    pairs, end = fields(data, 12)
    assert isinstance(pairs, list)  # noqa: S101  # an array is one
    return RawMessage(
        kind=kind,
        flags=flags,
        serial=serial,
        fields=dict(pairs),
        data=data,
        body_at=_aligned(end, 8),
    )


def _order(head: bytes | bytearray) -> str:
    order = {ord("l"): "<", ord("B"): ">"}.get(head[0])
    if order is None or head[3] != PROTOCOL:
        raise ValueError(f"not a message: {bytes(head[:4])!r}")
    return order


def _counted(text: str) -> bytes:
    said = text.encode()
    return struct.pack("<I", len(said)) + said + b"\0"


def _padding(place: int, size: int) -> bytes:
    return bytes(-place % size)


def _aligned(place: int, size: int) -> int:
    return (place + size - 1) & -size


@lru_cache(maxsize=1024)
def _readers(order: str, signature: str) -> tuple[Read, ...]:
    """Return what reads values of these types, one after the other."""
    found = []
    place = 0
    while place < len(signature):
        read, place, _ = _make(order, signature, place)
        found.append(read)
    return tuple(found)


def _make(order: str, signature: str, place: int) -> tuple[Read, int, int]:
    """Return what reads the one type that stands there, the place behind it, its alignment."""
    kind = signature[place]
    if kind == "a":
        return _make_array(order, signature, place + 1)
    if kind in "({":
        return _make_struct(order, signature, place)
    if kind in _FIXED:
        layout = struct.Struct(order + _FIXED[kind])
        return _fixed(layout), place + 1, layout.size
    count = struct.Struct(f"{order}I")
    others = {"b": (_truth, 4), "s": (_text, 4), "o": (_text, 4), "g": (_signature, 1)}
    if kind == "v":
        return _variant(order), place + 1, 1
    if kind not in others:
        raise ValueError(f"unknown type {kind!r} in signature {signature!r}")
    make, alignment = others[kind]
    return make(count), place + 1, alignment


def _make_array(order: str, signature: str, place: int) -> tuple[Read, int, int]:
    count = struct.Struct(f"{order}I")
    if signature[place] == "y":
        return _bytes(count), place + 1, 4
    item, end, alignment = _make(order, signature, place)
    read = _array(count, item, alignment)
    return (_dictionary(read) if signature[place] == "{" else read), end, 4


def _make_struct(order: str, signature: str, place: int) -> tuple[Read, int, int]:
    parts = []
    closing = {"(": ")", "{": "}"}[signature[place]]
    place += 1
    while signature[place] != closing:
        read, place, _ = _make(order, signature, place)
        parts.append(read)
    if not parts:
        raise ValueError(f"an empty structure in signature {signature!r}")

    def read_struct(data: bytes, at: int) -> tuple[object, int]:
        at = _aligned(at, 8)
        values = []
        for part in parts:
            value, at = part(data, at)
            values.append(value)
        return values, at

    return read_struct, place + 1, 8


def _fixed(layout: struct.Struct) -> Read:
    unpack, size = layout.unpack_from, layout.size

    def read(data: bytes, at: int) -> tuple[object, int]:
        at = (at + size - 1) & -size
        return unpack(data, at)[0], at + size

    return read


def _truth(layout: struct.Struct) -> Read:
    unpack = layout.unpack_from

    def read(data: bytes, at: int) -> tuple[object, int]:
        at = (at + 3) & -4
        return bool(unpack(data, at)[0]), at + 4

    return read


def _text(layout: struct.Struct) -> Read:
    unpack = layout.unpack_from

    def read(data: bytes, at: int) -> tuple[object, int]:
        begin = ((at + 3) & -4) + 4
        end = begin + unpack(data, begin - 4)[0]
        return data[begin:end].decode(), end + 1

    return read


def _bytes(layout: struct.Struct) -> Read:
    unpack = layout.unpack_from

    def read(data: bytes, at: int) -> tuple[object, int]:
        begin = ((at + 3) & -4) + 4
        end = begin + unpack(data, begin - 4)[0]
        return data[begin:end], end

    return read


def _signature(_layout: struct.Struct) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        end = at + 1 + data[at]
        return data[at + 1 : end].decode("ascii"), end + 1

    return read


def _variant(order: str) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        end = at + 1 + data[at]
        (inner,) = _readers(order, data[at + 1 : end].decode("ascii"))
        return inner(data, end + 1)

    return read


def _array(layout: struct.Struct, item: Read, alignment: int) -> Read:
    unpack = layout.unpack_from

    def read(data: bytes, at: int) -> tuple[object, int]:
        at = (at + 3) & -4
        size = unpack(data, at)[0]
        at = _aligned(at + 4, alignment)
        end = at + size
        values = []
        while at < end:
            value, at = item(data, at)
            values.append(value)
        return values, at

    return read


def _dictionary(pairs: Read) -> Read:
    def read(data: bytes, at: int) -> tuple[object, int]:
        found, at = pairs(data, at)
        return dict(found), at  # type: ignore[call-overload]  # an array of pairs

    return read
