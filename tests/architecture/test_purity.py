# SPDX-License-Identifier: Apache-2.0
"""What import-linter cannot say: pure packages import *only* what is listed here.

A list of what is allowed finds the module that nobody thought of forbidding.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

PLAIN = {
    "__future__", "_typeshed", "collections", "dataclasses", "enum", "functools", "hashlib",
    "itertools", "json", "operator", "struct", "typing", "zlib",
}  # fmt: skip
"""No clock, no randomness, no file, no socket. `_typeshed` exists for type checkers only."""

OURS = {"domains", "rgmgr"}
"""Who of us may import whom is checked by import-linter."""

ALLOWED_BY_PACKAGE = {
    "domains": PLAIN | {"domains"},
    "rgmgr/core": PLAIN | OURS,
    "rgmgr/wire": PLAIN | OURS | {"msgspec"},
    "rgmgr/view.py": PLAIN | OURS | {"msgspec"},
    "rgmgr/present.py": PLAIN | OURS | {"msgspec"},
    "rgmgr/links.py": PLAIN | OURS | {"msgspec"},
    "rgmgr/config/schema.py": PLAIN | OURS | {"msgspec"},
    "rgmgr/sim": PLAIN | OURS | {"heapq", "random", "types"},  # chance of one seed
}
STAND_ALONE = ("fence_agents", "systemd")
"""Started by root on machines where nothing of ours need be installed."""

BESIDE_THEM = {"fencelib"}
LIBRARIES = {Path("fence_agents/fence_pdu"): {"pysnmp"}}
"""A fence agent may use one well-kept library for its device's protocol."""


def top_levels(source: Source) -> set[str]:
    return {module.partition(".")[0] for module in source.modules()}


def foreign(source: Source, allowed: Iterable[str]) -> list[str]:
    return [f"{source.path}: {name}" for name in sorted(top_levels(source) - {*allowed})]


def test_the_pure_packages_import_only_what_is_pure(sources: tuple[Source, ...]) -> None:
    """A clock or a random number in the core makes members disagree."""
    found = {package: [s for s in sources if s.is_below(package)] for package in ALLOWED_BY_PACKAGE}

    offences = [
        offence
        for package, allowed in ALLOWED_BY_PACKAGE.items()
        for source in found[package]
        for offence in foreign(source, allowed)
    ]

    assert offences == []
    assert all(found.values()), "a package of the list is gone"


def test_stand_alone_programs_import_only_the_standard_library(sources: tuple[Source, ...]) -> None:
    """A fence agent has to work when everything else is broken."""
    agents = [source for source in sources if source.is_below(*STAND_ALONE)]

    offences = [
        offence
        for agent in agents
        for offence in foreign(
            agent, sys.stdlib_module_names | BESIDE_THEM | LIBRARIES.get(agent.path, set())
        )
    ]

    assert offences == []
    assert agents


def test_everybody_imports_only_whom_they_may(root: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")

    result = subprocess.run(
        [linter, "--no-cache"], cwd=root, check=False, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stdout + result.stderr
