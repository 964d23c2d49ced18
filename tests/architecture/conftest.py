# SPDX-License-Identifier: Apache-2.0
"""The project's own sources, parsed once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "domains", "fence_agents", "rgmgr", "tests", "tools")
EXECUTABLES = (
    "fence_agents/fence_*",
    "systemd/rgmgr-ip",
    "systemd/rgmgr-guard",
    "systemd/rgmgr-lease",
    "systemd/rgmgr-resource",
)


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file of the project; `path` is relative to the root."""

    path: Path
    text: str
    tree: ast.Module

    def is_below(self, *folders: str) -> bool:
        return any(self.path.is_relative_to(folder) for folder in folders)

    def modules(self) -> Iterator[str]:
        """Yield the full name of every module that is imported anywhere in the file."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Import(names=names):
                    yield from (alias.name for alias in names)
                case ast.ImportFrom(module=str(module), level=0):
                    yield module


def _paths() -> Iterator[Path]:
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.py")
    for pattern in EXECUTABLES:
        yield from ROOT.glob(pattern)


@pytest.fixture(scope="session")
def sources() -> tuple[Source, ...]:
    return tuple(
        Source(path.relative_to(ROOT), text, ast.parse(text))
        for path in sorted(_paths())
        for text in [path.read_text(encoding="utf-8")]
    )


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
