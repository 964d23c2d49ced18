# SPDX-License-Identifier: Apache-2.0
"""Which types start and stop before which others below the same parent.

Source: rgmanager, metadata of its agents. A type that is not listed below its parent has no
level; cluster.toml can give any place another one.
"""

from __future__ import annotations

from typing import NamedTuple

from rgmgr.config.table import Table, is_integer

SERVICE = "service"
LEVEL_MAX = 100


class Levels(NamedTuple):
    """When a resource starts and stops among its siblings; None: it has no level."""

    start: int | None = None
    stop: int | None = None


LEVELS = {
    (SERVICE, "lvm"): Levels(start=1, stop=9),
    (SERVICE, "fs"): Levels(start=2, stop=8),
    (SERVICE, "netfs"): Levels(start=4, stop=6),
    (SERVICE, "nfsexport"): Levels(start=5, stop=5),
    (SERVICE, "nfsclient"): Levels(start=6, stop=4),
    (SERVICE, "ip"): Levels(start=7, stop=2),
    (SERVICE, "script"): Levels(start=9, stop=1),
    ("fs", "fs"): Levels(start=1, stop=3),
    ("fs", "nfsexport"): Levels(start=3, stop=1),
    ("nfsserver", "nfsclient"): Levels(start=1, stop=2),
    ("nfsserver", "ip"): Levels(start=2, stop=1),
}
"""By parent and type; the parent of the first resources is the service."""

FORBIDDEN = {
    "ip": ("nfsclient", "nfsexport"),
    "netfs": ("nfsclient", "nfsexport"),
    "bind-mount": ("nfsexport",),
    "nfsexport": ("nfsexport",),
    "nfsserver": ("nfsexport", "nfsserver"),
}
"""By type: which types may not be right below it."""


def check_child(table: Table, parent: str, kind: str) -> None:
    """Note a resource that may not be where it is."""
    if kind in FORBIDDEN.get(parent, ()):
        table.problems.add(table.path, f"a resource of type {kind} cannot be below one of {parent}")


def read_levels(table: Table, parent: str, kind: str) -> Levels:
    """Return the levels of a place: its own where it has them, else those of its type."""
    usual = LEVELS.get((parent, kind), Levels())
    return Levels(
        start=_read_level(table, "start_level", usual.start),
        stop=_read_level(table, "stop_level", usual.stop),
    )


def _read_level(table: Table, key: str, usual: int | None) -> int | None:
    value = table.raw.get(key)
    if value is None:
        return usual
    if is_integer(value) and 0 <= value <= LEVEL_MAX:
        return value or None
    table.wrong(key, f"an integer from 1 to {LEVEL_MAX}, or 0 for no level")
    return usual
