# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001, T201  # a program of its own
"""Checks what no other tool looks at: ends of files, trailing blanks, TOML that parses.

Usage: check_files.py [text|toml]; both without an argument. Names every offender, changes nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AS_THEY_ARE = ("LICENSE", "cffi_build/_corosync.c", "tests/golden/")
"""Texts of others, generated, or wrong on purpose."""


def main(argv: list[str]) -> int:
    """Run the checks named, all without a name; return the exit status."""
    chosen = argv or list(CHECKS)
    if unknown := [name for name in chosen if name not in CHECKS]:
        print(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        return 2
    problems = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in _own_files()
        for name in chosen
        for problem in CHECKS[name](path)
    ]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


def _own_files() -> Iterator[Path]:
    """Yield the files of the project, those not yet committed included."""
    # safety: only lists; a clone that belongs to another user is refused otherwise
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached"]
    command += ["--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in sorted(set(listed.stdout.split("\0"))):
        path = ROOT / name
        if name and not name.startswith(AS_THEY_ARE) and path.is_file():
            yield path


def _text(path: Path) -> Iterator[str]:
    content = path.read_bytes()
    if not content or b"\0" in content:
        return
    if b"\r" in content:
        yield "has carriage returns"
    if not content.endswith(b"\n") or content.endswith(b"\n\n"):
        yield "must end with exactly one line feed"
    for number, line in enumerate(content.splitlines(), start=1):
        if line != line.rstrip():
            yield f"line {number} ends with blanks"


def _toml(path: Path) -> Iterator[str]:
    if path.suffix != ".toml":
        return
    try:
        tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        yield str(error)


CHECKS: dict[str, Callable[[Path], Iterator[str]]] = {"text": _text, "toml": _toml}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
