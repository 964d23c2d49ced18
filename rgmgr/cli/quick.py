# SPDX-License-Identifier: Apache-2.0
"""The entry point of `rgmgr`: shows the status at once, and leaves all else to `cli.main`.

What is typed most, and asked by scripts every few seconds, should not wait for libraries that other
verbs need: to load them takes five times as long as the answer. What goes wrong here is left to the
verb, which says what it was.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rgmgr.view import Status

SCHEMA = 1
"""`view.SCHEMA_VERSION`, which takes long to load."""
_COLUMNS = 80
"""Of what is no terminal."""


def main() -> None:
    """Run the command; the entry point of the package."""
    if "_RGMGR_COMPLETE" not in os.environ and (found := shown(sys.argv[1:], _status)):
        sys.stdout.write(f"{found}\n")
        return
    from rgmgr.cli.main import main as all_verbs  # noqa: PLC0415 - see the module's docstring

    all_verbs()


def shown(asked: Sequence[str], read: Callable[[], str]) -> str:
    """Return what these arguments ask for; empty when that is for the verb to say.

    `read` returns the status as JSON, empty where there is none.
    """
    if asked not in (["status"], ["status", "--json"]):
        return ""
    text = read()
    if not text.startswith(f'{{"schema":{SCHEMA},'):
        return ""
    return text if asked[1:] else _screen(text)


def _status() -> str:
    """Return what the daemon says; empty when it says nothing."""
    from rgmgr.adapters.bus_line import Line  # noqa: PLC0415 - only for this verb
    from rgmgr.cli.address import (  # noqa: PLC0415 - likewise
        BUS_NAME,
        MANAGER,
        OBJECT_PATH,
        STATUS_TIMEOUT_S,
    )
    from rgmgr.errors import BusError  # noqa: PLC0415 - likewise

    try:
        line = Line.connect()
        try:
            timeout_s = STATUS_TIMEOUT_S
            answer = line.call(BUS_NAME, OBJECT_PATH, MANAGER, "Status", timeout_s=timeout_s)
        finally:
            line.close()
    except BusError:
        return ""
    return "".join(map(str, answer))


def _screen(text: str) -> str:
    """Return the screen of a status in JSON; empty for one that is not understood."""
    from json import loads  # noqa: PLC0415 - JSON needs none
    from types import SimpleNamespace  # noqa: PLC0415 - likewise

    from rgmgr.cli.overview import in_colour, overview, plain  # noqa: PLC0415 - likewise

    try:
        status = cast("Status", loads(text, object_hook=lambda fields: SimpleNamespace(**fields)))
        pieces = list(overview(status, _width()))
    except (ValueError, AttributeError, TypeError):
        return ""
    return (in_colour(pieces) if _is_coloured() else plain(pieces)).rstrip("\n")


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _COLUMNS
    except (OSError, ValueError):
        return _COLUMNS


def _is_coloured() -> bool:
    is_terminal = sys.stdout.isatty() and os.environ.get("TERM") not in (None, "dumb", "unknown")
    return is_terminal and not os.environ.get("NO_COLOR")


if __name__ == "__main__":
    main()
