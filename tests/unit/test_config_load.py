# SPDX-License-Identifier: Apache-2.0
"""Reading the file: what the world can put in its place, and TOML that is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rgmgr.config.load import SIZE_BYTES_MAX, _syntax_problem, load, loads
from rgmgr.errors import ConfigError
from tests.unit.config_documents import VALID


class Forbidden(type(Path())):  # type: ignore[misc] # the class that Path() makes here
    """A path that this user may not look at; for root there is none."""

    def is_dir(self) -> bool:
        raise PermissionError


def refusal(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, None)
    assert caught.value.source == str(path)
    return str(caught.value).partition("\n  ")[2]


def syntax_error(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, source="cluster.toml", node_ids=None)
    return str(caught.value)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    plain, marked = tmp_path / "plain.toml", tmp_path / "marked.toml"
    plain.write_text(VALID, encoding="utf-8")
    marked.write_text(VALID, encoding="utf-8-sig")

    assert load(plain, None) == load(marked, None)
    assert len(load(plain, None).digest) == 16


def test_problems_are_told_with_the_path_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(VALID.replace("version = 1", "version = 0"), encoding="utf-8")

    assert refusal(path) == ("cluster.version  expected an integer of 1 or more, got the integer 0")


def test_a_missing_file_is_told_in_plain_words(tmp_path: Path) -> None:
    assert refusal(tmp_path / "cluster.toml") == (
        "file  there is no such file (docs/configuration.md has an example)"
    )


def test_a_directory_is_no_configuration(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("file  is a directory")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)

    assert refusal(path).startswith("file  is not a regular file")


def test_a_file_that_may_not_be_read_is_told() -> None:
    assert (
        refusal(Forbidden("/etc/rgmgr/cluster.toml"))
        == "file  this user may not read it (try again as root)"
    )


def test_other_failures_are_told_as_the_system_names_them(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()

    assert refusal(tmp_path / "loop") == "file  cannot be read: Too many levels of symbolic links"
    assert refusal(tmp_path / "file" / "x") == "file  cannot be read: Not a directory"
    assert refusal(Path("a\0b")) == "file  cannot be read: embedded null byte"


def test_a_file_larger_than_any_configuration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_bytes(b"#" * (SIZE_BYTES_MAX + 1))

    assert refusal(path).startswith("file  is larger than 1024 KiB")


def test_text_that_is_not_utf_8_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_bytes(b"a = 1\nb = '\xfc'\n")

    assert refusal(path) == "line 2  not UTF-8 text: byte 0xfc (save it as UTF-8)"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[cluster]\nname alpha\n", "line 2, column 6  not valid TOML: Expected '='"),
        ("a = 1\na = 2\n", "line 2, column 6  not valid TOML: Cannot overwrite a value"),
        ("a = [\n1,\n", "line 3  not valid TOML, at the end:"),
        ("a = 2026-13-01\n", "line 1, column 9  not valid TOML: Expected newline"),
    ],
)
def test_a_syntax_error_names_line_and_column(text: str, place: str) -> None:
    """A file cut off inside a list must not be taken for a shorter one."""
    error = syntax_error(text)

    assert error.startswith(f"cluster.toml: 1 problem\n  {place}")
    assert "(correct it and check again" in error


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 20_000, "a = " + "1" * 5_000, "a = 0x" + "f" * 5_000]
)
def test_values_beyond_all_reason_are_an_error_and_no_crash(text: str) -> None:
    assert "nested too deeply, or a number is too long" in syntax_error(text)


def test_a_message_without_a_place_points_to_the_end() -> None:
    """The wording is Python's; an unknown one is shown as it is."""
    problem = _syntax_problem("odd", "a = 1\nb")

    assert (problem.path, problem.problem) == ("line 2", "not valid TOML, at the end: odd")
