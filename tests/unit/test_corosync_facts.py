# SPDX-License-Identifier: Apache-2.0
"""What is read of corosync's configuration."""

from __future__ import annotations

import pytest

from rgmgr.adapters.corosync.facts import tie_breaker_of
from rgmgr.adapters.corosync.raw import Value


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"provider": "corosync_votequorum"}, ""),
        ({"auto_tie_breaker": "1"}, "lowest"),
        ({"auto_tie_breaker": "1", "auto_tie_breaker_node": "lowest"}, "lowest"),
        ({"auto_tie_breaker": "1", "auto_tie_breaker_node": "highest"}, ""),
        ({"auto_tie_breaker": "0"}, ""),
        ({"device.model": "net", "auto_tie_breaker": "0"}, "arbiter"),
    ],
)
def test_what_decides_a_tie_is_read(keys: dict[str, Value], found: str) -> None:
    assert tie_breaker_of({f"quorum.{key}": value for key, value in keys.items()}) == found
