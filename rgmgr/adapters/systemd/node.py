# SPDX-License-Identifier: Apache-2.0
"""What the kernel says of this node's mounts and addresses: the truth behind the units.

Only looks. Mounts come from mountinfo, never by touching a mounted file system, which may hang.
Addresses come from one netlink dump; `/sys` shows another network namespace in containers.
Source: proc_pid_mountinfo(5), rtnetlink(7).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_MOUNTINFO = (Path("/proc/1/mountinfo"), Path("/proc/self/mountinfo"))
_TAGS = {
    "UUID": "by-uuid",
    "LABEL": "by-label",
    "PARTUUID": "by-partuuid",
    "PARTLABEL": "by-partlabel",
}
_UNSAFE_IN_LINK = re.compile(r"[^A-Za-z0-9#+.:=@_\u0080-\U0010ffff-]")  # as udev writes it
_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNTINFO_FIELDS_MIN = 10

_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST_DUMP = 0x301
_RTMGRP_WATCHED = 0x1 | 0x10 | 0x100  # LINK, IPV4_IFADDR, IPV6_IFADDR
_IFLA_IFNAME = 3
_IFF_LOWER_UP = 0x10000
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_IFADDRMSG = struct.Struct("=BBBBI")
_IFINFOMSG = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE_BYTES = 65536
_INT_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One layer of one mount point."""

    mountpoint: str
    device: str
    fstype: str
    device_number: str  # major:minor
    root: str = "/"  # the directory of that file system that is mounted
    is_read_only: bool = False  # the mount, or the whole file system


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One address on one interface."""

    ip: str
    interface: str


class NodeFacts(Protocol):
    """What the systemd adapter asks of a node."""

    def mounts(self) -> list[Mount]:
        """Return all mounts; upper layers come after lower ones."""
        ...

    def addresses(self) -> list[Address]:
        """Return all addresses of all interfaces."""
        ...

    def linked(self) -> set[str]:
        """Return the interfaces that are up and have a link."""
        ...


class ThisNode:
    """The node that we run on."""

    def mounts(self) -> list[Mount]:
        """Read PID 1's mounts, or our own when it is not ours to see them."""
        for path in _MOUNTINFO:
            with contextlib.suppress(PermissionError):
                return parse_mountinfo(path.read_text(encoding="utf-8", errors="replace"))
        return []

    def addresses(self) -> list[Address]:
        """Ask the kernel once, by netlink."""
        found: list[Address] = []
        for payload in _dump(_RTM_GETADDR, _RTM_NEWADDR, _IFADDRMSG.pack(0, 0, 0, 0, 0)):
            found.extend(_address(payload))
        return found

    def linked(self) -> set[str]:
        """Ask the kernel once, by netlink."""
        states = map(_link, _dump(_RTM_GETLINK, _RTM_NEWLINK, _IFINFOMSG.pack(0, 0, 0, 0, 0)))
        return {name for name, has_link in states if has_link}


