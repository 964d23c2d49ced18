# SPDX-License-Identifier: Apache-2.0
"""The values of parameters: each parser returns the canonical form, or why it is refused.

Checks what can be checked without looking at a machine. What systemd would corrupt in a transient
unit at its next reload (`$`, `;`, line breaks) is refused here.
"""

from __future__ import annotations

import ipaddress
import re
import shlex

from rgmgr.config.durations import parse_duration
from rgmgr.config.names import UNIT_NAME_LENGTH_MAX, mount_unit_length
from rgmgr.config.problems import Rejection, did_you_mean, listed, shown, unprintable

UNIT_SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_OWN_UNITS = ("corosync.service", "rgmgrd.service")
_ADDRESS = re.compile(r"([^/%]+)/([0-9]{1,3})")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
_FSTYPE = re.compile(r"[A-Za-z0-9_.-]+")
_CORRUPTED = "$;"
_SECOND_MS = 1_000
_EXPORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._:-]+):/\S*|//[^/\s]+/\S+")
_AGENT = re.compile(r"[A-Za-z0-9_-]+:[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VOLUME = re.compile(r"[A-Za-z0-9_.+][A-Za-z0-9_.+-]{0,126}")
_CONTAINER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:@-]*")
_CLIENT = re.compile(r"@?[A-Za-z0-9_.:*?/\[\]-]+")
_FSID = re.compile(r"root|[0-9]{1,10}|[0-9A-Fa-f-]{32,36}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def parse_plain(text: str) -> str | Rejection:
    """Accept what survives in a transient unit of systemd."""
    bad = unprintable(text) or next((c for c in text if c in _CORRUPTED), None)
    if bad is None:
        return text
    return Rejection(f"{shown(text)} contains {bad!r}, which systemd corrupts at its next reload")


def parse_unit(text: str) -> str | Rejection:
    """Accept the full name of a unit that can be started and stopped."""
    stem, _, suffix = text.rpartition(".")
    if suffix not in UNIT_SUFFIXES or not _UNIT.fullmatch(stem):
        hint = f"did you mean {text + '.service'!r}?" if _UNIT.fullmatch(text) else ""
        return Rejection(f"expected the full name of a systemd unit, got {shown(text)}", hint)
    if len(text) > UNIT_NAME_LENGTH_MAX:
        return Rejection(
            f"the unit name {shown(text)} has {len(text)} characters,"
            f" systemd allows {UNIT_NAME_LENGTH_MAX}"
        )
    if stem.endswith("@"):
        hint = f"name an instance, such as {stem + 'main.' + suffix!r}"
        return Rejection(f"{shown(text)} is a template, which cannot be started", hint)
    if text in _OWN_UNITS or text.startswith("rgmgr-"):
        return Rejection(f"{shown(text)} belongs to the cluster itself")
    return text


def parse_address(text: str) -> str | Rejection:
    """Accept an address of a host with its prefix length; IPv6 in its short form."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        hint = f"add the prefix length of its network, such as {text + '/24'!r}"
        is_bare = re.fullmatch(r"[0-9A-Fa-f.:]+", text)
        return Rejection(_address_expected(text), hint if is_bare else "")
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        return Rejection(_address_expected(text))
    address, network = interface.ip, interface.network
    if address.is_multicast or address.is_unspecified:
        return Rejection(f"{shown(text)} is not the address of a host")
    is_short = network.prefixlen < network.max_prefixlen - 1
    if is_short and address in (network.network_address, _broadcast(network)):
        return Rejection(
            f"{shown(text)} is not the address of a host, but of its network {network}"
        )
    return str(interface)


def _address_expected(text: str) -> str:
    return f"expected an IPv4 or IPv6 address with a prefix length, got {shown(text)}"


def _broadcast(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Address | None:
    return network.broadcast_address if isinstance(network, ipaddress.IPv4Network) else None


def parse_interface(text: str) -> str | Rejection:
    """Accept the name of a network interface."""
    if _INTERFACE.fullmatch(text) and text not in (".", ".."):
        return text
    return Rejection(f"expected the name of a network interface, got {shown(text)}")


def parse_mountpoint(text: str) -> str | Rejection:
    """Accept an absolute path without detours; the root is not ours to mount."""
    if not text.startswith("/"):
        return Rejection(f"expected an absolute path, got {shown(text)}")
    components = [part for part in text.split("/") if part not in ("", ".")]
    normal = "/" + "/".join(components)
    if ".." in components or not components:
        return Rejection(f"expected the path of a directory to mount on, got {shown(text)}")
    if normal != text:
        return Rejection(f"expected a normalised path, got {shown(text)}", f"write {shown(normal)}")
    if mount_unit_length(text) > UNIT_NAME_LENGTH_MAX:
        return Rejection(
            f"the path {shown(text)} is too long for the name of a mount unit of systemd",
            f"{UNIT_NAME_LENGTH_MAX} characters, dashes and special ones count four times",
        )
    return parse_plain(text)


def parse_fstype(text: str) -> str | Rejection:
    """Accept the name of a file system type."""
    if _FSTYPE.fullmatch(text):
        return text
    return Rejection(f"expected a file system type such as 'xfs', got {shown(text)}")


def parse_path(text: str) -> str | Rejection:
    """Accept the normalised absolute path of something that exists on the nodes."""
    if not text.startswith("/") or ".." in text.split("/"):
        return Rejection(f"expected an absolute path, got {shown(text)}")
    normal = "/" + "/".join(part for part in text.split("/") if part not in ("", "."))
    if normal != text:
        return Rejection(f"expected a normalised path, got {shown(text)}", f"write {shown(normal)}")
    return parse_plain(text)


def parse_command(text: str) -> str | Rejection:
    """Accept a program with its arguments, quoted as in a shell, which is not run."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return Rejection(f"{shown(text)} cannot be split into words: {error}".lower())
    if not words or not words[0].startswith("/"):
        hint = "a shell's own words need /bin/sh -c '...'"
        return Rejection(f"expected the absolute path of a program, got {shown(text)}", hint)
    return parse_plain(text)


def parse_export(text: str) -> str | Rejection:
    """Accept what a server exports, as mount(8) takes it: HOST:/PATH, or //HOST/SHARE."""
    if _EXPORT.fullmatch(text):
        return parse_plain(text)
    return Rejection(f"expected HOST:/PATH (nfs) or //HOST/SHARE (cifs), got {shown(text)}")


def parse_netfs(text: str) -> str | Rejection:
    """Accept the type of a network file system."""
    return _one_of(text, "nfs", "nfs4", "cifs")


def parse_fsck(text: str) -> str | Rejection:
    """Accept when a file system is checked before it is mounted."""
    return _one_of(text, "never", "auto", "always")


def parse_agent(text: str) -> str | Rejection:
    """Accept the name of an OCF agent, with or without the words `ocf:` before it."""
    name = text.removeprefix("ocf:")
    if _AGENT.fullmatch(name):
        return name
    hint = "see the folders below /usr/lib/ocf/resource.d"
    return Rejection(f"expected PROVIDER:TYPE, got {shown(text)}", hint)


def parse_ready(text: str) -> str | Rejection:
    """Accept how a command says that it is up."""
    return _one_of(text, "exec", "notify")


def parse_user(text: str) -> str | Rejection:
    """Accept the name of a user of the nodes."""
    if _USER.fullmatch(text):
        return text
    return Rejection(f"expected the name of a user, got {shown(text)}")


def parse_volume(text: str) -> str | Rejection:
    """Accept the name of a volume group of LVM, or of a volume in it."""
    return _named(text, _VOLUME, "a volume group or volume")


def parse_protection(text: str) -> str | Rejection:
    """Accept what tells other nodes whose a volume group is."""
    return _one_of(text, "system-id", "tag")


def parse_container(text: str) -> str | Rejection:
    """Accept the name of a container."""
    return _named(text, _CONTAINER, "a container")


def parse_image(text: str) -> str | Rejection:
    """Accept the name of an image of containers."""
    return _named(text, _IMAGE, "an image")


def parse_words(text: str) -> str | Rejection:
    """Accept words for a command line, quoted as in a shell, which is not run."""
    try:
        shlex.split(text)
    except ValueError as error:
        return Rejection(f"{shown(text)} cannot be split into words: {error}".lower())
    return parse_plain(text)


def parse_machine(text: str) -> str | Rejection:
    """Accept the name of a virtual machine; an option of a command is none."""
    if text.startswith("-") or "/" in text:
        return Rejection(f"expected the name of a virtual machine, got {shown(text)}")
    return parse_plain(text)


def parse_migrate(text: str) -> str | Rejection:
    """Accept how a virtual machine is migrated."""
    return _one_of(text, "live", "pause")


def parse_migration_uri(text: str) -> str | Rejection:
    """Accept where libvirt of another node is asked: `%s` stands for the node."""
    if "%s" not in text:
        return Rejection(f"expected a URI with %s for the name of the node, got {shown(text)}")
    return parse_plain(text)


def parse_mapping(text: str) -> str | Rejection:
    """Accept `NODE:NAME,NODE:NAME`: under which names nodes are reached."""
    pairs = [pair.split(":") for pair in text.split(",")]
    if all(len(pair) == len(("node", "name")) and all(map(str.strip, pair)) for pair in pairs):
        return parse_plain(text)
    return Rejection(f"expected NODE:NAME,NODE:NAME, got {shown(text)}")


def parse_seconds(text: str) -> str | Rejection:
    """Accept a time span of at least a second; return its whole seconds."""
    found = parse_duration(text)
    if isinstance(found, Rejection):
        return found
    if found < _SECOND_MS:
        return Rejection(f"expected at least a second, got {shown(text)}")
    return str(found // _SECOND_MS)


def parse_client(text: str) -> str | Rejection:
    """Accept whom something is exported to, as exports(5) has it."""
    return _named(text, _CLIENT, "a client, a network, a netgroup or *")


def parse_fsid(text: str) -> str | Rejection:
    """Accept what names a file system to its clients: a number, or a UUID."""
    return _named(text, _FSID, "a file system: a number, or a UUID")


def _named(text: str, pattern: re.Pattern[str], what: str) -> str | Rejection:
    return text if pattern.fullmatch(text) else Rejection(f"expected {what}, got {shown(text)}")


def _one_of(text: str, *words: str) -> str | Rejection:
    if text in words:
        return text
    hint = did_you_mean(text, words)
    return Rejection(f"expected one of {listed(map(repr, words))}, got {shown(text)}", hint)
