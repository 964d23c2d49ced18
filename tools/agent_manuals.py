# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: INP001  # a program of its own
"""Writes the manual pages of our fence agents from what the agents say of themselves.

Usage: agent_manuals.py [FOLDER]; docs/man without one.
"""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXIT_STATUS = """\
.SH EXIT STATUS
.TP
.B 0
Done, and the device itself says so; for
.BR status :
on.
.TP
.B 2
.BR status :
off.
.TP
.B 1
Anything else: not done, not known, no answer. The reason is on standard error, in one line.
.SH SEE ALSO
.BR rgmgr (8),
.BR cluster.toml (5),
docs/fencing.md
"""


def main(argv: list[str]) -> int:
    """Write all pages; return the exit status."""
    folder = Path(argv[0]) if argv else ROOT / "docs" / "man"
    for agent in sorted((ROOT / "fence_agents").glob("fence_*")):
        (folder / f"{agent.name}.8").write_text(page(agent), encoding="utf-8")
    return 0


def page(agent: Path) -> str:
    """Return the manual page of one agent."""
    command = [sys.executable, "-I", str(agent), "-o", "metadata"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    root = ET.fromstring(said.stdout)  # noqa: S314 - our own text
    actions = ", ".join(action.get("name", "") for action in root.iterfind("actions/action"))
    parameters = "\n".join(
        _option(found)
        for found in root.iterfind("parameters/parameter")
        if found.get("deprecated") != "1"
    )
    return f"""\
.\\" SPDX-License-Identifier: Apache-2.0
.\\" Written by tools/agent_manuals.py from the agent's metadata; do not edit.
.TH {agent.name.upper()} 8 "" "rgmgr" "System Administration"
.SH NAME
{agent.name} \\- {_text(root.get("shortdesc", ""))}
.SH SYNOPSIS
.B {agent.name}
.RI [ OPTIONS ]
.br
.B {agent.name}
< lines of name=value
.SH DESCRIPTION
{_text(root.findtext("longdesc", ""))}
.PP
Without any argument the options are read from standard input, one
.IR name=value
in a line; that keeps secrets out of the process list.
Actions: {_text(actions)}.
.SH OPTIONS
{parameters}
{EXIT_STATUS}"""


def _option(found: ET.Element) -> str:
    flags = found.find("getopt")
    content = found.find("content")
    choices = [] if content is None else [each.get("value", "") for each in content.iter("option")]
    default = None if content is None else content.get("default")
    notes = [f"One of {', '.join(filter(None, choices))}."] if choices else []
    notes += [f"Default: {default}."] if default else []
    once = f"Once called {found.get('obsoletes')}." if found.get("obsoletes") else ""
    lines = [found.findtext("shortdesc", "").rstrip(".") + ".", *notes, once]
    text = "\n".join(_text(line) for line in lines if line)
    mark = "" if flags is None else flags.get("mixed", "")
    return f".TP\n.B {_text(mark)}\n{text}"


def _text(text: str) -> str:
    """Return text that roff takes for nothing else."""
    safe = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
