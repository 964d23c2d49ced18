# SPDX-License-Identifier: Apache-2.0
"""What is pinged, as written in cluster.toml."""

from __future__ import annotations

import pytest

from rgmgr.config.load import loads
from rgmgr.core.spec import PingSpec
from rgmgr.errors import ConfigError

TEXT = """
[cluster]
name = "alpha"
version = 1
[[node]]
name = "node1"
[fencing]
unsafe_disabled = true
"""


def read(*pings: str) -> tuple[PingSpec, ...]:
    """Read a configuration with these pings, each written as its keys."""
    text = TEXT + "".join(f"[[ping]]\n{keys}\n" for keys in pings)
    return loads(text, source="test", node_ids=None).pings


def test_an_address_and_a_link() -> None:
    keys = "name = 'gw'\naddress = '10.0.0.1'\nweight = 3\ninterval = '5s'\nfailures = 2"

    assert read(keys, "name = 'up'\ninterface = 'eth1'") == (
        PingSpec(name="gw", address="10.0.0.1", weight=3, interval_ms=5_000, failures=2),
        PingSpec(name="up", interface="eth1"),
    )


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        ("name = 'gw'", "ping.gw"),
        ("name = 'gw'\naddress = '10.0.0.1'\ninterface = 'eth1'", "ping.gw"),
        ("name = 'gw'\naddress = 'gateway.example.org'", "ping.gw.address"),
        ("name = 'gw'\ninterface = 'a b'", "ping.gw.interface"),
        ("name = 'gw'\naddress = '10.0.0.1'\nfailures = 1", "ping.gw.failures"),
        ("name = 'gw'\naddress = '10.0.0.1'\nweight = 0", "ping.gw.weight"),
        ("address = '10.0.0.1'", "ping[1].name"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(keys: str, path: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(keys)

    assert [problem.path for problem in error.value.problems] == [path]


def test_a_name_is_used_once() -> None:
    with pytest.raises(ConfigError) as error:
        read("name = 'gw'\naddress = '10.0.0.1'", "name = 'gw'\naddress = '10.0.0.2'")

    assert [problem.path for problem in error.value.problems] == ["ping[2].name"]
