# SPDX-License-Identifier: Apache-2.0
"""When services go back, as written in cluster.toml."""

from __future__ import annotations

import pytest

from domains.model import FailoverDomain, Window
from rgmgr.config.load import loads
from rgmgr.errors import ConfigError

TEXT = """
[cluster]
name = "alpha"
version = 1
[[node]]
name = "node1"
[fencing]
unsafe_disabled = true
[domain.d]
members = ["node1"]
"""


def read(keys: str) -> FailoverDomain:
    """Return the domain that these keys make."""
    return loads(TEXT + keys, source="test", node_ids=None).domains["d"]


def test_the_default_is_at_once() -> None:
    domain = read("")

    assert (domain.nofailback, domain.failback_delay_ms, domain.failback_window) == (False, 0, None)
    assert read("failback = 'always'") == domain


@pytest.mark.parametrize("keys", ["failback = 'never'", "nofailback = true"])
def test_never_is_what_rgmanager_calls_nofailback(keys: str) -> None:
    assert read(keys).nofailback
    assert read("nofailback = true\nfailback = 'never'").nofailback


def test_a_time_of_day_and_a_delay() -> None:
    domain = read("failback = '23:30-04:00'\nfailback_delay = '10min'")

    assert domain.failback_window == Window(23 * 60 + 30, 4 * 60)
    assert domain.failback_delay_ms == 600_000


@pytest.mark.parametrize("word", ["'2-4'", "'25:00-26:00'", "'02:00-02:00'", "'sometimes'", "3"])
def test_anything_else_is_refused_with_what_is_expected(word: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(f"failback = {word}")

    (problem,) = error.value.problems
    assert problem.path == "domain.d.failback"


@pytest.mark.parametrize(
    ("flag", "word"), [("true", "always"), ("true", "02:00-04:00"), ("false", "never")]
)
def test_two_words_that_contradict_each_other_are_refused(flag: str, word: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(f"nofailback = {flag}\nfailback = '{word}'")

    (problem,) = error.value.problems
    assert problem.problem == f"'{word}' contradicts nofailback = {flag}"
