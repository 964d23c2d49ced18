# SPDX-License-Identifier: Apache-2.0
"""What the running installation of rgmgr consists of: its own files and those it depends on.

The lab boots nodes with the very code that runs it, be it a source tree or an installed package.
"""

import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import rgmgr
from rgmgr.lab.errors import LabError

OWN_PACKAGES = ("rgmgr", "domains")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A dependency as far as the lab must understand it."""

    name: str  # normalised: lower case, dashes
    is_conditional: bool  # holds only on some platforms or Python versions


def parse_requirement(text: str) -> Requirement | None:
    """Read a requirement; None for one that only an extra asks for."""
    found = re.match(r"[A-Za-z0-9._-]+", text.strip())
    _, _, marker = text.partition(";")
    if found is None or re.search(r"\bextra\b", marker):
        return None
    return Requirement(re.sub(r"[-_.]+", "-", found[0]).lower(), bool(marker.strip()))


def closure(
    wanted: Iterable[str], requires: Callable[[str], Iterable[str] | None]
) -> tuple[str, ...]:
    """Return the names of all distributions that ``wanted`` needs, itself included.

    Args:
        wanted: requirement strings to begin with.
        requires: gives what a distribution requires, or None if it is not installed. What is not
            installed is left out where the requirement is conditional.

    Raises:
        LabError: a distribution that is needed in any case is not installed.
    """
    found: set[str] = set()
    pending = list(wanted)
    while pending:
        requirement = parse_requirement(pending.pop())
        if requirement is None or requirement.name in found:
            continue
        further = requires(requirement.name)
        if further is not None:
            found.add(requirement.name)
            pending.extend(further)
        elif not requirement.is_conditional:
            raise LabError(
                f"the nodes need the Python package {requirement.name!r} and this installation"
                f" has none to copy: {sys.executable} -m pip install {requirement.name}"
            )
    return tuple(sorted(found))


def requires_installed(name: str) -> Iterable[str] | None:
    """Return what an installed distribution requires; None if there is no such."""
    try:
        return distribution(name).requires or ()
    except PackageNotFoundError:
        return None


def own_requirements() -> list[str]:
    """Return what rgmgr requires, from the source tree or the installed package.

    Raises:
        LabError: neither tells.
    """
    project = source_tree()
    if project is not None:
        described = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
        return list(described["project"]["dependencies"])
    required = requires_installed("rgmgr")
    if required is None:
        raise LabError(
            "cannot tell what rgmgr depends on: it is neither installed nor a source tree"
        )
    return list(required)


def package_directory() -> Path:
    """Return where the running ``rgmgr`` package is."""
    return Path(rgmgr.__file__).resolve().parent


def source_tree() -> Path | None:
    """Return the project's source tree if we run from one."""
    project = package_directory().parent
    return project if (project / "pyproject.toml").is_file() else None


def systemd_directory() -> Path | None:
    """Return where the project's systemd files are, if they are anywhere."""
    project = source_tree()
    where = Path(sys.prefix) / "share/rgmgr/systemd" if project is None else project / "systemd"
    return where if where.is_dir() else None


def fence_agents() -> list[Path]:
    """Return our fence agents."""
    project = source_tree()
    where = Path(sys.executable).parent if project is None else project / "fence_agents"
    return sorted(path for path in where.glob("fence_*") if path.is_file() and path.suffix == "")


def fence_library() -> Path:
    """Return the package that our fence agents share."""
    project = source_tree()
    if project is None:
        return Path(sys.prefix) / "lib/rgmgr/python/fencelib"
    return project / "fence_agents" / "fencelib"


def modules(name: str) -> list[tuple[Path, Path]]:
    """Return the files of a distribution: where each is, and its path below the library.

    Raises:
        LabError: it is recorded nowhere what the distribution consists of.
    """
    dist = distribution(name)
    if dist.files:
        return [
            (Path(str(file.locate())), Path(file))
            for file in dist.files
            if ".." not in file.parts and file.locate().is_file()  # type: ignore[attr-defined]
        ]
    return [pair for top in _top_levels(dist) for pair in _files_of(top)]


def _top_levels(dist: Distribution) -> list[str]:
    """Return the import names of a distribution that has no list of files, as Debian's."""
    listed = (dist.read_text("top_level.txt") or "").split()
    return listed or [dist.metadata["Name"].replace("-", "_")]


def _files_of(top: str) -> list[tuple[Path, Path]]:
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise LabError(f"cannot find the files of the Python module {top!r}, which the nodes need")
    origin = Path(spec.origin)
    if not spec.submodule_search_locations:
        return [(origin, Path(origin.name))]
    base = origin.parent
    return [(path, path.relative_to(base.parent)) for path in base.rglob("*") if path.is_file()]
