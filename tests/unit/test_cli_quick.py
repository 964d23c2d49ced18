# SPDX-License-Identifier: Apache-2.0
"""The short way of `rgmgr status` shows what the verb shows, and loads next to nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rgmgr.cli import overview, quick
from rgmgr.cli.columns import Piece, wrapped
from rgmgr.view import NODE_UNKNOWN, SCHEMA_VERSION, Status, encode_status
from tests.unit.cli_status import healthy, inquorate, troubled, unfenced

GOLDEN = Path(__file__).parents[1] / "golden" / "cli"
HEAVY = ("click", "dataclasses", "msgspec", "rich", "rgmgr.core", "rgmgr.view", "rgmgr.cli.main")
SCREENS = {
    "status-healthy": healthy(),
    "status-troubled": troubled(),
    "status-inquorate": inquorate(),
    "status-unfenced": unfenced(),
}


@pytest.mark.parametrize(("name", "status"), SCREENS.items())
def test_the_screen_is_that_of_the_verb(
    name: str, status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    screen = quick.shown(["status"], lambda: encode_status(status))

    assert f"{screen}\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_json_is_passed_on_as_it_is() -> None:
    text = encode_status(troubled())

    assert quick.shown(["status", "--json"], lambda: text) == text


@pytest.mark.parametrize(
    "said", ["", "rubbish", '{"schema":1,"nodes":7}', '{"schema":2,"nodes":[]}']
)
def test_what_is_not_understood_is_left_to_the_verb(said: str) -> None:
    assert quick.shown(["status"], lambda: said) == ""


@pytest.mark.parametrize(
    "asked", [[], ["status", "web"], ["status", "--watch"], ["explain", "web"]]
)
def test_the_rest_is_for_the_verbs(asked: list[str]) -> None:
    assert quick.shown(asked, lambda: encode_status(healthy())) == ""


def test_no_bus_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere")

    assert quick._status() == ""


def test_colour_adds_nothing_but_colour() -> None:
    pieces = list(overview.overview(troubled(), 80))

    coloured = overview.in_colour(pieces)

    assert "\033[1;31mUNCLEAN\033[0m" in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == overview.plain(pieces)


def test_a_narrow_terminal_cuts_nothing_off() -> None:
    status = replace(troubled(), notices=())

    words = overview.plain(overview.overview(status, 40)).split()

    assert words.count("disable") == 1
    assert sorted(words) == sorted(overview.plain(overview.overview(status, 400)).split())


def test_styles_stay_where_they_were_when_a_text_wraps() -> None:
    lines = list(wrapped((Piece("one two "), Piece("three", "bold"), Piece(" four")), 9))

    assert lines == [(Piece("one two"),), (Piece("three", "bold"),), (Piece("four"),)]


def test_what_is_written_twice_is_the_same() -> None:
    assert overview.UNKNOWN == NODE_UNKNOWN
    assert quick.SCHEMA == SCHEMA_VERSION
    assert encode_status(healthy()).startswith(f'{{"schema":{quick.SCHEMA},')


def test_next_to_nothing_is_loaded() -> None:
    program = (
        "import sys, rgmgr.cli.quick, rgmgr.cli.overview, rgmgr.adapters.bus_line, json\n"
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
