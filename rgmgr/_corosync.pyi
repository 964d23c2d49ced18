# SPDX-License-Identifier: Apache-2.0
# What the compiled binding offers; a test compares it with the real thing.
from collections.abc import Callable
from typing import Any

class CData:
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: object) -> None: ...
    def __getitem__(self, index: int | slice) -> Any: ...
    def __setitem__(self, index: int | slice, value: object) -> None: ...

class Ffi:
    NULL: CData
    def new(self, cdecl: str, init: object = ...) -> CData: ...
    def new_allocator(self, *, should_clear_after_alloc: bool) -> Callable[[str, int], CData]: ...
    def string(self, cdata: CData, maxlen: int = ...) -> bytes: ...
    def from_buffer(self, data: bytes) -> CData: ...
    def buffer(self, cdata: CData, size: int = ...) -> memoryview: ...

class Lib:
    CS_OK: int
    CS_ERR_LIBRARY: int
    CS_ERR_VERSION: int
    CS_ERR_INIT: int
    CS_ERR_TIMEOUT: int
    CS_ERR_TRY_AGAIN: int
    CS_ERR_INVALID_PARAM: int
    CS_ERR_NO_MEMORY: int
    CS_ERR_BAD_HANDLE: int
    CS_ERR_BUSY: int
    CS_ERR_ACCESS: int
    CS_ERR_NOT_EXIST: int
    CS_ERR_NAME_TOO_LONG: int
    CS_ERR_EXIST: int
    CS_ERR_NO_SPACE: int
    CS_ERR_INTERRUPT: int
    CS_ERR_NAME_NOT_FOUND: int
    CS_ERR_NO_RESOURCES: int
    CS_ERR_NOT_SUPPORTED: int
    CS_ERR_BAD_OPERATION: int
    CS_ERR_FAILED_OPERATION: int
    CS_ERR_MESSAGE_ERROR: int
    CS_ERR_QUEUE_FULL: int
    CS_ERR_QUEUE_NOT_AVAILABLE: int
    CS_ERR_BAD_FLAGS: int
    CS_ERR_TOO_BIG: int
    CS_ERR_NO_SECTIONS: int
    CS_ERR_CONTEXT_NOT_FOUND: int
    CS_ERR_TOO_MANY_GROUPS: int
    CS_ERR_SECURITY: int
    CS_TRACK_CHANGES: int
    RGMGR_CPG: int
    RGMGR_QUORUM: int
    RGMGR_VOTEQUORUM: int
    RGMGR_CFG: int
    RGMGR_CMAP: int
    def rgmgr_dispatch(self, library: int, handle: int, batch: CData, events_max: int) -> int: ...
    def rgmgr_fd(self, library: int, handle: int, fd: CData) -> int: ...
    def rgmgr_finalize(self, library: int, handle: int) -> int: ...
    def free(self, memory: CData) -> None: ...

    CPG_ITERATION_ALL: int
    CPG_MAX_NAME_LENGTH: int
    def rgmgr_cpg_open(self, handle: CData) -> int: ...
    def rgmgr_cpg_multicast(
        self, handle: int, messages: CData, sizes: CData, count: int, taken: CData
    ) -> int: ...
    def cpg_join(self, handle: int, group: CData) -> int: ...
    def cpg_leave(self, handle: int, group: CData) -> int: ...
    def cpg_local_get(self, handle: int, local_nodeid: CData) -> int: ...
    def cpg_max_atomic_msgsize_get(self, handle: int, size: CData) -> int: ...
    def cpg_membership_get(
        self, handle: int, group: CData, member_list: CData, member_list_entries: CData
    ) -> int: ...
    def cpg_iteration_initialize(
        self, handle: int, iteration_type: int, group: CData, iteration: CData
    ) -> int: ...
    def cpg_iteration_next(self, iteration: int, description: CData) -> int: ...
    def cpg_iteration_finalize(self, iteration: int) -> int: ...

    QUORUM_SET: int
    def rgmgr_quorum_open(self, handle: CData, type: CData) -> int: ...  # noqa: A002 - the C name
    def quorum_getquorate(self, handle: int, quorate: CData) -> int: ...
    def quorum_trackstart(self, handle: int, flags: int) -> int: ...
    def quorum_trackstop(self, handle: int) -> int: ...

    VOTEQUORUM_INFO_TWONODE: int
    VOTEQUORUM_INFO_QUORATE: int
    VOTEQUORUM_INFO_WAIT_FOR_ALL: int
    VOTEQUORUM_INFO_LAST_MAN_STANDING: int
    VOTEQUORUM_INFO_AUTO_TIE_BREAKER: int
    VOTEQUORUM_INFO_ALLOW_DOWNSCALE: int
    VOTEQUORUM_INFO_QDEVICE_REGISTERED: int
    VOTEQUORUM_INFO_QDEVICE_ALIVE: int
    VOTEQUORUM_INFO_QDEVICE_CAST_VOTE: int
    VOTEQUORUM_INFO_QDEVICE_MASTER_WINS: int
    def rgmgr_votequorum_open(self, handle: CData) -> int: ...
    def votequorum_getinfo(self, handle: int, nodeid: int, info: CData) -> int: ...
    def votequorum_setexpected(self, handle: int, expected_votes: int) -> int: ...
    def votequorum_setvotes(self, handle: int, nodeid: int, votes: int) -> int: ...
    def votequorum_trackstart(self, handle: int, context: int, flags: int) -> int: ...
    def votequorum_trackstop(self, handle: int) -> int: ...

    COROSYNC_CFG_SHUTDOWN_FLAG_NO: int
    COROSYNC_CFG_SHUTDOWN_FLAG_YES: int
    CFG_NODE_STATUS_V1: int
    CFG_MAX_LINKS: int
    def rgmgr_cfg_open(self, handle: CData) -> int: ...
    def corosync_cfg_node_status_get(
        self, handle: int, nodeid: int, version: int, node_status: CData
    ) -> int: ...
    def corosync_cfg_local_get(self, handle: int, local_nodeid: CData) -> int: ...
    def corosync_cfg_get_node_addrs(
        self, handle: int, nodeid: int, max_addrs: int, num_addrs: CData, addrs: CData
    ) -> int: ...
    def corosync_cfg_ring_status_get(
        self, handle: int, interface_names: CData, status: CData, interface_count: CData
    ) -> int: ...
    def corosync_cfg_trackstart(self, handle: int, track_flags: int) -> int: ...
    def corosync_cfg_trackstop(self, handle: int) -> int: ...
    def corosync_cfg_replyto_shutdown(self, handle: int, flags: int) -> int: ...

    CMAP_VALUETYPE_INT8: int
    CMAP_VALUETYPE_UINT8: int
    CMAP_VALUETYPE_INT16: int
    CMAP_VALUETYPE_UINT16: int
    CMAP_VALUETYPE_INT32: int
    CMAP_VALUETYPE_UINT32: int
    CMAP_VALUETYPE_INT64: int
    CMAP_VALUETYPE_UINT64: int
    CMAP_VALUETYPE_FLOAT: int
    CMAP_VALUETYPE_DOUBLE: int
    CMAP_VALUETYPE_STRING: int
    CMAP_VALUETYPE_BINARY: int
    CMAP_MAP_ICMAP: int
    CMAP_MAP_STATS: int
    CMAP_KEYNAME_MAXLEN: int
    CMAP_TRACK_ADD: int
    CMAP_TRACK_DELETE: int
    CMAP_TRACK_MODIFY: int
    CMAP_TRACK_PREFIX: int
    def cmap_initialize_map(self, handle: CData, map: int) -> int: ...  # noqa: A002 - the C name
    def cmap_get(
        self,
        handle: int,
        key_name: bytes,
        value: CData,
        value_len: CData,
        type: CData,  # noqa: A002
    ) -> int: ...
    def cmap_set(
        self,
        handle: int,
        key_name: bytes,
        value: bytes,
        value_len: int,
        type: int,  # noqa: A002
    ) -> int: ...
    def cmap_delete(self, handle: int, key_name: bytes) -> int: ...
    def cmap_iter_init(self, handle: int, prefix: bytes, cmap_iter_handle: CData) -> int: ...
    def cmap_iter_next(
        self,
        handle: int,
        iter_handle: int,
        key_name: CData,
        value_len: CData,
        type: CData,  # noqa: A002
    ) -> int: ...
    def cmap_iter_finalize(self, handle: int, iter_handle: int) -> int: ...
    def rgmgr_cmap_track(self, handle: int, key: bytes, events: int, track: CData) -> int: ...
    def cmap_track_delete(self, handle: int, track: int) -> int: ...

ffi: Ffi
lib: Lib
