# SPDX-License-Identifier: Apache-2.0
"""Documents name only what exists, and say all that they promise to say."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from rgmgr.cli.main import cli

if TYPE_CHECKING:
    from tests.architecture.conftest import Source

FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TARGET = re.compile(r"^([a-z]+):", re.MULTILINE)
VERB = re.compile(r"(?:^|[\s$`(/])rgmgr ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")
REGISTRIES = re.compile(
    "|".join(
        ("py" + r"pi\.org", "pythonhosted" + r"\.org", "deb" + r"\.debian\.org", "npm" + r"js\.")
    )
)
EVENT = re.compile(r"[a-z]+\.[a-z_]+")
LEVELS = {
    "Severity.WARNING", "Severity.ERROR", "log.warning", "log.error", "log.exception",
    "note_failure", "severity", "journal.failed",  # functions that choose or carry a level
}  # fmt: skip


def documents(root: Path) -> list[Path]:
    return sorted([*root.glob("*.md"), *(root / "docs").rglob("*.md")])


def commands(path: Path) -> Iterator[str]:
    """Yield what a document shows as code, blocks and inline."""
    text = path.read_text(encoding="utf-8")
    yield from FENCED.findall(text)
    yield from INLINE.findall(FENCED.sub("", text))


def exists(verb: str) -> bool:
    """Tell whether `rgmgr VERB` is there; a second word counts where the first has verbs."""
    first, _, second = verb.partition(" ")
    command = cli.get_command(click.Context(cli), first)
    if isinstance(command, click.Group) and second:
        return command.get_command(click.Context(command), second) is not None
    return command is not None


def named_events(source: Source) -> Iterator[str]:
    """Yield the journal events of level warning and above that a module writes."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        words = {ast.unparse(node.func)} | {
            ast.unparse(part) for part in ast.walk(node) if isinstance(part, ast.Attribute)
        }
        texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
        if words & LEVELS:
            yield from (text for text in texts if isinstance(text, str) and EVENT.fullmatch(text))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_a_page_for_newcomers_names_only_targets_that_make_has(root: Path, name: str) -> None:
    targets = set(TARGET.findall((root / "Makefile").read_text(encoding="utf-8")))

    named = {t for code in commands(root / name) for t in re.findall(r"\bmake ([a-z]+)", code)}

    assert named - targets == set()
    assert named


def test_every_decision_is_in_the_list_of_decisions(root: Path) -> None:
    folder = root / "docs" / "adr"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))

    kept = {path.name for path in folder.glob("[0-9]*.md")}

    assert kept == {name for name in listed if name[:1].isdigit()}
    assert kept


def test_links_between_documents_lead_somewhere(root: Path) -> None:
    broken = [
        f"{path.relative_to(root)}: {link}"
        for path in documents(root)
        for link in LINK.findall(path.read_text(encoding="utf-8"))
        if "://" not in link and not (path.parent / link).exists()
    ]

    assert broken == []


def test_every_verb_that_a_document_shows_exists(root: Path) -> None:
    offences = [
        f"{path.relative_to(root)}: rgmgr {verb}"
        for path in documents(root)
        for code in commands(path)
        for verb in VERB.findall(code)
        if not exists(verb)
    ]

    assert offences == []


def test_operations_tells_of_every_event_that_asks_for_an_operator_and_no_other(
    root: Path, sources: tuple[Source, ...]
) -> None:
    text = (root / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    told = {
        word for row in rows for word in INLINE.findall(row.split("|")[1]) if EVENT.fullmatch(word)
    }
    product = [s for s in sources if s.is_below("rgmgr") and not s.is_below("rgmgr/sim")]

    written = {event for source in product for event in named_events(source)}

    assert written - told == set()
    assert told - written == set(), "nothing writes these any more"
    assert len(written) > 40


def test_no_text_names_the_host_of_a_package_registry(
    root: Path, sources: tuple[Source, ...]
) -> None:
    """Where packages come from is the machine's affair."""
    others = [*documents(root), root / "Makefile", root / "pyproject.toml", *root.glob("tools/*")]
    texts = {str(path): path.read_text(encoding="utf-8") for path in others if path.is_file()}
    texts |= {str(source.path): source.text for source in sources}

    assert [name for name, text in texts.items() if REGISTRIES.search(text)] == []
