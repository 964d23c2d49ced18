# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime as dt

import pytest

from rgmgr.config import names, problems


@pytest.mark.parametrize(
    ("text", "length"),
    [("web", 3), ("a-b", 6), ("10.0.0.1/24", 14), (".hidden", 10), ("ü", 8), ("a b", 6), ("", 0)],
)
def test_the_length_in_a_unit_name_is_that_of_systemd_escape(text: str, length: int) -> None:
    assert names.escaped_length(text) == length


def test_the_lengths_of_unit_names_count_everything_around_them() -> None:
    assert names.resource_unit_length("web", "a-b") == len(r"rgmgr-web-a\x2db.service")
    assert names.mount_unit_length("/srv/my-data") == len(r"srv-my\x2ddata.mount")


@pytest.mark.parametrize("name", ["web", "a.b:c_d-1", "-" * 60])
def test_a_word_is_a_name(name: str) -> None:
    assert names.word_rejection(name) is None


def test_the_longest_service_name_still_fits_into_a_slice() -> None:
    worst = "rgmgr-" + r"\x2d" * names.SERVICE_NAME_LENGTH_MAX + ".slice"

    assert len(worst) <= names.UNIT_NAME_LENGTH_MAX


@pytest.mark.parametrize("name", ["", "a b", "ü", "a/b", "a\n", "a" * 61])
def test_other_texts_are_no_names(name: str) -> None:
    assert names.word_rejection(name) is not None


@pytest.mark.parametrize("name", ["node1.example.org", "knoten-ü", "10.0.0.1"])
def test_a_node_may_be_named_as_corosync_allows(name: str) -> None:
    assert names.node_name_rejection(name) is None


@pytest.mark.parametrize("name", ["a b", "a\n", "a\u2028b", "a" * 256])
def test_a_node_name_without_end_or_with_blanks_is_refused(name: str) -> None:
    assert names.node_name_rejection(name) is not None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (False, "false"),
        (5, "the integer 5"),
        (1 << 5000, "an integer beyond 64 bits"),
        (0.5, "the number 0.5"),
        ("x", "the text 'x'"),
        ([1], "a list"),
        ({"a": 1}, "a table"),
        (dt.date(2026, 1, 2), "a date or a time"),
    ],
)
def test_a_found_value_is_described_in_words(value: object, words: str) -> None:
    assert problems.described(value) == words


def test_long_and_dangerous_texts_are_cut_and_escaped_for_the_terminal() -> None:
    assert problems.shown("a" * 100) == "'" + "a" * 59 + "…'"
    assert problems.below("service", "a\x1b[2J") == 'service."a\\u001b[2J"'
    assert problems.below("", "ü" * 100) == '"' + "ü" * 59 + '…"'


def test_keys_are_quoted_as_in_toml_and_places_count_from_one() -> None:
    assert problems.below("service", "web") == "service.web"
    assert problems.below("service", "a.b") == 'service."a.b"'
    assert problems.item("service", 0) == "service[1]"


def test_hints_stay_short_and_quick_among_many_words() -> None:
    """A large file full of mistakes is answered in moments."""
    many = [f"vip{number}" for number in range(201)]

    assert problems.did_you_mean("vpi7", many) == ""
    assert problems.did_you_mean("vpi7", many[:200]) == "did you mean 'vip7'?"
    assert problems.listed(many).endswith("vip18, vip19, and 181 more")
    assert problems.listed(many[:20]).endswith("vip18, vip19")
    assert problems.listed([]) == "none"
