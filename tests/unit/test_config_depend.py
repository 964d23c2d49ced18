# SPDX-License-Identifier: Apache-2.0
"""Dependencies between services, as administrators write them."""

from __future__ import annotations

import pytest

from rgmgr.core.spec import DependMode
from tests.unit.config_documents import HEAD, problems_of, read


def document(**depend_by_name: str) -> str:
    """Return a document with these services; each has one unit of its own."""
    return HEAD + "".join(
        f'[[service]]\nname = "{name}"\n{depend}\n'
        f'[[service.resource]]\ntype = "systemd"\nunit = "{name}.service"\n'
        for name, depend in depend_by_name.items()
    )


def test_a_service_names_what_it_needs() -> None:
    web, db = read(document(web='depend = ["db"]\ndepend_mode = "soft"', db="")).services

    assert (web.depend, web.depend_mode) == (("db",), DependMode.SOFT)
    assert (db.depend, db.depend_mode) == ((), DependMode.HARD)


def test_one_alone_may_be_a_text() -> None:
    assert read(document(web='depend = "db"', db="")).services[0].depend == ("db",)


@pytest.mark.parametrize(
    ("web", "db", "path", "words"),
    [
        ('depend = ["dv"]', "", "service.web.depend", "unknown service 'dv'"),
        ('depend = ["db", "db"]', "", "service.web.depend[2]", "the service 'db' is named twice"),
        ("depend = [3]", "", "service.web.depend[1]", "expected the name of a service"),
        ("depend = 3", "", "service.web.depend", "expected a list of services"),
        ('depend = ["web"]', "", "service.web.depend", "'web' -> 'web' is a ring"),
        (
            'depend = "db"',
            'depend = "web"',
            "service.web.depend",
            "'web' -> 'db' -> 'web' is a ring",
        ),
        (
            'depend = "db"',
            'with = ["web"]',
            "service.web.depend",
            "'web' -> 'db' -> 'web' is a ring",
        ),
        ('depend_mode = "firm"', "", "service.web.depend_mode", "expected one of 'hard', 'soft'"),
    ],
)
def test_a_mistake_is_told_once_with_its_place(web: str, db: str, path: str, words: str) -> None:
    (problem,) = problems_of(document(web=web, db=db))

    assert problem.path == path
    assert words in problem.problem
