# SPDX-License-Identifier: Apache-2.0
"""One life of the handles of libcpg, libquorum and libcfg: from connect to close.

`connect`, `leave`, `answer_shutdown` and `close` block, without limit when corosync is stopped:
worker threads only. `dispatch` and `multicast` do not block and belong to the loop's thread, whose
stack must be above 1 MiB, since `*_dispatch` puts a buffer of that size on it.
"""

import os
import threading
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from rgmgr.adapters.corosync.binding import check, load, register, unregister
from rgmgr.adapters.corosync.cmap import ClusterFacts, read_facts
from rgmgr.adapters.corosync.events import GroupMember, ShutdownAnswer
from rgmgr.adapters.corosync.outbox import Sent
from rgmgr.adapters.corosync.raw import Inbox

if TYPE_CHECKING:
    from rgmgr._corosync import CData


class Library(Enum):
    """The libraries that send events, in the order in which they are served."""

    QUORUM = "quorum"
    CFG = "cfg"
    CPG = "cpg"


class Dispatched(Enum):
    """What one dispatch found."""

    EVENT = "event"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we are connected to, and who we are there."""

    local: GroupMember
    facts: ClusterFacts
    has_quorum_provider: bool


class Connection(Protocol):
    """What a session needs of a connection."""

    @property
    def peer(self) -> Peer:
        """Return whom we are connected to."""

    @property
    def inbox(self) -> Inbox:
        """Return where the callbacks put their events."""

    def filenos(self) -> tuple[int, ...]:
        """Return the descriptors that become readable when there is something to dispatch."""

    def dispatch(self, library: Library) -> Dispatched:
        """Let one callback of this library run, if one is due; never blocks.

        Raises:
            CorosyncError: the connection is gone.
        """

    def multicast(self, frame: bytes) -> Sent:
        """Hand one frame to corosync; never blocks.

        Raises:
            CorosyncError: the connection is gone.
        """

    def leave(self) -> None:
        """Leave the group; the own LEAVE event tells when it is done. Blocks."""

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer a shutdown request. Blocks."""

    def close(self) -> None:
        """Free everything; never raises. Blocks."""


def connect(group: str) -> "LibraryConnection":
    """Open all handles, read the facts and join the group; blocks.

    Raises:
        CorosyncError: something failed; nothing is left open.
    """
    facts = read_facts()
    connection = LibraryConnection(group)
    try:
        connection.open(facts)
    except BaseException:
        connection.close()
        raise
    return connection