class AddressWatch:
    """Calls back, from the event loop, when an address was taken off this node, or a link lost."""

    def __init__(
        self,
        removed: Callable[[str], None],
        unlinked: Callable[[], None],
        overflowed: Callable[[], None],
    ) -> None:
        self._removed = removed
        self._unlinked = unlinked
        self._overflowed = overflowed
        self._link = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._link.bind((0, _RTMGRP_WATCHED))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._link.fileno(), self._read)

    def close(self) -> None:
        """Stop watching."""
        self._loop.remove_reader(self._link.fileno())
        self._link.close()

    def _read(self) -> None:
        try:
            data = self._link.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: the kernel dropped notices
            self._overflowed()
            return
        for kind, payload in _messages(data):
            if kind == _RTM_DELADDR:
                for address in _address(payload):
                    self._removed(address.ip)
            elif kind == _RTM_NEWLINK and not _link(payload)[1]:
                self._unlinked()


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the mounts of a mountinfo text, in its order."""
    mounts = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) < _MOUNTINFO_FIELDS_MIN or "-" not in fields:
            continue
        fstype, device, *options = fields[fields.index("-", 6) + 1 :][:3]
        mounts.append(
            Mount(
                mountpoint=_unquoted(fields[4]),
                device=_unquoted(device),
                fstype=fstype,
                device_number=fields[2],
                root=_unquoted(fields[3]),
                is_read_only=any("ro" in told.split(",") for told in (fields[5], *options)),
            )
        )
    return mounts


def same_device(mount: Mount, device: str) -> bool:
    """Tell whether a mount is of this device, under whichever of its names."""
    if mount.device.rstrip("/") == device.rstrip("/"):
        return True
    device = _untagged(device)
    if not device.startswith("/"):
        return False
    if os.path.realpath(device) == os.path.realpath(mount.device):
        return True
    with contextlib.suppress(OSError):
        number = os.stat(device).st_rdev  # noqa: PTH116 - a device node, no path work
        return f"{os.major(number)}:{os.minor(number)}" == mount.device_number
    return False


def _untagged(device: str) -> str:
    """Return the path of a device that is named by what it holds, as udev keeps it."""
    tag, _, value = device.partition("=")
    folder = _TAGS.get(tag)
    if folder is None:
        return device
    return f"/dev/disk/{folder}/{_UNSAFE_IN_LINK.sub(_hex, value.strip(chr(34)))}"


def _hex(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode())


def _unquoted(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _dump(request: int, wanted: int, body: bytes) -> Iterator[bytes]:
    """Yield the payloads of a netlink dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(2.0)
        header = _HEADER.pack(_HEADER.size + len(body), request, _NLM_F_REQUEST_DUMP, 1, 0)
        link.sendto(header + body, (0, 0))
        while True:
            for kind, payload in _messages(link.recv(_RECEIVE_BYTES)):
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    _refuse_failed_dump(payload)
                    return
                if kind == wanted:
                    yield payload


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split what came from netlink into (type, payload)."""
    at = 0
    while at + _HEADER.size <= len(data):
        size, kind, _, _, _ = _HEADER.unpack_from(data, at)
        if size < _HEADER.size:
            return
        yield kind, data[at + _HEADER.size : at + size]
        at += (size + 3) & ~3


def _refuse_failed_dump(payload: bytes) -> None:
    """Raise OSError when the kernel gave up: an unfinished list must not look like a short one."""
    code = struct.unpack_from("=i", payload)[0] if len(payload) >= _INT_BYTES else 0
    if code < 0:
        raise OSError(-code, f"cannot list what the network of this node has: {os.strerror(-code)}")


def _address(payload: bytes) -> Iterator[Address]:
    """Yield the address of a RTM_*ADDR message, if it has one."""
    family, _, _, _, index = _IFADDRMSG.unpack_from(payload)
    found = _attributes(payload, _IFADDRMSG.size)
    raw = found.get(_IFA_LOCAL, found.get(_IFA_ADDRESS))
    if raw is None or family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        interface = socket.if_indextoname(index)
    except OSError:  # it went away with its address
        interface = ""
    yield Address(ip=socket.inet_ntop(family, raw), interface=interface)


def _link(payload: bytes) -> tuple[str, bool]:
    """Return the name of a RTM_NEWLINK message's interface, and whether it has a link."""
    _, _, _, flags, _ = _IFINFOMSG.unpack_from(payload)
    name = _attributes(payload, _IFINFOMSG.size).get(_IFLA_IFNAME, b"")
    return name.rstrip(b"\0").decode(errors="replace"), bool(flags & _IFF_LOWER_UP)


def _attributes(payload: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while at + _ATTRIBUTE.size <= len(payload):
        size, kind = _ATTRIBUTE.unpack_from(payload, at)
        if size < _ATTRIBUTE.size:
            break
        found[kind] = payload[at + _ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3
    return found
