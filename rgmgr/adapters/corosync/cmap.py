# SPDX-License-Identifier: Apache-2.0
"""Reads what rgmgr must know of corosync's configuration, at connect.

Every call here blocks, without limit when corosync is stopped: worker threads only, each with
its own handle. Keys: cmap_keys(7).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rgmgr.adapters.corosync.binding import check, load

_NODES = "nodelist.node."


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Corosync's configuration, with the effective timers."""

    cluster_name: str
    node_names: dict[int, str]
    token_ms: int
    consensus_ms: int
    is_two_node: bool


def read_facts() -> ClusterFacts:
    """Read the facts with a handle of its own; blocks.

    Raises:
        CorosyncError: corosync is not there, or answers nonsense.
    """
    with _opened() as handle:
        return ClusterFacts(
            cluster_name=str(_get(handle, "totem.cluster_name") or ""),
            node_names=_node_names(handle),
            token_ms=_number(handle, "runtime.config.totem.token"),
            consensus_ms=_number(handle, "runtime.config.totem.consensus"),
            is_two_node=_number(handle, "runtime.votequorum.two_node") == 1,
        )


@contextmanager
def _opened() -> Iterator[int]:
    ffi, lib = load().ffi, load().lib
    handle = ffi.new("cmap_handle_t *")
    check(lib.cmap_initialize_map(handle, lib.CMAP_MAP_ICMAP), "cmap_initialize_map")
    try:
        yield handle[0]
    finally:
        lib.cmap_finalize(handle[0])  # frees everything, whatever it returns


def _node_names(handle: int) -> dict[int, str]:
    """Return names by node id; positions in the list have gaps after a reload."""
    positions = {key[len(_NODES) :].split(".", 1)[0] for key in _keys(handle, _NODES)}
    names = {}
    for position in sorted(positions, key=int):
        prefix = f"{_NODES}{position}"
        node = _number(handle, f"{prefix}.nodeid")
        name = _get(handle, f"{prefix}.name") or _get(handle, f"{prefix}.ring0_addr")
        names[node] = str(name or node)
    return names


def _keys(handle: int, prefix: str) -> list[str]:
    ffi, lib = load().ffi, load().lib
    walk = ffi.new("cmap_iter_handle_t *")
    check(lib.cmap_iter_init(handle, prefix.encode(), walk), f"cmap_iter_init {prefix}")
    name = ffi.new("char[]", lib.CMAP_KEYNAME_MAXLEN + 1)
    size, kind = ffi.new("size_t *"), ffi.new("cmap_value_types_t *")
    keys = []
    try:
        while (code := lib.cmap_iter_next(handle, walk[0], name, size, kind)) == lib.CS_OK:
            keys.append(ffi.string(name).decode())
        if code != lib.CS_ERR_NO_SECTIONS:
            check(code, f"cmap_iter_next {prefix}")
    finally:
        lib.cmap_iter_finalize(handle, walk[0])
    return keys


def _number(handle: int, key: str) -> int:
    """Return a number, 0 where the key does not exist."""
    value = _get(handle, key)
    return value if isinstance(value, int) else 0


def _get(handle: int, key: str) -> str | int | None:
    """Return the value of a key; None where it does not exist or is of an unused type."""
    ffi, lib = load().ffi, load().lib
    size, kind = ffi.new("size_t *"), ffi.new("cmap_value_types_t *")
    code = lib.cmap_get(handle, key.encode(), ffi.NULL, size, kind)
    if code == lib.CS_ERR_NOT_EXIST:
        return None
    check(code, f"cmap_get {key}")
    value = ffi.new("char[]", size[0] + 1)
    check(lib.cmap_get(handle, key.encode(), value, size, kind), f"cmap_get {key}")
    if kind[0] == lib.CMAP_VALUETYPE_STRING:
        return ffi.string(value).decode(errors="replace")
    signs = {
        lib.CMAP_VALUETYPE_INT8: "int8_t *",
        lib.CMAP_VALUETYPE_UINT8: "uint8_t *",
        lib.CMAP_VALUETYPE_INT16: "int16_t *",
        lib.CMAP_VALUETYPE_UINT16: "uint16_t *",
        lib.CMAP_VALUETYPE_INT32: "int32_t *",
        lib.CMAP_VALUETYPE_UINT32: "uint32_t *",
        lib.CMAP_VALUETYPE_INT64: "int64_t *",
        lib.CMAP_VALUETYPE_UINT64: "uint64_t *",
    }
    c_type = signs.get(kind[0])
    return int(ffi.cast(c_type, value)[0]) if c_type else None
