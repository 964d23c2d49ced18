# SPDX-License-Identifier: Apache-2.0
"""The envelope around everything that rgmgr encodes: who may read it, and is it whole.

::

    magic:4  header version:1  kind:1  flags:2  length:4  crc32:4  body

Network byte order. The checksum covers header and body, so that a damaged kind or flag is seen
as well. The sender's node comes from corosync and incarnation, epoch and sequence are in the body,
where they are needed; they are not repeated here. Bodies above `COMPRESS_ABOVE_BYTES` are
compressed with zlib. Knows nothing of messages: see `codec`.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass
from typing import Final

from rgmgr.errors import WireError, WireFault

HEADER_VERSION: Final = 1
COMPRESS_ABOVE_BYTES: Final = 8 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
COMPRESSION_LEVEL: Final = 6

_FIXED: Final = struct.Struct("!4sBBHI")  # the header but for its checksum
_CRC: Final = struct.Struct("!I")
HEADER_BYTES: Final = _FIXED.size + _CRC.size


class Flag(enum.IntFlag):
    """Bits of the header. A receiver ignores bits that it does not know."""

    MUST_UNDERSTAND = 1  # who does not know this kind reports an error; INSTALL names what all know
    COMPRESSED = 2


_COMPRESSED: Final = int(Flag.COMPRESSED)
_KNOWN_BITS: Final = int(Flag.MUST_UNDERSTAND | Flag.COMPRESSED)
_KNOWN_FLAGS: Final = tuple(map(Flag, range(_KNOWN_BITS + 1)))  # to make one is slow


@dataclass(frozen=True, slots=True)
class Frame:
    """What was in an envelope, decompressed."""

    kind: int
    flags: Flag
    body: bytes


def pack(magic: bytes, kind: int, flags: Flag, body: bytes) -> bytes:
    """Return the envelope with this body.

    Raises:
        WireError: the body is longer than `BODY_BYTES_MAX`.
    """
    if len(body) > BODY_BYTES_MAX:
        raise WireError(f"cannot encode {len(body)} bytes: the limit is {BODY_BYTES_MAX}")
    if len(body) > COMPRESS_ABOVE_BYTES:
        body = zlib.compress(body, COMPRESSION_LEVEL)
        flags |= Flag.COMPRESSED
    fixed = _FIXED.pack(magic, HEADER_VERSION, kind, flags, len(body))
    return fixed + _CRC.pack(zlib.crc32(body, zlib.crc32(fixed))) + body


def unpack(magic: bytes, payload: bytes) -> Frame:
    """Open an envelope.

    Raises:
        WireError: it is not one of ours, damaged, of a later header version, or too large.
    """
    if len(payload) < HEADER_BYTES:
        raise WireError(f"{len(payload)} bytes are shorter than a header of {HEADER_BYTES}")
    found, version, kind, flags, length = _FIXED.unpack_from(payload)
    if found != magic:
        raise WireError(f"starts with {found!r} where {magic!r} was expected")
    if version != HEADER_VERSION:
        raise WireError(
            f"header version {version}, of which this rgmgr knows only {HEADER_VERSION}",
            WireFault.NOT_UNDERSTOOD,
        )
    body = payload[HEADER_BYTES:]
    if length != len(body):
        raise WireError(f"carries {len(body)} bytes where its header says {length}")
    crc = zlib.crc32(body, zlib.crc32(payload[: _FIXED.size]))
    if (crc,) != _CRC.unpack_from(payload, _FIXED.size):
        raise WireError(f"a wrong checksum over {length} bytes")
    if flags & _COMPRESSED:
        body = _decompress(body)
    elif length > BODY_BYTES_MAX:
        raise WireError(f"{length} bytes, above the limit of {BODY_BYTES_MAX}")
    return Frame(kind, _KNOWN_FLAGS[flags & _KNOWN_BITS], body)


def _decompress(body: bytes) -> bytes:
    """Return the plain body; never holds more than the limit and one byte."""
    decompressor = zlib.decompressobj()
    try:
        plain = decompressor.decompress(body, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise WireError(f"{len(body)} compressed bytes cannot be read: {error}") from error
    if len(plain) > BODY_BYTES_MAX:
        raise WireError(f"grows above the limit of {BODY_BYTES_MAX} bytes when decompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise WireError(f"{len(body)} compressed bytes that do not end where they should")
    return plain
