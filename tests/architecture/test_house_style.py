# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

LICENCE = "# SPDX-License-Identifier: Apache-2.0"
LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PRODUCT = ("rgmgr", "domains", "fence_agents", "systemd", "tools", "benchmarks")
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def length(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for an expression that is just that, otherwise nothing."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case _:
            return ""


def uses(source: Source) -> Iterator[tuple[int, str]]:
    """Yield every name that is used, with its line."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            yield node.lineno, dotted(node)


def test_every_file_names_its_licence(sources: tuple[Source, ...]) -> None:
    offences = [str(s.path) for s in sources if LICENCE not in s.text.splitlines()[:2]]

    assert offences == []


def test_every_module_of_the_product_says_what_it_is_for(sources: tuple[Source, ...]) -> None:
    product = [source for source in sources if source.is_below(*PRODUCT)]

    offences = [str(s.path) for s in product if not ast.get_docstring(s.tree)]

    assert offences == []


def test_no_file_is_too_long(sources: tuple[Source, ...]) -> None:
    """A file that wants more is two ideas."""
    lines_by_path = {source.path: len(source.text.splitlines()) for source in sources}

    offences = [f"{path}: {lines}" for path, lines in lines_by_path.items() if lines > LINES_MAX]

    assert offences == []


def test_no_function_is_too_long(sources: tuple[Source, ...]) -> None:
    offences = [
        f"{source.path}:{node.lineno} {node.name}: {length(node)} lines"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, Function) and length(node) > FUNCTION_LINES_MAX
    ]

    assert offences == []


def test_nothing_rebinds_a_global(sources: tuple[Source, ...]) -> None:
    """Module level holds constants; state belongs to an object that somebody wired."""
    offences = [
        f"{source.path}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Global)
    ]

    assert offences == []


def test_unit_tests_patch_nothing(sources: tuple[Source, ...]) -> None:
    """What needs a patch decides and acts at once."""
    units = [source for source in sources if source.is_below("tests/unit")]

    offences = [
        f"{source.path}:{line} {name}"
        for source in units
        for line, name in uses(source)
        if name in ("patch", "mock.patch", "mocker.patch", "monkeypatch.setattr")
    ]
    offences += [str(s.path) for s in units if any("mock" in module for module in s.modules())]

    assert offences == []
    assert units


def test_no_test_is_switched_off(sources: tuple[Source, ...]) -> None:
    """`skipif` for what a machine lacks says so in its reason; a test is never just left out."""
    switches = (
        "pytest.mark.skip",
        "pytest.mark.xfail",
        "pytest.skip",
        "pytest.xfail",
        "unittest.skip",
    )

    offences = [
        f"{source.path}:{line} {name}"
        for source in sources
        for line, name in uses(source)
        if name in switches
    ]

    assert offences == []


def test_nothing_is_left_for_later(sources: tuple[Source, ...]) -> None:
    offences = [
        f"{source.path}:{number}"
        for source in sources
        for number, line in enumerate(source.text.splitlines(), start=1)
        if UNFINISHED.search(line)
    ]

    assert offences == []


def test_ruff_sees_every_source(sources: tuple[Source, ...], root: Path) -> None:
    """Fence agents have no suffix by which a tool would find them."""
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--show-files", "."]

    shown = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)

    seen = {Path(line).relative_to(root) for line in shown.stdout.splitlines()}
    ours = {source.path for source in sources if not source.is_below("systemd")}
    assert ours - seen == set()


def test_make_checks_the_types_of_fence_agents(root: Path) -> None:
    makefile = (root / "Makefile").read_text(encoding="utf-8")

    assert re.search(r"mypy .*fence_agents/fence_\*", makefile)
