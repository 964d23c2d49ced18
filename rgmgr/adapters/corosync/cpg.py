# SPDX-License-Identifier: Apache-2.0
"""libcpg: process groups with messages in agreed order.

Left out: `cpg_flow_control_state_get` always says "off", so back-pressure is CS_ERR_TRY_AGAIN
and a window of own messages (outbox.py); `cpg_zcb_*` brings no speed and is a dummy in later
versions; guarantees other than "agreed" are not implemented by corosync.

Source: cpg_overview(3) and the page of each call.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rgmgr.adapters.corosync.binding import check, load
from rgmgr.adapters.corosync.events import GroupMember
from rgmgr.adapters.corosync.handle import Handle

if TYPE_CHECKING:
    from rgmgr._corosync import CData

_RESERVE_BYTES: Final = 1024 * 1024 + 4096  # for the longest message, 1 MiB
_ENTRIES_MAX: Final = 384  # the library copies what the server has, up to this


class CpgHandle(Handle):
    """A handle that can be in one group, once: after `leave` corosync refuses to join again.

    `dispatch` returns `GroupChange`, `RingChange`, `Delivery` and `TooLong`.
    """

    def __init__(self) -> None:
        """Connect. Source: cpg_model_initialize(3)."""
        super().__init__(load().lib.RGMGR_CPG, "cpg", _RESERVE_BYTES)
        self._group: CData | None = None
        self._taken = self._ffi.new("unsigned int *")
        self._opened(self._lib.rgmgr_cpg_open(self._handle), "cpg_model_initialize")

    def join(self, group: str) -> None:
        """Start to join a group, named by 128 bytes at most; the own JOIN event says "in".

        CS_ERR_TRY_AGAIN: this process is still leaving it; CS_ERR_EXIST: it is in it already.

        Raises:
            ValueError: the name is too long.
        """
        name = self._named(group)
        self._ask(self._lib.cpg_join, name)
        self._group = name

    def leave(self) -> None:
        """Leave the group; the own LEAVE event is the last one. CS_ERR_NOT_EXIST if not in."""
        group = self._group or self._named("")
        self._ask(self._lib.cpg_leave, group)

    def multicast(self, frames: Sequence[bytes]) -> int:
        """Hand messages to corosync, in order; return how many it took: try the rest again later.

        Each has 1 MiB at most, and below `message_bytes_max` is better: above it the library cuts
        the message and blocks meanwhile. Otherwise this does not block, given one rule: keep 64
        undelivered at most. With 277 a corosync that does not run makes the library spin for ever.
        Only the delivery to ourselves proves that a message was sent: before the join or after the
        leave it vanishes without an error.
        """
        ffi, count = self._ffi, len(frames)
        lent = [ffi.from_buffer(frame) for frame in frames]
        data = ffi.new("char *[]", lent)
        sizes = ffi.new("uint32_t[]", [len(frame) for frame in frames])
        code = self._lib.rgmgr_cpg_multicast(self._number, data, sizes, count, self._taken)
        if code not in (self._lib.CS_ERR_TRY_AGAIN, self._lib.CS_ERR_INTERRUPT):
            check(code, "cpg_mcast_joined")
        return int(self._taken[0])

    def local_node(self) -> int:
        """Return the id of this node."""
        node = self._ffi.new("unsigned int *")
        self._ask(self._lib.cpg_local_get, node)
        return int(node[0])

    def message_bytes_max(self) -> int:
        """Return up to how many bytes a message goes out in one piece (1,047,552)."""
        size = self._ffi.new("uint32_t *")
        self._ask(self._lib.cpg_max_atomic_msgsize_get, size)
        return int(size[0])

    def members(self, group: str) -> tuple[GroupMember, ...]:
        """Return the members of any group, ascending; none where there is no such group."""
        found = self._ffi.new("struct cpg_address[]", _ENTRIES_MAX)
        count = self._ffi.new("int *", _ENTRIES_MAX)
        name = self._named(group)
        self._ask(self._lib.cpg_membership_get, name, found, count)
        return tuple(sorted(GroupMember(found[i].nodeid, found[i].pid) for i in range(count[0])))

    def groups(self) -> dict[str, tuple[GroupMember, ...]]:
        """Return all groups of the cluster with their members, both ascending."""
        walk = self._ffi.new("uint64_t *")
        found: dict[str, list[GroupMember]] = {}
        with self._asking:
            kind = self._lib.CPG_ITERATION_ALL
            code = self._lib.cpg_iteration_initialize(self._number, kind, self._ffi.NULL, walk)
            check(code, "cpg_iteration_initialize")
            try:
                self._walk(walk[0], found)
            finally:
                self._lib.cpg_iteration_finalize(walk[0])
        return {name: tuple(sorted(members)) for name, members in sorted(found.items())}

    def _walk(self, walk: int, found: dict[str, list[GroupMember]]) -> None:
        entry = self._ffi.new("struct cpg_iteration_description_t *")
        while (code := self._lib.cpg_iteration_next(walk, entry)) == self._lib.CS_OK:
            name = bytes(self._ffi.buffer(entry.group.value)[: entry.group.length])
            member = GroupMember(entry.nodeid, entry.pid)
            found.setdefault(name.decode(errors="replace"), []).append(member)
        if code != self._lib.CS_ERR_NO_SECTIONS:
            check(code, "cpg_iteration_next")

    def _named(self, group: str) -> "CData":
        name, encoded = self._ffi.new("struct cpg_name *"), group.encode()
        limit = self._lib.CPG_MAX_NAME_LENGTH
        if len(encoded) > limit:
            size = len(encoded)
            raise ValueError(f"group name {group!r} has {size} bytes, the limit is {limit}")
        name.length = len(encoded)
        self._ffi.buffer(name.value)[0 : len(encoded)] = encoded
        return name
