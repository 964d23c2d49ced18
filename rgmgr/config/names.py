# SPDX-License-Identifier: Apache-2.0
"""What may be a name, and how long a unit's name becomes with it.

Services and resources become names of systemd units: `rgmgr-SERVICE.slice` and
`rgmgr-SERVICE-RESOURCE.service`, where everything but letters, digits and `_.:` takes four
characters per byte (a dash too, for dashes separate the parts).
"""

from __future__ import annotations

import re

from rgmgr.config.problems import Problems, Rejection, shown, unprintable

SERVICE_NAME_LENGTH_MAX = 60  # all dashes, it still fits into the name of a slice
NODE_NAME_LENGTH_MAX = 255
UNIT_NAME_LENGTH_MAX = 255

_WORD = re.compile(r"[A-Za-z0-9_.:-]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.:]")
_ESCAPED_BYTES = len(r"\x2d")


def word_rejection(name: str) -> Rejection | None:
    """Return why a text is no name for a service, a domain or a device; None when it is."""
    if not _WORD.fullmatch(name):
        return Rejection(f"{shown(name)} is no name here: letters, digits and _ . : - are allowed")
    if len(name) > SERVICE_NAME_LENGTH_MAX:
        return Rejection(
            f"the name {shown(name)} has {len(name)} characters,"
            f" at most {SERVICE_NAME_LENGTH_MAX} are allowed"
        )
    return None


def node_name_rejection(name: str) -> Rejection | None:
    """Return why a text cannot name a node or a cluster; corosync allows nearly everything."""
    if unprintable(name) is not None or any(character.isspace() for character in name):
        return Rejection(f"{shown(name)} is no name here: blanks and control characters")
    if len(name) > NODE_NAME_LENGTH_MAX:
        return Rejection(
            f"the name {shown(name)} has {len(name)} characters,"
            f" at most {NODE_NAME_LENGTH_MAX} are allowed"
        )
    return None


def check_word(name: str | None, path: str, problems: Problems) -> str | None:
    """Return the name when it is one; otherwise note the problem and return None."""
    return _checked(name, path, problems, word_rejection(name) if name else None)


def check_node_name(name: str | None, path: str, problems: Problems) -> str | None:
    """Return the name of a node or cluster; otherwise note the problem and return None."""
    return _checked(name, path, problems, node_name_rejection(name) if name else None)


def _checked(
    name: str | None, path: str, problems: Problems, rejection: Rejection | None
) -> str | None:
    if rejection is None:
        return name
    problems.reject(path, rejection)
    return None


def escaped_length(text: str) -> int:
    """Return how many characters a text takes inside a unit's name. Source: systemd-escape(1)."""
    length = sum(1 if _PLAIN.match(c) else _ESCAPED_BYTES * _byte_count(c) for c in text)
    return length + (_ESCAPED_BYTES - 1 if text.startswith(".") else 0)


def resource_unit_length(service: str, resource: str) -> int:
    """Return the length of the name of a resource's unit, `rgmgr-SERVICE-RESOURCE.service`."""
    fixed = len("rgmgr-") + len("-") + len(".service")
    return fixed + escaped_length(service) + escaped_length(resource)


def mount_unit_length(mountpoint: str) -> int:
    """Return the length of the name of a mount unit, `srv-web.mount` for `/srv/web`."""
    components = mountpoint.strip("/").split("/")
    escaped = sum(escaped_length(component) for component in components)
    return escaped + len(components) - 1 + len(".mount")


def _byte_count(character: str) -> int:
    return len(character.encode("utf-8", "surrogatepass"))
