# SPDX-License-Identifier: Apache-2.0
"""The keys of a place in a tree that let it fail apart from the rest."""

from __future__ import annotations

import pytest

from rgmgr.core.spec import Independence, ResourceSpec
from tests.unit.config_documents import HEAD, problems_of, read

PLACE = '[[service]]\nname = "web"\n[[service.resource]]\n'
OWN = 'type = "systemd"\nunit = "a.service"\n'
REF = 'ref = "shared"\n'
SHARED = '[[resource]]\ntype = "systemd"\nname = "shared"\nunit = "a.service"\n'
KEYS = (
    'independent = "non-critical"\nmax_restarts = 3\nrestart_expire_time = "5min"\n'
    'tolerance = "2 in 10min"\n'
)


def first(text: str) -> ResourceSpec:
    """Return the first resource of the only service."""
    return read(HEAD + text).services[0].resources[0]


@pytest.mark.parametrize("text", [PLACE + OWN, SHARED + PLACE + REF])
def test_they_belong_to_the_place_be_its_resource_shared_or_not(text: str) -> None:
    found, plain = first(text + KEYS), first(text)

    assert (found.independent, plain.independent) == (Independence.NON_CRITICAL, None)
    assert (found.max_restarts, found.restart_expire_ms) == (3, 300_000)
    assert (found.tolerated, found.tolerance_ms) == (2, 600_000)
    assert (plain.max_restarts, plain.tolerated) == (0, 0)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('independent = "yes"\n', "independent: expected one of 'restart', 'non-critical'"),
        ("max_restarts = 3\n", "max_restarts: means nothing here"),
        ('restart_expire_time = "1h"\n', "restart_expire_time: means nothing here"),
        ('tolerance = "often"\n', "tolerance: expected a number of failures and a time span"),
        ('tolerance = "0 in 1h"\n', "tolerance: expected 1 to 100 failures"),
    ],
)
def test_what_is_wrong_with_them_is_said(keys: str, problem: str) -> None:
    (found,) = problems_of(HEAD + PLACE + OWN + keys)

    assert f"{found.path}: {found.problem}".startswith(f"service.web.resource[1].{problem}")
