# SPDX-License-Identifier: Apache-2.0
"""Reading cluster.toml from disk. Owns the file and its syntax; the meaning is `schema`'s."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from domains.model import NodeId
from rgmgr.config.schema import digest_of, parse
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError, Problem

SIZE_BYTES_MAX = 1024 * 1024
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_EXAMPLE = "docs/configuration.md has an example"


def load(path: Path, node_ids: Mapping[str, NodeId] | None) -> ClusterSpec:
    """Return the configuration in a file.

    Args:
        path: of cluster.toml.
        node_ids: names and ids of corosync's nodelist; None for a check without corosync.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has problems: all of them.
    """
    return loads(_read(path), source=str(path), node_ids=node_ids)


def loads(text: str, *, source: str, node_ids: Mapping[str, NodeId] | None) -> ClusterSpec:
    """Return the configuration in a text; `source` is what errors call it.

    Raises:
        ConfigError: the text is not TOML, or has problems: all of them.
    """
    document, digest = _parse_toml(text, source)
    return parse(document, source=source, node_ids=node_ids, digest=digest)


def _read(path: Path) -> str:
    try:
        if path.is_dir():
            _refuse(path, "is a directory", "name the file in it, such as cluster.toml")
        if path.exists() and not path.is_file():
            _refuse(path, "is not a regular file", "put the configuration into a file")
        with path.open("rb") as file:
            content = file.read(SIZE_BYTES_MAX + 1)
    except FileNotFoundError:
        _refuse(path, "there is no such file", _EXAMPLE)
    except PermissionError:
        _refuse(path, "this user may not read it", "try again as root")
    except (OSError, ValueError) as error:
        _refuse(path, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(content) > SIZE_BYTES_MAX:
        limit = f"{SIZE_BYTES_MAX // 1024} KiB"
        _refuse(path, f"is larger than {limit}, which no cluster needs", "is it the right file?")
    return _decode(content, str(path))


def _decode(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        text = f"not UTF-8 text: byte 0x{content[error.start]:02x}"
        raise ConfigError([Problem(f"line {line}", text, "save it as UTF-8")], source) from None


def _parse_toml(text: str, source: str) -> tuple[dict[str, object], str]:
    try:
        document: dict[str, object] = tomllib.loads(text)
        return document, digest_of(document)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([_syntax_problem(str(error), text)], source) from None
    except (RecursionError, ValueError):
        problem = Problem("document", "values are nested too deeply, or a number is too long")
        raise ConfigError([problem], source) from None


def _syntax_problem(message: str, text: str) -> Problem:
    place = _PLACE.search(message)
    what = message[: place.start()] if place else message
    hint = "correct it and check again; what follows was not read"
    if place and place[1]:
        return Problem(f"line {place[1]}, column {place[2]}", f"not valid TOML: {what}", hint)
    return Problem(f"line {text.count(chr(10)) + 1}", f"not valid TOML, at the end: {what}", hint)


def _refuse(path: Path, text: str, hint: str = "") -> NoReturn:
    raise ConfigError([Problem("file", text, hint)], str(path))
