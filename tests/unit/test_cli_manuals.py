# SPDX-License-Identifier: Apache-2.0
"""The manual pages say what the commands do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rgmgr.cli import clustat, clusvcadm
from rgmgr.cli.main import cli
from rgmgr.config.load import loads

MAN = Path(__file__).parents[2] / "docs" / "man"
PAGES = sorted(MAN.iterdir())
PROJECT = tomllib.loads((MAN.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
PROGRAMS = PROJECT["project"]["scripts"]


def _plain(page: str) -> str:
    return (MAN / page).read_text(encoding="utf-8").replace("\\-", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_pages_are_free_of_formatting_warnings(page: Path) -> None:
    shown = subprocess.run(
        ["man", "--warnings", "-P", "cat", "-l", str(page)],  # noqa: S607 - from PATH, as for users
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin", "MANWIDTH": "80"},
    )

    assert shown.stderr == ""
    assert "NAME" in shown.stdout


@pytest.mark.parametrize(
    ("page", "usage"), [("clusvcadm.8", clusvcadm.USAGE), ("clustat.8", clustat.USAGE)]
)
def test_every_flag_of_a_classic_command_is_in_its_manual(page: str, usage: str) -> None:
    flags = set(re.findall(r"^ +(-\w)", usage, flags=re.MULTILINE))

    missing = {flag for flag in flags if flag not in _plain(page)}

    assert flags
    assert missing == set()


def _below(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it, with the words that name them."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _below(child, f"{words} {name}".strip())


def test_every_verb_and_option_of_ours_is_in_the_manual() -> None:
    """Of all commands, also of those below others; the lab has help of its own."""
    text = _plain("rgmgr.8")
    found = [(words, c) for words, c in _below(cli, "") if words.partition(" ")[0] != "lab"]

    missing = [word for words, _ in found for word in words.split() if word not in text]
    options = {name for _, c in found for param in c.params for name in param.opts}

    assert missing == []
    assert sorted(o for o in options if o.startswith("--") and o not in text) == []
    assert len(found) > 40


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_every_program_has_its_manual(name: str) -> None:
    assert (MAN / f"{name}.8").is_file()


def test_the_manuals_of_fence_agents_say_what_the_agents_say(tmp_path: Path) -> None:
    program = MAN.parents[1] / "tools" / "agent_manuals.py"
    subprocess.run([sys.executable, str(program), str(tmp_path)], check=True)

    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}

    kept = {path.name: path.read_text(encoding="utf-8") for path in MAN.glob("fence_*.8")}
    ours = {name: text for name, text in kept.items() if "agent_manuals" in text}
    assert written == ours, "run tools/agent_manuals.py"
    assert written


def test_the_example_of_cluster_toml_is_free_of_problems() -> None:
    example = _plain("cluster.toml.5").partition(".SH EXAMPLE\n.nf\n")[2].partition(".fi\n")[0]

    spec = loads(example, source="cluster.toml(5)", node_ids=None)

    assert (spec.name, len(spec.nodes), [service.name for service in spec.services]) == (
        "alpha",
        2,
        ["web"],
    )
