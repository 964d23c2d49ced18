# SPDX-License-Identifier: Apache-2.0
"""Parameters that a resource takes from what is above it when it is not given its own.

Source: rgmanager, `inherit` in the metadata of its agents. There some looked at the parent only;
here it is always the nearest ancestor of one of the types that are named.
"""

from __future__ import annotations

from collections.abc import Sequence

from rgmgr.core.spec import ResourceSpec

_MOUNTPOINTS = (("fs", "mountpoint"), ("netfs", "mountpoint"), ("bind-mount", "mountpoint"))

INHERITED: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {
    ("bind-mount", "source"): _MOUNTPOINTS,
    ("nfsexport", "path"): _MOUNTPOINTS,
    ("nfsclient", "path"): (("nfsexport", "path"), *_MOUNTPOINTS),
    ("nfsclient", "fsid"): (("nfsexport", "fsid"),),
}
"""By type and parameter: the types of ancestors, each with the parameter that is taken."""


def sources(kind: str, parameter: str) -> tuple[tuple[str, str], ...]:
    """Return from which types a parameter is inherited, each with the parameter there; or none."""
    return INHERITED.get((kind, parameter), ())


def inherited(kind: str, above: Sequence[ResourceSpec]) -> dict[str, str]:
    """Return what a resource of this type inherits here; `above` holds its ancestors, top first."""
    found = {}
    for of_kind, parameter in INHERITED:
        if of_kind == kind and (value := _nearest(sources(kind, parameter), above)) is not None:
            found[parameter] = value
    return found


def taken(resource: ResourceSpec, above: Sequence[ResourceSpec]) -> dict[str, str]:
    """Return the parameters that are what is inherited here, by whoever they were said."""
    found = inherited(resource.type, above)
    return {name: value for name, value in found.items() if resource.parameters[name] == value}


def _nearest(taken: Sequence[tuple[str, str]], above: Sequence[ResourceSpec]) -> str | None:
    """Return the parameter of the nearest ancestor, even if that one lacks it."""
    parameter_by_type = dict(taken)
    for resource in reversed(above):
        if resource.type in parameter_by_type:
            return resource.parameters.get(parameter_by_type[resource.type])
    return None
