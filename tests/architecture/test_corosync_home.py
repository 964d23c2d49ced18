# SPDX-License-Identifier: Apache-2.0
"""The compiled binding has one home.

import-linter cannot say this: it reads Python sources only and does not see a compiled module.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = Path("rgmgr/adapters/corosync")


def imports_of_binding(source: Path) -> bool:
    for node in ast.walk(ast.parse(source.read_text())):
        match node:
            case ast.ImportFrom(module="rgmgr", names=names):
                found = any(alias.name == "_corosync" for alias in names)
            case ast.ImportFrom(module=str(module)):
                found = module == "rgmgr._corosync"
            case ast.Import(names=names):
                found = any(alias.name == "rgmgr._corosync" for alias in names)
            case _:
                found = False
        if found:
            return True
    return False


def test_only_the_corosync_adapter_imports_the_binding() -> None:
    sources = [path for package in ("rgmgr", "domains") for path in (ROOT / package).rglob("*.py")]

    importers = {path.relative_to(ROOT) for path in sources if imports_of_binding(path)}

    assert importers == {HOME / f"{name}.py" for name in ("binding", "cfg", "cpg", "handle")}


def test_the_corosync_adapter_knows_nothing_of_the_core() -> None:
    """Others may want to take it out and use it."""
    allowed = {"rgmgr", "rgmgr._corosync", "rgmgr.errors", "rgmgr.wire.chunks"}
    foreign = set()
    for path in (ROOT / HOME).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                is_ours = node.module.split(".")[0] in ("rgmgr", "domains")
                if is_ours and not node.module.startswith("rgmgr.adapters.corosync"):
                    foreign.add(node.module)

    assert foreign <= allowed
