# SPDX-License-Identifier: Apache-2.0
"""The types of resources and their parameters: one table per type.

Checks the values that can be checked without looking at a machine. What systemd would corrupt in a
transient unit at its next reload (`$`, `;`, line breaks) is refused here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

from rgmgr.config.names import UNIT_NAME_LENGTH_MAX, mount_unit_length
from rgmgr.config.problems import Rejection, did_you_mean, listed, shown, unprintable
from rgmgr.config.table import Table

UNIT_SUFFIXES = ("service", "socket", "target", "timer", "path", "mount", "automount", "swap")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_OWN_UNITS = ("corosync.service", "rgmgrd.service")
_ADDRESS = re.compile(r"([^/%]+)/([0-9]{1,3})")
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")
_FSTYPE = re.compile(r"[A-Za-z0-9_.-]+")
_CORRUPTED = "$;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a type. `parse` returns the value in its canonical form."""

    name: str
    help: str
    parse: Callable[[str], str | Rejection]
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A type of resources. `title` is the parameter that is its name when none is given."""

    name: str
    help: str
    title: str
    parameters: tuple[Parameter, ...]


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


RESOURCE_TYPES = {
    kind.name: kind
    for kind in (
        ResourceType(
            name="systemd",
            help="a unit that is installed on the nodes",
            title="unit",
            parameters=(
                Parameter(
                    name="unit",
                    help="full name of the unit, such as nginx.service",
                    parse=parse_unit,
                    required=True,
                ),
            ),
        ),
        ResourceType(
            name="ip",
            help="an address that clients use",
            title="address",
            parameters=(
                Parameter(
                    name="address",
                    help="IPv4 or IPv6 address with prefix length, such as 10.0.0.100/24",
                    parse=parse_address,
                    required=True,
                ),
                Parameter(
                    name="device",
                    help="network interface; without it the one that is in the same network",
                    parse=parse_interface,
                ),
            ),
        ),
        ResourceType(
            name="fs",
            help="a file system on a shared device",
            title="mountpoint",
            parameters=(
                Parameter(
                    name="device",
                    help="what is mounted: a path, LABEL=... or UUID=...",
                    parse=parse_plain,
                    required=True,
                ),
                Parameter(
                    name="mountpoint",
                    help="absolute path of the directory to mount on; made when missing",
                    parse=parse_mountpoint,
                    required=True,
                ),
                Parameter(
                    name="fstype",
                    help="type of the file system, such as xfs",
                    parse=parse_fstype,
                    required=True,
                ),
                Parameter(
                    name="options",
                    help="mount options, separated by commas",
                    parse=parse_plain,
                ),
            ),
        ),
    )
}


def find_type(table: Table) -> ResourceType | None:
    """Return the type that a table's key `type` names; note the problem when there is none."""
    name = table.required_text("type", f"one of {listed(RESOURCE_TYPES)}")
    if name is None or name in RESOURCE_TYPES:
        return RESOURCE_TYPES[name] if name else None
    hint = did_you_mean(name, RESOURCE_TYPES) or f"known types: {listed(RESOURCE_TYPES)}"
    table.problems.add(table.at("type"), f"unknown resource type {shown(name)}", hint)
    return None


def read_parameters(kind: ResourceType, table: Table) -> dict[str, str]:
    """Return the parameters that are there and right, note the others."""
    values = {}
    for parameter in kind.parameters:
        value = _read_parameter(parameter, table)
        if value is not None:
            values[parameter.name] = value
    return values


def _read_parameter(parameter: Parameter, table: Table) -> str | None:
    if parameter.required:
        text = table.required_text(parameter.name, parameter.help)
    else:
        text = table.text(parameter.name)
    return None if text is None else accept(parameter.parse(text), table, parameter.name)


def accept(parsed: str | Rejection, table: Table, key: str) -> str | None:
    """Return a value that was accepted; otherwise note why not and return None."""
    if isinstance(parsed, Rejection):
        table.problems.reject(table.at(key), parsed)
        return None
    return parsed
