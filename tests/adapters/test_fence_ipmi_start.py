# SPDX-License-Identifier: Apache-2.0
"""What fence_ipmi does so that its first packet leaves soon."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_ipmi"


def test_ipmitool_finds_a_list_of_vendors_that_is_short(tmp_path: Path) -> None:
    """The list of all vendors costs 0.1 s before the first packet."""
    home = tmp_path / "home"
    agent = load_agent()

    assert agent.short_list(str(home)) == {"HOME": str(home)}
    assert agent.short_list(str(home)) == {"HOME": str(home)}
    (found,) = home.rglob("*.txt*")
    assert found.name == "enterprise-numbers.txt"
    assert found.stat().st_size < 100


def test_who_may_not_write_the_short_list_goes_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert load_agent().short_list(str(tmp_path / "file")) == {}


def load_agent() -> ModuleType:
    loader = SourceFileLoader("fence_ipmi", str(AGENT))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module
