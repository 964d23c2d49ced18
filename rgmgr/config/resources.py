# SPDX-License-Identifier: Apache-2.0
"""The types of resources and their parameters: one table per type.

The values are checked by `values.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from rgmgr.config.inherit import sources
from rgmgr.config.problems import Rejection, did_you_mean, listed, shown, unprintable
from rgmgr.config.table import Table
from rgmgr.config.values import (
    parse_address,
    parse_agent,
    parse_client,
    parse_command,
    parse_container,
    parse_export,
    parse_fsck,
    parse_fsid,
    parse_fstype,
    parse_image,
    parse_interface,
    parse_machine,
    parse_mapping,
    parse_migrate,
    parse_migration_uri,
    parse_mountpoint,
    parse_netfs,
    parse_path,
    parse_plain,
    parse_protection,
    parse_ready,
    parse_seconds,
    parse_unit,
    parse_user,
    parse_volume,
    parse_words,
)
from rgmgr.core.spec import AGENT_OPTION_PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a type. `parse` returns the value in its canonical form."""

    name: str
    help: str
    parse: Callable[[str], str | Rejection]
    required: bool = False
    is_flag: bool = False  # its usual value is not kept, the other one is: as yes or no
    is_usually_on: bool = True  # said of a flag
    usual: str = ""  # kept when it is missing; empty: nothing is


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A type of resources. `title` is the parameter that is its name when none is given."""

    name: str
    help: str
    title: str
    parameters: tuple[Parameter, ...]
    takes_options: bool = False  # a table of options that only the nodes' own program knows
    has_monitor: bool = False  # its program has an action of its own that tells how it is
    usual_check_ms: int = 0  # how often that is asked when no check is named; 0: never


OPTIONS_KEY = "options"
_OPTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

MOUNTPOINT = Parameter(
    name="mountpoint",
    help="absolute path of the directory to mount on; made when missing",
    parse=parse_mountpoint,
    required=True,
)
OPTIONS = Parameter(name="options", help="mount options, separated by commas", parse=parse_plain)
FORCE_UNMOUNT = Parameter(
    name="force_unmount",
    help="whether processes that keep it busy are ended, so that it can be unmounted; false"
    " without it",
    parse=parse_plain,
    is_flag=True,
    is_usually_on=False,
)

MIGRATION = (
    Parameter(
        name="migrate",
        help="how 'rgmgr migrate' takes it to another node: live, or pause (it stands still"
        " meanwhile); live without it",
        parse=parse_migrate,
    ),
    Parameter(
        name="migrate_options",
        help="more options for 'virsh migrate', such as '--p2p --tunnelled'",
        parse=parse_words,
    ),
    Parameter(
        name="migration_uri",
        help="of libvirt on the other node, with %s for its name; qemu+ssh://%s/system without it",
        parse=parse_migration_uri,
    ),
    Parameter(
        name="migration_mapping",
        help="other names of nodes for that, as node1:name1,node2:name2",
        parse=parse_mapping,
    ),
    Parameter(
        name="migrate_timeout",
        help="how long it may be on its way; 10min without it",
        parse=parse_seconds,
    ),
)

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
                Parameter(
                    name="monitor_link",
                    help="whether an interface without link is a failure; true without it",
                    parse=parse_plain,
                    is_flag=True,
                ),
                Parameter(
                    name="duplicate_check",
                    help="whether to ask first who has the address (60 ms); true without it",
                    parse=parse_plain,
                    is_flag=True,
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
                MOUNTPOINT,
                Parameter(
                    name="fstype",
                    help="type of the file system, such as xfs",
                    parse=parse_fstype,
                    required=True,
                ),
                OPTIONS,
                Parameter(
                    name="fsck",
                    help="check and repair before each mount: never, always, or auto: if the type"
                    " keeps no journal; auto without it",
                    parse=parse_fsck,
                ),
                FORCE_UNMOUNT,
            ),
        ),
        ResourceType(
            name="netfs",
            help="a file system of a server",
            title="mountpoint",
            parameters=(
                Parameter(
                    name="device",
                    help="what is mounted: HOST:/PATH, or //HOST/SHARE",
                    parse=parse_export,
                    required=True,
                ),
                MOUNTPOINT,
                Parameter(
                    name="fstype", help="nfs, nfs4 or cifs", parse=parse_netfs, required=True
                ),
                OPTIONS,
                FORCE_UNMOUNT,
            ),
        ),
        ResourceType(
            name="bind-mount",
            help="a directory that is shown at another place, too",
            title="mountpoint",
            parameters=(
                Parameter(
                    name="source",
                    help="absolute path of the directory, without symbolic links",
                    parse=parse_path,
                    required=True,
                ),
                MOUNTPOINT,
                OPTIONS,
                FORCE_UNMOUNT,
            ),
        ),
        ResourceType(
            name="script",
            help="an init script (LSB) that is installed on the nodes",
            title="file",
            parameters=(
                Parameter(
                    name="file",
                    help="absolute path of the script, such as /etc/init.d/app",
                    parse=parse_path,
                    required=True,
                ),
            ),
            has_monitor=True,
        ),
        ResourceType(
            name="ocf",
            help="an agent of the Open Cluster Framework that is installed on the nodes",
            title="name",
            parameters=(
                Parameter(
                    name="agent",
                    help="PROVIDER:TYPE, such as heartbeat:IPaddr2",
                    parse=parse_agent,
                    required=True,
                ),
            ),
            takes_options=True,
            has_monitor=True,
            usual_check_ms=10_000,
        ),
        ResourceType(
            name="lvm",
            help="a volume group on shared storage, or one volume of it",
            title="vg_name",
            parameters=(
                Parameter(
                    name="vg_name", help="the volume group", parse=parse_volume, required=True
                ),
                Parameter(
                    name="lv_name", help="one volume of it; all without it", parse=parse_volume
                ),
                Parameter(
                    name="protection",
                    help="what keeps other nodes from activating it: system-id, which is lvm's own"
                    " and the default, or tag",
                    parse=parse_protection,
                ),
            ),
            has_monitor=True,
            usual_check_ms=60_000,
        ),
        ResourceType(
            name="nfsserver",
            help="the NFS server of the kernel, one on a node",
            title="unit",
            parameters=(
                Parameter(
                    name="unit",
                    help="its unit; nfs-server.service without it",
                    parse=parse_unit,
                    usual="nfs-server.service",
                ),
            ),
        ),
        ResourceType(
            name="nfsexport",
            help="a directory that may be exported: that it is there, and a server as well",
            title="path",
            parameters=(
                Parameter(name="path", help="absolute path", parse=parse_mountpoint, required=True),
                Parameter(
                    name="fsid",
                    help="number or UUID of the file system for the nfsclients below it",
                    parse=parse_fsid,
                ),
            ),
            has_monitor=True,
            usual_check_ms=30_000,
        ),
        ResourceType(
            name="nfsclient",
            help="the export of a directory to one client, or network, or everybody",
            title="name",
            parameters=(
                Parameter(
                    name="target",
                    help="a host, a network such as 10.0.0.0/24, a netgroup such as @hosts, or *",
                    parse=parse_client,
                    required=True,
                ),
                Parameter(
                    name="path",
                    help="absolute path of the directory",
                    parse=parse_mountpoint,
                    required=True,
                ),
                Parameter(
                    name="options",
                    help="export options, separated by commas, such as rw,no_root_squash",
                    parse=parse_plain,
                ),
                Parameter(
                    name="fsid",
                    help="number or UUID of the file system, the same on all nodes: without it"
                    " clients lose their handles at a failover",
                    parse=parse_fsid,
                ),
            ),
            has_monitor=True,
            usual_check_ms=30_000,
        ),
        ResourceType(
            name="podman",
            help="a container, made anew at each start",
            title="container",
            parameters=(
                Parameter(name="container", help="its name", parse=parse_container, required=True),
                Parameter(
                    name="image", help="what it is made from", parse=parse_image, required=True
                ),
                Parameter(
                    name="options",
                    help="of podman run, such as --publish 8080:80 --volume /srv/web:/data",
                    parse=parse_words,
                ),
                Parameter(
                    name="command",
                    help="what runs in it; without it, what the image says",
                    parse=parse_words,
                ),
            ),
        ),
        ResourceType(
            name="vm",
            help="a virtual machine of libvirt",
            title="machine",
            parameters=(
                Parameter(
                    name="machine",
                    help="its name in libvirt",
                    parse=parse_machine,
                    required=True,
                ),
                Parameter(
                    name="xmlfile",
                    help="absolute path of its definition; without it libvirt has one",
                    parse=parse_path,
                ),
                Parameter(
                    name="uri",
                    help="of libvirt; qemu:///system without it",
                    parse=parse_plain,
                ),
                *MIGRATION,
            ),
            has_monitor=True,
            usual_check_ms=30_000,
        ),
        ResourceType(
            name="exec",
            help="a command that runs as long as the resource is up",
            title="name",
            parameters=(
                Parameter(
                    name="command",
                    help="absolute path of the program, and its arguments",
                    parse=parse_command,
                    required=True,
                ),
                Parameter(
                    name="stop_command",
                    help="what asks it to end; without it, it gets SIGTERM",
                    parse=parse_command,
                ),
                Parameter(name="user", help="who runs it; root without it", parse=parse_user),
                Parameter(
                    name="directory", help="working directory; / without it", parse=parse_path
                ),
                Parameter(
                    name="ready",
                    help="up once it is executed (exec), or once it says so (notify)",
                    parse=parse_ready,
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


def known_keys(kind: ResourceType) -> tuple[str, ...]:
    """Return the keys that belong to a type alone."""
    names = tuple(parameter.name for parameter in kind.parameters)
    return (*names, OPTIONS_KEY) if kind.takes_options else names


def read_parameters(kind: ResourceType, table: Table) -> dict[str, str]:
    """Return the parameters that are there and right, note the others."""
    values = _read_options(table) if kind.takes_options else {}
    for parameter in kind.parameters:
        value = read_parameter(parameter, table, may_lack=bool(sources(kind.name, parameter.name)))
        if value is not None:
            values[parameter.name] = value
        elif parameter.usual:
            values[parameter.name] = parameter.usual
    return values


def _read_options(table: Table) -> dict[str, str]:
    """Return the options for an agent under the names in which it gets them."""
    section = Table(table.table(OPTIONS_KEY), table.at(OPTIONS_KEY), table.problems, known=None)
    found = {}
    for key, value in section.raw.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if not _OPTION_NAME.fullmatch(key):
            problem = f"{shown(key)} cannot name an option: letters, digits and _ are allowed"
            table.problems.add(section.at(key), problem)
        elif not isinstance(value, str | int):
            section.wrong(key, "a text, an integer, or true or false")
        elif (bad := unprintable(text)) is not None:
            section.problems.add(section.at(key), f"contains {bad!r}, which no agent can be given")
        else:
            found[AGENT_OPTION_PREFIX + key] = text
    return found


def read_parameter(parameter: Parameter, table: Table, *, may_lack: bool = False) -> str | None:
    """Return a parameter that is there and right; `may_lack`: it is not missed here."""
    if parameter.is_flag:
        is_on = table.boolean(parameter.name, default=parameter.is_usually_on)
        return None if is_on is parameter.is_usually_on else flag_word(is_on=is_on)
    if parameter.required and not may_lack:
        text = table.required_text(parameter.name, parameter.help)
    else:
        text = table.text(parameter.name)
    return None if text is None else accept(parameter.parse(text), table, parameter.name)


def flag_word(*, is_on: bool) -> str:
    """Return how an unusual flag is kept among the parameters, which are texts."""
    return "yes" if is_on else "no"


def accept(parsed: str | Rejection, table: Table, key: str) -> str | None:
    """Return a value that was accepted; otherwise note why not and return None."""
    if isinstance(parsed, Rejection):
        table.problems.reject(table.at(key), parsed)
        return None
    return parsed