class LibraryConnection:
    """A `Connection` to the corosync that runs on this node."""

    def __init__(self, group: str) -> None:
        binding = load()
        self._ffi, self._lib = binding.ffi, binding.lib
        self._group = self._group_name(group)
        self._iovec = self._ffi.new("struct iovec *")
        self._handles: dict[Library, int] = {}
        self._fds: tuple[int, ...] = ()
        self._peer: Peer | None = None
        self._inbox = Inbox()
        self._blocking = threading.Lock()  # answers of one handle share one channel
        self._dispatchers = {
            Library.QUORUM: self._lib.quorum_dispatch,
            Library.CFG: self._lib.corosync_cfg_dispatch,
            Library.CPG: self._lib.cpg_dispatch,
        }

    @property
    def peer(self) -> Peer:
        """Return whom we are connected to."""
        assert self._peer is not None, "open() comes first"  # noqa: S101 - narrows the type
        return self._peer

    @property
    def inbox(self) -> Inbox:
        """Return where the callbacks put their events."""
        return self._inbox

    def filenos(self) -> tuple[int, ...]:
        """Return the descriptors to watch."""
        return self._fds

    def open(self, facts: ClusterFacts) -> None:
        """Open the handles and join. Raises `CorosyncError`; close() then frees the rest."""
        lib = self._lib
        has_provider = self._open_quorum() == lib.QUORUM_SET
        self._open_cfg()
        self._open_cpg()
        node = self._ffi.new("unsigned int *")
        check(lib.cpg_local_get(self._handles[Library.CPG], node), "cpg_local_get")
        self._peer = Peer(
            local=GroupMember(node[0], os.getpid()),
            facts=facts,
            has_quorum_provider=has_provider,
        )
        self._fds = self._watched()
        track = lib.quorum_trackstart(self._handles[Library.QUORUM], lib.CS_TRACK_CHANGES)
        check(track, "quorum_trackstart")
        check(lib.corosync_cfg_trackstart(self._handles[Library.CFG], 0), "corosync_cfg_trackstart")
        check(lib.cpg_join(self._handles[Library.CPG], self._group), "cpg_join")

    def dispatch(self, library: Library) -> Dispatched:
        """Let one callback of this library run, if one is due."""
        code = self._dispatchers[library](
            self._handles[library], self._lib.CS_DISPATCH_ONE_NONBLOCKING
        )
        if code == self._lib.CS_ERR_TRY_AGAIN:
            return Dispatched.NOTHING
        check(code, f"{library.value}_dispatch")
        return Dispatched.EVENT

    def multicast(self, frame: bytes) -> Sent:
        """Hand one frame to corosync, which copies it before it returns."""
        self._iovec.iov_base = self._ffi.from_buffer(frame)
        self._iovec.iov_len = len(frame)
        code = self._lib.cpg_mcast_joined(
            self._handles[Library.CPG], self._lib.CPG_TYPE_AGREED, self._iovec, 1
        )
        if code in (self._lib.CS_ERR_TRY_AGAIN, self._lib.CS_ERR_INTERRUPT):
            return Sent.TRY_AGAIN
        check(code, "cpg_mcast_joined")
        return Sent.TAKEN

    def leave(self) -> None:
        """Leave the group."""
        with self._blocking:
            check(self._lib.cpg_leave(self._handles[Library.CPG], self._group), "cpg_leave")

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer a shutdown request."""
        flags = {
            ShutdownAnswer.YES: self._lib.COROSYNC_CFG_SHUTDOWN_FLAG_YES,
            ShutdownAnswer.NO: self._lib.COROSYNC_CFG_SHUTDOWN_FLAG_NO,
        }
        with self._blocking:
            handle = self._handles[Library.CFG]
            code = self._lib.corosync_cfg_replyto_shutdown(handle, flags[answer])
        check(code, "corosync_cfg_replyto_shutdown")

    def close(self) -> None:
        """Finalize all handles; that frees them whatever it returns."""
        finalizers = {
            Library.QUORUM: self._lib.quorum_finalize,
            Library.CFG: self._lib.corosync_cfg_finalize,
            Library.CPG: self._lib.cpg_finalize,
        }
        with self._blocking:
            for library, handle in self._handles.items():
                unregister(library.value, handle)
                finalizers[library](handle)
            self._handles.clear()

    def _group_name(self, group: str) -> "CData":
        name, encoded = self._ffi.new("struct cpg_name *"), group.encode()
        if len(encoded) > self._lib.CPG_MAX_NAME_LENGTH:
            limit = self._lib.CPG_MAX_NAME_LENGTH
            message = f"group name {group!r} has {len(encoded)} bytes, the limit is {limit}"
            raise ValueError(message)
        name.length = len(encoded)
        self._ffi.buffer(name.value)[0 : len(encoded)] = encoded
        return name

    def _opened(self, library: Library, handle: "CData", code: int, call: str) -> None:
        check(code, call)
        self._handles[library] = handle[0]
        register(library.value, handle[0], self._inbox)

    def _open_quorum(self) -> int:
        """Return the type of the quorum provider."""
        ffi, lib = self._ffi, self._lib
        model = ffi.new("quorum_model_v1_data_t *")
        model.model = lib.QUORUM_MODEL_V1
        model.quorum_notify_fn = lib.rgmgr_quorum_notify
        model.nodelist_notify_fn = lib.rgmgr_quorum_nodelist
        handle, kind = ffi.new("quorum_handle_t *"), ffi.new("uint32_t *")
        data = ffi.cast("quorum_model_data_t *", model)
        code = lib.quorum_model_initialize(handle, lib.QUORUM_MODEL_V1, data, kind, ffi.NULL)
        self._opened(Library.QUORUM, handle, code, "quorum_model_initialize")
        return int(kind[0])

    def _open_cfg(self) -> None:
        callbacks = self._ffi.new("corosync_cfg_callbacks_t *")
        callbacks.corosync_cfg_shutdown_callback = self._lib.rgmgr_cfg_shutdown
        handle = self._ffi.new("corosync_cfg_handle_t *")
        code = self._lib.corosync_cfg_initialize(handle, callbacks)
        self._opened(Library.CFG, handle, code, "corosync_cfg_initialize")

    def _open_cpg(self) -> None:
        ffi, lib = self._ffi, self._lib
        model = ffi.new("cpg_model_v1_data_t *")
        model.model = lib.CPG_MODEL_V1
        model.cpg_deliver_fn = lib.rgmgr_cpg_deliver
        model.cpg_confchg_fn = lib.rgmgr_cpg_confchg
        model.cpg_totem_confchg_fn = lib.rgmgr_cpg_totem_confchg
        model.flags = lib.CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF
        handle = ffi.new("cpg_handle_t *")
        data = ffi.cast("cpg_model_data_t *", model)
        code = lib.cpg_model_initialize(handle, lib.CPG_MODEL_V1, data, ffi.NULL)
        self._opened(Library.CPG, handle, code, "cpg_model_initialize")

    def _watched(self) -> tuple[int, ...]:
        """Return the descriptors; libcfg wants another C type for its own."""
        ffi, lib, fds = self._ffi, self._lib, []
        for library, get, c_type in (
            (Library.QUORUM, lib.quorum_fd_get, "int *"),
            (Library.CFG, lib.corosync_cfg_fd_get, "int32_t *"),
            (Library.CPG, lib.cpg_fd_get, "int *"),
        ):
            fd = ffi.new(c_type)
            check(get(self._handles[library], fd), f"{library.value}_fd_get")
            fds.append(int(fd[0]))
        return tuple(fds)
