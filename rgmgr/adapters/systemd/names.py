# SPDX-License-Identifier: Apache-2.0
"""Names of units and their object paths, both ways.

Pure text. A service is `rgmgr-SERVICE.slice`, a resource `rgmgr-SERVICE-RESOURCE.service`; both
names are escaped as systemd does, a dash too, so that dashes separate the parts and the slice has
exactly one level below `rgmgr.slice`. Source: systemd.unit(5), systemd-escape(1).
"""

from __future__ import annotations

import re

PREFIX = "rgmgr-"
SLICE_PATTERN = "rgmgr-*.slice"
SLICE_OF_SHARED = "rgmgr.slice"
UNIT_NAME_LENGTH_MAX = 255
UNIT_PATH_PREFIX = "/org/freedesktop/systemd1/unit/"

_PLAIN = re.compile(r"[A-Za-z0-9_.:]")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_PATH_UNSAFE = re.compile(rb"^[0-9]|[^A-Za-z0-9]")
_VALID_UNIT = re.compile(
    r"[A-Za-z0-9:_.\\@-]+\."
    r"(service|socket|target|mount|automount|timer|path|slice|scope|swap|device)"
)


def escape(text: str) -> str:
    """Write a text as one part of a unit's name. Source: `unit_name_escape`."""
    characters = [
        character if _PLAIN.fullmatch(character) and not (at == 0 and character == ".") else None
        for at, character in enumerate(text)
    ]
    return "".join(
        plain if plain is not None else "".join(f"\\x{byte:02x}" for byte in original.encode())
        for plain, original in zip(characters, text, strict=True)
    )


def unescape(text: str) -> str:
    """Return what was escaped; bytes that are no UTF-8 become replacement characters."""
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def escape_path(path: str) -> str:
    """Write a path as the name of a mount unit, without suffix. Source: `unit_name_path_escape`."""
    components = [part for part in path.split("/") if part and part != "."]
    if not components:
        return "-"
    return "-".join(
        escape(part) if at == 0 else escape("_" + part)[1:] for at, part in enumerate(components)
    )


def slice_of(service: str) -> str:
    """Return the slice that holds all units of a service, but for those it shares."""
    return f"{PREFIX}{escape(service)}.slice"


def service_of_slice(unit: str) -> str | None:
    """Return the service whose slice this is; None when it is not one of ours."""
    inner = unit.removeprefix(PREFIX).removesuffix(".slice")
    if not unit.startswith(PREFIX) or not unit.endswith(".slice") or not inner or "-" in inner:
        return None
    return unescape(inner)


def resource_unit(service: str, resource: str) -> str:
    """Return the unit that we make for a resource."""
    return f"{PREFIX}{escape(service)}-{escape(resource)}.service"


def shared_unit(resource: str) -> str:
    """Return the unit that we make for a shared resource, whichever services use it."""
    return f"{PREFIX}{escape(resource)}.service"


def cleanup_unit(service: str, resource: str) -> str:
    """Return the throw-away unit that repeats the stop of a resource."""
    return f"{PREFIX}{escape(service)}-{escape(resource)}-cleanup.service"


def preparation_unit(service: str, resource: str) -> str:
    """Return the throw-away unit that readies a resource before its own unit is started."""
    return f"{PREFIX}{escape(service)}-{escape(resource)}-prepare.service"


def migration_unit(service: str, resource: str) -> str:
    """Return the throw-away unit that sends a resource to another node."""
    return f"{PREFIX}{escape(service)}-{escape(resource)}-migrate.service"


def check_unit(service: str, resource: str, number: int) -> str:
    """Return the throw-away unit of a check of a resource that is a command."""
    return f"{PREFIX}{escape(service)}-{escape(resource)}-check{number}.service"


def resource_of_unit(unit: str) -> tuple[str, str] | None:
    """Return service and resource of a unit made by us; None for any other unit."""
    parts = unit.removesuffix(".service").split("-")
    if not unit.endswith(".service") or len(parts) != 3 or parts[0] + "-" != PREFIX:  # noqa: PLR2004 - rgmgr, service, resource
        return None
    return unescape(parts[1]), unescape(parts[2])


def mount_unit(path: str) -> str:
    """Return the unit of a mount point, which must be free of symbolic links."""
    return f"{escape_path(path)}.mount"


def is_made_at_run_time(unit: str) -> bool:
    """Tell whether a unit comes and goes with what it stands for, instead of having a file."""
    return unit.endswith(".mount") or (unit.startswith(PREFIX) and unit.endswith(".service"))


def is_unit_name(text: str) -> bool:
    """Tell whether systemd would take this as the name of a unit."""
    return len(text) <= UNIT_NAME_LENGTH_MAX and _VALID_UNIT.fullmatch(text) is not None


def object_path(unit: str) -> str:
    """Return the D-Bus object of a unit. Source: `bus_path_escape`."""
    return (
        UNIT_PATH_PREFIX
        + _PATH_UNSAFE.sub(lambda match: b"_%02x" % match[0][0], unit.encode()).decode()
    )


def unit_of_path(path: str) -> str:
    """Return the unit of a D-Bus object; empty when the object is no unit."""
    if not path.startswith(UNIT_PATH_PREFIX):
        return ""
    escaped = path.removeprefix(UNIT_PATH_PREFIX)
    raw = re.sub(r"_([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), escaped)
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")
