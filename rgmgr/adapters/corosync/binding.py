# SPDX-License-Identifier: Apache-2.0
"""The one door to the compiled binding: loads it, checks return codes, receives callbacks.

Callbacks run inside `*_dispatch`, on the thread that dispatches. They copy what corosync lends
them into the inbox of their connection and return; they must never raise, since cffi would swallow
the exception and the next event would be delivered as if nothing was missed. Should one raise all
the same, the inbox is marked as failed and the connection ends.

C callbacks know only a handle, hence the registry: the one piece of module state.
"""

import functools
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING

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
    GroupChange,
    Inbox,
    Reason,
    RingChange,
)
from rgmgr.errors import CorosyncError

if TYPE_CHECKING:
    from rgmgr._corosync import CData, Ffi, Lib

HINTS = {
    "CS_ERR_LIBRARY": "corosync does not run or ended; see 'systemctl status corosync'",
    "CS_ERR_TRY_AGAIN": "corosync is starting or forming a ring; this is tried again",
    "CS_ERR_ACCESS": (
        "corosync refuses this user; run as root, or allow the user with a file in "
        "/etc/corosync/uidgid.d and reload corosync"
    ),
    "CS_ERR_EXIST": "this process is in the group already, or its namesake in a container is",
}
NOT_BUILT = (
    "the extension is not built; install libcpg-dev, libquorum-dev, libvotequorum-dev, "
    "libcmap-dev, libcfg-dev and libcorosync-common-dev, then run 'pip install .' (in a working "
    "copy 'pip install -e .') anew"
)

_inboxes: dict[tuple[str, int], Inbox] = {}


@dataclass(frozen=True, slots=True)
class Binding:
    """The compiled module's two names, with the callbacks in place."""

    ffi: "Ffi"
    lib: "Lib"


@functools.cache
def load() -> Binding:
    """Import the extension, once.

    Raises:
        CorosyncError: it was not built.
    """
    try:
        from rgmgr import _corosync  # noqa: PLC0415 - the core and the commands run without it
    except ImportError as error:
        raise CorosyncError(
            "import rgmgr._corosync", "NOT_BUILT", f"{NOT_BUILT} ({error})"
        ) from error
    binding = Binding(_corosync.ffi, _corosync.lib)
    _define_callbacks(binding)
    return binding


@functools.cache
def _code_names() -> dict[int, str]:
    lib = load().lib
    names = [name for name in dir(lib) if name == "CS_OK" or name.startswith("CS_ERR_")]
    return {getattr(lib, name): name for name in names}


def code_name(code: int) -> str:
    """Return the name of a cs_error_t."""
    return _code_names().get(code, f"cs_error_t {code}")


def check(code: int, call: str) -> None:
    """Raise unless the call succeeded.

    Raises:
        CorosyncError: it did not.
    """
    if code != load().lib.CS_OK:
        name = code_name(code)
        raise CorosyncError(call, name, HINTS.get(name, ""))


def register(library: str, handle: int, inbox: Inbox) -> None:
    """Send the callbacks of this handle to this inbox; none can come before its first dispatch."""
    _inboxes[library, handle] = inbox


def unregister(library: str, handle: int) -> None:
    """Forget a handle, before it is finalized: its number may be given out again."""
    _inboxes.pop((library, handle), None)


def _define_callbacks(binding: Binding) -> None:
    """Give every `extern "Python"` of the C declarations its body."""
    ffi, lib = binding.ffi, binding.lib
    copy = _Copier(ffi, lib)
    for name, library, body in (
        ("rgmgr_cpg_deliver", "cpg", copy.delivery),
        ("rgmgr_cpg_confchg", "cpg", copy.group_change),
        ("rgmgr_cpg_totem_confchg", "cpg", copy.ring_change),
        ("rgmgr_quorum_notify", "quorum", copy.quorum),
        ("rgmgr_quorum_nodelist", "quorum", copy.ring_nodes),
        ("rgmgr_cfg_shutdown", "cfg", copy.shutdown),
    ):
        failed = functools.partial(_callback_failed, name, library)
        ffi.def_extern(name=name, onerror=failed)(body)


