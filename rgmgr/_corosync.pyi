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
    def cast(self, cdecl: str, source: CData | int) -> CData: ...
    def string(self, cdata: CData, maxlen: int = ...) -> bytes: ...
    def unpack(self, cdata: CData, length: int) -> Any: ...
    def buffer(self, cdata: CData, size: int = ...) -> memoryview: ...
    def from_buffer(self, data: bytes) -> CData: ...
    def def_extern(
        self, *, name: str, onerror: Callable[[Any, Any, Any], None]
    ) -> Callable[[Callable[..., None]], Callable[..., None]]: ...

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
    CS_DISPATCH_ONE_NONBLOCKING: int
    CS_TRACK_CHANGES: int

    CPG_TYPE_AGREED: int
    CPG_REASON_JOIN: int
    CPG_REASON_LEAVE: int
    CPG_REASON_NODEDOWN: int
    CPG_REASON_NODEUP: int
    CPG_REASON_PROCDOWN: int
    CPG_MODEL_V1: int
    CPG_MAX_NAME_LENGTH: int
    CPG_MODEL_V1_DELIVER_INITIAL_TOTEM_CONF: int
    rgmgr_cpg_deliver: CData
    rgmgr_cpg_confchg: CData
    rgmgr_cpg_totem_confchg: CData
    def cpg_model_initialize(
        self, handle: CData, model: int, model_data: CData, context: CData
    ) -> int: ...
    def cpg_finalize(self, handle: int) -> int: ...
    def cpg_fd_get(self, handle: int, fd: CData) -> int: ...
    def cpg_dispatch(self, handle: int, dispatch_types: int) -> int: ...
    def cpg_join(self, handle: int, group: CData) -> int: ...
    def cpg_leave(self, handle: int, group: CData) -> int: ...
    def cpg_mcast_joined(self, handle: int, guarantee: int, iovec: CData, iov_len: int) -> int: ...
    def cpg_local_get(self, handle: int, local_nodeid: CData) -> int: ...

    QUORUM_MODEL_V1: int
    QUORUM_SET: int
    rgmgr_quorum_notify: CData
    rgmgr_quorum_nodelist: CData
    def quorum_model_initialize(
        self, handle: CData, model: int, model_data: CData, quorum_type: CData, context: CData
    ) -> int: ...
    def quorum_finalize(self, handle: int) -> int: ...
    def quorum_fd_get(self, handle: int, fd: CData) -> int: ...
    def quorum_dispatch(self, handle: int, dispatch_types: int) -> int: ...
    def quorum_trackstart(self, handle: int, flags: int) -> int: ...

    COROSYNC_CFG_SHUTDOWN_FLAG_REQUEST: int
    COROSYNC_CFG_SHUTDOWN_FLAG_REGARDLESS: int
    COROSYNC_CFG_SHUTDOWN_FLAG_NO: int
    COROSYNC_CFG_SHUTDOWN_FLAG_YES: int
    rgmgr_cfg_shutdown: CData
    def corosync_cfg_initialize(self, cfg_handle: CData, cfg_callbacks: CData) -> int: ...
    def corosync_cfg_finalize(self, cfg_handle: int) -> int: ...
    def corosync_cfg_fd_get(self, cfg_handle: int, selection_fd: CData) -> int: ...
    def corosync_cfg_dispatch(self, cfg_handle: int, dispatch_flags: int) -> int: ...
    def corosync_cfg_trackstart(self, cfg_handle: int, track_flags: int) -> int: ...
    def corosync_cfg_replyto_shutdown(self, cfg_handle: int, flags: int) -> int: ...

    CMAP_VALUETYPE_INT8: int
    CMAP_VALUETYPE_UINT8: int
    CMAP_VALUETYPE_INT16: int
    CMAP_VALUETYPE_UINT16: int
    CMAP_VALUETYPE_INT32: int
    CMAP_VALUETYPE_UINT32: int
    CMAP_VALUETYPE_INT64: int
    CMAP_VALUETYPE_UINT64: int
    CMAP_VALUETYPE_STRING: int
    CMAP_MAP_ICMAP: int
    CMAP_KEYNAME_MAXLEN: int
    def cmap_initialize_map(self, handle: CData, map: int) -> int: ...  # noqa: A002 - the C name
    def cmap_finalize(self, handle: int) -> int: ...
    def cmap_get(
        self,
        handle: int,
        key_name: bytes,
        value: CData,
        value_len: CData,
        type: CData,  # noqa: A002
    ) -> int: ...
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

ffi: Ffi
lib: Lib
