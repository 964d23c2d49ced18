# SPDX-License-Identifier: Apache-2.0
"""libcmap: corosync's configuration, its effective values and its statistics.

Never track a prefix as wide as "runtime.": its message counters change with every message. In the
statistics map a prefix can be tracked for keys that come and go only.
Left out: `cmap_inc` and `cmap_dec`, which are a get and a set, and the calls for one type each.

Source: cmap_overview(3), cmap_keys(7) and the page of each call.
"""

import enum
import struct
from collections.abc import Iterable, Iterator
from typing import Final

from rgmgr.adapters.corosync.batch import NUMBERS, STRING, value_of
from rgmgr.adapters.corosync.binding import check, load
from rgmgr.adapters.corosync.handle import Handle
from rgmgr.adapters.corosync.raw import Value
from rgmgr.errors import CorosyncError

_USUAL_BYTES: Final = 256
"""Nearly all values are shorter, and so are had at the first attempt."""


class Map(enum.Enum):
    """Which of corosync's maps."""

    CONFIGURATION = "icmap"
    STATISTICS = "stats"


class Scope(enum.Enum):
    """What `CmapHandle.track` follows."""

    KEY = "key"
    PREFIX = "prefix"


class NumberType(enum.Enum):
    """The types of numbers in cmap; a key may expect one of them. Source: cmap_set(3)."""

    INT8 = 1
    UINT8 = 2
    INT16 = 3
    UINT16 = 4
    INT32 = 5
    UINT32 = 6
    INT64 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10


class CmapHandle(Handle):
    """One of corosync's maps. `dispatch` returns `KeyChanged`, once `track` was called."""

    def __init__(self, which: Map = Map.CONFIGURATION) -> None:
        """Connect. Source: cmap_initialize_map(3)."""
        super().__init__(load().lib.RGMGR_CMAP, "cmap")
        lib = self._lib
        self._map = which
        number = lib.CMAP_MAP_STATS if which is Map.STATISTICS else lib.CMAP_MAP_ICMAP
        self._opened(lib.cmap_initialize_map(self._handle, number), "cmap_initialize_map")

    def get(self, key: str) -> Value | None:
        """Return the value of a key, None where it does not exist."""
        try:
            try:
                return self._read(key, _USUAL_BYTES)
            except CorosyncError as error:
                if error.code != "CS_ERR_INVALID_PARAM":
                    raise
                return self._read(key, self._size_bytes(key))
        except CorosyncError as error:
            if error.code == "CS_ERR_NOT_EXIST":  # also between the two
                return None
            raise

    def values(self, keys: Iterable[str]) -> dict[str, Value]:
        """Return the values of those of the keys that exist: a round trip each."""
        values = {key: self.get(key) for key in keys}
        return {key: value for key, value in values.items() if value is not None}

    def items(self, prefix: str = "") -> dict[str, Value]:
        """Return the keys that begin so, with their values, in cmap's order: two round trips each.

        For what has few keys: `totem.` with its effective values takes a busy node 20 ms.
        """
        return self.values(self.keys(prefix))

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys that begin so."""
        walk = self._ffi.new("uint64_t *")
        self._ask(self._lib.cmap_iter_init, prefix.encode(), walk)
        try:
            return list(self._walk(walk[0]))
        finally:
            with self._asking:
                self._lib.cmap_iter_finalize(self._number, walk[0])

    def set_number(self, key: str, value: float, kind: NumberType) -> None:
        """Set a key on this node, until corosync restarts; CS_ERR_ACCESS for what it owns.

        Raises:
            ValueError: the number does not fit the type.
        """
        try:
            data = struct.pack(NUMBERS[kind.value], value)
        except struct.error as error:
            raise ValueError(f"{key}: {value} is no {kind.name.lower()}: {error}") from error
        self._ask(self._lib.cmap_set, key.encode(), data, len(data), kind.value)

    def set_text(self, key: str, value: str) -> None:
        """Set a key on this node, until corosync restarts; CS_ERR_ACCESS for what it owns."""
        data = value.encode()
        self._ask(self._lib.cmap_set, key.encode(), data, len(data), STRING)

    def delete(self, key: str) -> None:
        """Delete a key on this node; CS_ERR_NOT_EXIST where there is none."""
        self._ask(self._lib.cmap_delete, key.encode())

    def track(self, key: str, scope: Scope = Scope.KEY) -> int:
        """Ask for events of a key, or of all that begin so; return what `untrack` needs."""
        lib, track = self._lib, self._ffi.new("uint64_t *")
        events = lib.CMAP_TRACK_ADD | lib.CMAP_TRACK_DELETE
        if scope is Scope.PREFIX:
            events |= lib.CMAP_TRACK_PREFIX
        if scope is Scope.KEY or self._map is Map.CONFIGURATION:
            events |= lib.CMAP_TRACK_MODIFY
        self._ask(lib.rgmgr_cmap_track, key.encode(), events, track)
        return int(track[0])

    def untrack(self, track: int) -> None:
        """Ask for no more events; those already due may still come."""
        self._ask(self._lib.cmap_track_delete, track)

    def _read(self, key: str, room_bytes: int) -> Value:
        """Return a value; CS_ERR_INVALID_PARAM if it needs more room."""
        value, kind = self._ffi.new("char[]", room_bytes), self._ffi.new("cmap_value_types_t *")
        size = self._ffi.new("size_t *", room_bytes)
        self._ask(self._lib.cmap_get, key.encode(), value, size, kind)
        return value_of(kind[0], bytes(self._ffi.buffer(value, size[0])))

    def _size_bytes(self, key: str) -> int:
        size, kind = self._ffi.new("size_t *"), self._ffi.new("cmap_value_types_t *")
        self._ask(self._lib.cmap_get, key.encode(), self._ffi.NULL, size, kind)
        return int(size[0]) or 1

    def _walk(self, walk: int) -> Iterator[str]:
        ffi, lib = self._ffi, self._lib
        name = ffi.new("char[]", lib.CMAP_KEYNAME_MAXLEN + 1)
        size, kind = ffi.new("size_t *"), ffi.new("cmap_value_types_t *")
        while True:
            with self._asking:
                code = lib.cmap_iter_next(self._number, walk, name, size, kind)
            if code == lib.CS_ERR_NO_SECTIONS:
                return
            check(code, "cmap_iter_next")
            yield ffi.string(name).decode()
