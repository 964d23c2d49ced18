# SPDX-License-Identifier: Apache-2.0
"""Which Debian mirror this machine uses: read from its own apt sources, so that none is named here.

Both forms are understood: one line (``sources.list``) and deb822 (``*.sources``).
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rgmgr.lab.errors import LabError

APT = Path("/etc/apt")


@dataclass(frozen=True, slots=True)
class AptSource:
    """One place that has a suite of Debian."""

    uri: str
    suite: str
    components: tuple[str, ...]
    keyring: Path | None  # None: apt's own default


def parse_one_line(text: str) -> Iterator[AptSource]:
    """Yield the binary package sources of a ``sources.list``."""
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if not words or words.pop(0) != "deb":
            continue
        options: list[str] = []
        if words and words[0].startswith("["):
            while words:
                word = words.pop(0)
                options.append(word.strip("[]"))
                if word.endswith("]"):
                    break
        if len(words) > 1:
            keyrings = [option[10:] for option in options if option.startswith("signed-by=")]
            keyring = Path(keyrings[0]) if keyrings else None
            yield AptSource(words[0], words[1], tuple(words[2:]), keyring)


def parse_deb822(text: str) -> Iterator[AptSource]:
    """Yield the binary package sources of a ``*.sources`` file."""
    for paragraph in text.replace("\r", "").split("\n\n"):
        fields = _fields(paragraph)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        signed = fields.get("signed-by", "")
        keyring = Path(signed) if signed.startswith("/") else None
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield AptSource(uri, suite, components, keyring)


def _fields(paragraph: str) -> dict[str, str]:
    """Return the fields of a paragraph, names in lower case, continuation lines joined."""
    fields: dict[str, str] = {}
    name = ""
    for line in paragraph.splitlines():
        if line.startswith("#"):
            continue
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
            continue
        name, _, value = line.partition(":")
        name = name.strip().lower()
        fields[name] = value.strip()
    return fields


def find(suite: str, apt: Path = APT) -> AptSource:
    """Return the source from which this machine gets ``suite``.

    Raises:
        LabError: no configured source has it.
    """
    for path in (apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))):
        parse = {".list": parse_one_line, ".sources": parse_deb822}.get(path.suffix)
        if parse is None or not path.is_file():
            continue
        for source in parse(path.read_text(encoding="utf-8", errors="replace")):
            if source.suite == suite and "main" in source.components:
                return source
    raise LabError(
        f"cannot build the nodes' root tree: none of the apt sources in {apt} has the suite"
        f" {suite!r} with component 'main'; add one, as for an ordinary Debian machine"
    )
