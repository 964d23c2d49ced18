# SPDX-License-Identifier: Apache-2.0
"""libcfg: links, addresses, and the question whether corosync may stop.

Left out: `corosync_cfg_kill_node` is no fencing (it stops no service, proves nothing, and returns
garbage once corosync is gone); `corosync_cfg_try_shutdown`, `_reload_config` and
`_reopen_log_files` are an administrator's, by corosync-cfgtool(8).

Source: corosync_cfg.h, corosync-cfgtool(8).
"""

import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rgmgr.adapters.corosync.binding import load
from rgmgr.adapters.corosync.events import ShutdownAnswer
from rgmgr.adapters.corosync.handle import Handle

if TYPE_CHECKING:
    from rgmgr._corosync import CData


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkStatus:
    """One knet link to a node, as this node sees it."""

    link: int  # 0 to 7
    local_address: str
    address: str
    is_enabled: bool
    is_connected: bool
    mtu_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """A node as knet sees it."""

    node: int
    is_reachable: bool
    links: tuple[LinkStatus, ...]  # those that are configured, ascending


class CfgHandle(Handle):
    """Links and shutdown. `dispatch` returns `ShutdownRequested`, after `track_shutdown`."""

    def __init__(self) -> None:
        """Connect."""
        super().__init__(load().lib.RGMGR_CFG, "corosync_cfg")
        self._opened(self._lib.rgmgr_cfg_open(self._handle), "corosync_cfg_initialize")

    def local_node(self) -> int:
        """Return the id of this node."""
        node = self._ffi.new("unsigned int *")
        self._ask(self._lib.corosync_cfg_local_get, node)
        return int(node[0])

    def addresses(self, node: int) -> tuple[str, ...]:
        """Return the addresses of a node, one for each link, ascending by link."""
        count, room = self._ffi.new("int *"), self._lib.CFG_MAX_LINKS
        found = self._ffi.new("corosync_cfg_node_address_t[]", room)
        self._ask(self._lib.corosync_cfg_get_node_addrs, node, room, count, found)
        return tuple(
            _address(bytes(self._ffi.buffer(found[i].address))) for i in range(min(count[0], room))
        )

    def node_status(self, node: int) -> NodeStatus:
        """Return the links to a node; CS_ERR_FAILED_OPERATION for a node not in the list."""
        status = self._ffi.new("struct corosync_cfg_node_status_v1 *")
        self._ask(
            self._lib.corosync_cfg_node_status_get, node, self._lib.CFG_NODE_STATUS_V1, status
        )
        links = (self._link(number, link) for number, link in enumerate(status.link_status))
        return NodeStatus(
            node=status.nodeid,
            is_reachable=bool(status.reachable),
            links=tuple(link for link in links if link.is_enabled),
        )

    def ring_status(self) -> dict[str, str]:
        """Return corosync's line for each of our own links, by its name "number address"."""
        ffi, lib = self._ffi, self._lib
        names, lines = ffi.new("char ***"), ffi.new("char ***")
        count = ffi.new("unsigned int *")
        self._ask(lib.corosync_cfg_ring_status_get, names, lines, count)
        try:
            return {
                ffi.string(names[0][i]).decode(): ffi.string(lines[0][i]).decode()
                for i in range(count[0])
            }
        finally:
            for texts in (names[0], lines[0]):
                for i in range(count[0]):
                    lib.free(texts[i])
                lib.free(texts)

    def track_shutdown(self) -> None:
        """Ask to be asked before corosync stops; SIGTERM stops it unasked all the same."""
        self._ask(self._lib.corosync_cfg_trackstart, 0)

    def untrack_shutdown(self) -> None:
        """Ask to be asked no more."""
        self._ask(self._lib.corosync_cfg_trackstop)

    def answer_shutdown(self, answer: ShutdownAnswer) -> None:
        """Answer `ShutdownRequested`: NO counts only where corosync can be refused (ASKED).

        Where it is FORCED, corosync stops at a NO at once, and without an answer after
        cfg.shutdown_timeout (5 s): so answer YES when done.
        """
        flags = {
            ShutdownAnswer.YES: self._lib.COROSYNC_CFG_SHUTDOWN_FLAG_YES,
            ShutdownAnswer.NO: self._lib.COROSYNC_CFG_SHUTDOWN_FLAG_NO,
        }
        self._ask(self._lib.corosync_cfg_replyto_shutdown, flags[answer])

    def _link(self, number: int, link: "CData") -> LinkStatus:
        return LinkStatus(
            link=number,
            local_address=self._ffi.string(link.src_ipaddr).decode(errors="replace"),
            address=self._ffi.string(link.dst_ipaddr).decode(errors="replace"),
            is_enabled=bool(link.enabled),
            is_connected=bool(link.connected),
            mtu_bytes=link.mtu,
        )


def _address(sockaddr: bytes) -> str:
    """Return the text of a struct sockaddr_in or sockaddr_in6; empty for any other."""
    (family,) = struct.unpack_from("=H", sockaddr)
    if family == socket.AF_INET:
        return socket.inet_ntop(family, sockaddr[4:8])
    return socket.inet_ntop(family, sockaddr[8:24]) if family == socket.AF_INET6 else ""
