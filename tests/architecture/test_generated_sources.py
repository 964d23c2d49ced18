# SPDX-License-Identifier: Apache-2.0
"""Generated files that are committed must be what their sources generate."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "cffi_build"
STUB = ROOT / "rgmgr" / "_corosync.pyi"
COMMAND = (
    "python -m cffi.gen_src read-sources rgmgr._corosync cffi_build/corosync.cdef.txt "
    "cffi_build/corosync.csrc.c cffi_build/_corosync.c"
)


def names_in_stub() -> set[str]:
    tree = ast.parse(STUB.read_text())
    body = next(node.body for node in tree.body if getattr(node, "name", "") == "Lib")
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    values = {
        node.target.id
        for node in body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return functions | values


@pytest.mark.skipif(
    importlib.util.find_spec("cffi.gen_src") is None, reason="the generator came with cffi 2.1"
)
def test_the_binding_is_what_its_declarations_generate(tmp_path: Path) -> None:
    fresh = tmp_path / "_corosync.c"
    sources = [str(BUILD / "corosync.cdef.txt"), str(BUILD / "corosync.csrc.c")]
    command = [sys.executable, "-m", "cffi.gen_src", "read-sources", "rgmgr._corosync"]

    subprocess.run([*command, *sources, str(fresh)], check=True, capture_output=True)

    assert fresh.read_bytes() == (BUILD / "_corosync.c").read_bytes(), f"run: {COMMAND}"


def test_the_stub_lists_what_the_binding_has() -> None:
    binding = pytest.importorskip("rgmgr._corosync", reason="built without corosync's headers")

    assert names_in_stub() == set(dir(binding.lib))
