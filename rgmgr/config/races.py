# SPDX-License-Identifier: Apache-2.0
"""The keys of [fencing] that keep fencing within bounds: a budget, and who decides a tie."""

from __future__ import annotations

import ipaddress

from rgmgr.config.problems import Rejection, described, item, unprintable
from rgmgr.config.rates import read_rate
from rgmgr.config.table import Table
from rgmgr.core.model import CASES_MAX

PING_PREFIX = "ping:"


def read_budget(section: Table) -> tuple[int, int]:
    """Return how many nodes may be fenced in how many milliseconds; (0, 0): no limit."""
    return read_rate(section, "max_fences", "nodes", CASES_MAX - 1)


def read_tie_breaker(section: Table) -> tuple[str, ...]:
    """Return the tie breakers as they are written, each `ping:ADDRESS`."""
    found = []
    hint = 'each is an address to ping, such as "ping:10.0.0.1"'
    for index, raw in enumerate(section.sequence("tie_breaker", "a list of addresses", hint)):
        path = item(section.at("tie_breaker"), index)
        if not isinstance(raw, str) or not raw.startswith(PING_PREFIX):
            section.problems.add(path, f'expected "ping:ADDRESS", got {described(raw)}', hint)
        elif not _is_address(raw.removeprefix(PING_PREFIX)):
            text = f"expected an IPv4 or IPv6 address after ping:, got {described(raw)}"
            rejection = Rejection(text, "a name may not be resolved when it matters")
            section.problems.reject(path, rejection)
        else:
            found.append(raw)
    return tuple(found)


def read_lease(section: Table) -> str:
    """Return the shared disk that decides a race; empty: none."""
    found = section.text("lease")
    if found is None or (found.startswith("/") and unprintable(found) is None):
        return found or ""
    hint = 'such as "/dev/disk/by-id/..."; every node must see the same disk there'
    section.wrong("lease", "the path of a shared block device or file", hint)
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