def _callback_failed(
    name: str,
    library: str,
    kind: type[BaseException],
    error: BaseException,
    traceback: TracebackType | None,
) -> None:
    """Mark the inbox: an event was missed. Without a handle, mark all of that library."""
    handle = traceback.tb_frame.f_locals.get("handle") if traceback else None
    for (owner, number), inbox in _inboxes.items():
        if owner == library and handle in (None, number):
            inbox.failures.append(f"callback {name}: {kind.__name__}: {error}")


class _Copier:
    """The bodies of the callbacks. Source: cpg_initialize(3), quorum_model_initialize(3)."""

    def __init__(self, ffi: "Ffi", lib: "Lib") -> None:
        self._ffi = ffi
        self._forced = lib.COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS
        self._reasons = {
            lib.CPG_REASON_JOIN: Reason.JOIN,
            lib.CPG_REASON_LEAVE: Reason.LEAVE,
            lib.CPG_REASON_NODEDOWN: Reason.NODEDOWN,
            lib.CPG_REASON_NODEUP: Reason.NODEUP,
            lib.CPG_REASON_PROCDOWN: Reason.PROCDOWN,
        }

    def delivery(
        self, handle: int, _group: "CData", node: int, pid: int, data: "CData", size: int
    ) -> None:
        payload = bytes(self._ffi.buffer(data, size)) if size else b""
        _inboxes["cpg", handle].events.append(Delivery(GroupMember(node, pid), payload))

    def group_change(
        self,
        handle: int,
        _group: "CData",
        members: "CData",
        member_count: int,
        left: "CData",
        left_count: int,
        joined: "CData",
        joined_count: int,
    ) -> None:
        change = GroupChange(
            members=tuple(
                GroupMember(members[i].nodeid, members[i].pid) for i in range(member_count)
            ),
            left=self._changes(left, left_count),
            joined=self._changes(joined, joined_count),
        )
        _inboxes["cpg", handle].events.append(change)

    def ring_change(self, handle: int, ring: "CData", count: int, nodes: "CData") -> None:
        change = RingChange(RingId(ring.nodeid, ring.seq), self._nodes(nodes, count))
        _inboxes["cpg", handle].events.append(change)

    def quorum(self, handle: int, quorate: int, ring: "CData", count: int, nodes: "CData") -> None:
        verdict = QuorumChanged(
            RingId(ring.nodeid, ring.seq), bool(quorate), self._nodes(nodes, count)
        )
        _inboxes["quorum", handle].events.append(verdict)

    def ring_nodes(
        self,
        handle: int,
        ring: "CData",
        count: int,
        nodes: "CData",
        joined_count: int,
        joined: "CData",
        left_count: int,
        left: "CData",
    ) -> None:
        change = RingNodesChanged(
            ring=RingId(ring.nodeid, ring.seq),
            nodes=self._nodes(nodes, count),
            joined=self._nodes(joined, joined_count),
            left=self._nodes(left, left_count),
        )
        _inboxes["quorum", handle].events.append(change)

    def shutdown(self, handle: int, flags: int) -> None:
        is_forced = flags == self._forced
        urgency = ShutdownUrgency.FORCED if is_forced else ShutdownUrgency.ASKED
        _inboxes["cfg", handle].events.append(ShutdownRequested(urgency))

    def _nodes(self, nodes: "CData", count: int) -> tuple[int, ...]:
        return tuple(sorted(self._ffi.unpack(nodes, count))) if count else ()

    def _changes(self, entries: "CData", count: int) -> tuple[Change, ...]:
        return tuple(
            Change(
                GroupMember(entries[i].nodeid, entries[i].pid),
                self._reasons.get(entries[i].reason, Reason.UNKNOWN),
            )
            for i in range(count)
        )
