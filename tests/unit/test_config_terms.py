# SPDX-License-Identifier: Apache-2.0
"""What services ask of their nodes, as written in cluster.toml, and what contradicts itself."""

from __future__ import annotations

import pytest

from domains.model import ServiceName, Terms, Tie
from rgmgr.config.load import loads
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError

HEAD = """
[cluster]
name = "alpha"
version = 1
[fencing]
unsafe_disabled = true
[domain.left]
restricted = true
members = ["node1"]
[domain.right]
restricted = true
members = ["node2"]
"""
NODES = "[[node]]\nname = 'node1'\n[[node]]\nname = 'node2'\n"
SMALL = "[[node]]\nname = 'node1'\ncapacity = 4\n[[node]]\nname = 'node2'\ncapacity = 6\n"
DB = ServiceName("db")


def parsed(*services: str, nodes: str = NODES) -> ClusterSpec:
    """Read a configuration of services, each written as its keys."""
    bodies = [
        f"[[service]]\n{keys}\nresource = [{{ type = 'systemd', unit = 'u{number}.service' }}]\n"
        for number, keys in enumerate(services)
    ]
    return loads(HEAD + nodes + "".join(bodies), source="test", node_ids=None)


def problems(*services: str, nodes: str = NODES) -> list[tuple[str, str]]:
    """Return what is wrong with a configuration: paths and texts."""
    with pytest.raises(ConfigError) as error:
        parsed(*services, nodes=nodes)
    return [(problem.path, problem.problem) for problem in error.value.problems]


def test_every_key_is_read() -> None:
    spec = parsed(
        "name = 'db'",
        "name = 'mail'",
        "name = 'web'\nexclusive = true\nload = 3\npriority = 7\n"
        "apart_from = ['db', { service = 'mail', hard = false }]",
        "name = 'app'\nwith = ['db']",
    )

    assert spec.services[0].terms == Terms()
    assert spec.services[2].terms == Terms(
        exclusive=True, load=3, priority=7, apart=(Tie(DB), Tie(ServiceName("mail"), hard=False))
    )
    assert spec.services[3].terms.together == (Tie(DB),)


def test_a_node_says_its_capacity_or_has_no_limit() -> None:
    nodes = parsed("name = 'db'", nodes=SMALL + "[[node]]\nname = 'node3'\n").nodes

    assert [node.capacity for node in nodes.values()] == [4, 6, None]


@pytest.mark.parametrize(
    ("keys", "path", "text"),
    [
        (
            "priority = 0",
            "service.web.priority",
            "expected an integer from 1 to 100, got the integer 0",
        ),
        ("load = -1", "service.web.load", "expected an integer of 0 or more, got the integer -1"),
        ("with = 'db'", "service.web.with", "expected a list of services, got the text 'db'"),
        ("with = [3]", "service.web.with[1]", "expected the name of a service, got the integer 3"),
        ("with = ['dbb']", "service.web.with[1]", "unknown service 'dbb'"),
        ("apart_from = ['web']", "service.web.apart_from[1]", "a service has no tie to itself"),
        ("with = ['db', 'db']", "service.web.with[2]", "the service 'db' is named twice"),
        ("with = [{}]", "service.web.with[1].service", "missing: the name of a service"),
    ],
)
def test_what_is_wrong_with_one_service_is_named(keys: str, path: str, text: str) -> None:
    assert (path, text) in problems("name = 'db'", f"name = 'web'\n{keys}")


def test_a_ring_of_services_is_named_with_all_that_are_in_it() -> None:
    found = problems(
        "name = 'a'\nwith = ['b']",
        "name = 'b'\nwith = ['c']",
        "name = 'c'\nwith = ['a']",
        "name = 'd'\nwith = ['a']",
    )

    assert found == [("service.a.with", "a ring: a with b with c with a")]


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        (("name = 'db'", "name = 'web'\nwith = ['db']\napart_from = ['db']"), "must be apart"),
        (("name = 'db'\napart_from = ['web']", "name = 'web'\nwith = ['db']"), "must be apart"),
        (("name = 'db'\nexclusive = true", "name = 'web'\nwith = ['db']"), "db runs alone"),
        (
            ("name = 'db'\ndomain = 'left'", "name = 'web'\nwith = ['db']\ndomain = 'right'"),
            "their restricted domains share no node",
        ),
        (
            (
                "name = 'db'\napart_from = ['web']",
                "name = 'app'\nwith = ['db']",
                "name = 'web'\nwith = ['app']",
            ),
            "must be apart",
        ),
    ],
)
def test_what_no_cluster_could_do_is_refused(services: tuple[str, ...], reason: str) -> None:
    (problem,) = problems(*services)

    assert problem[0] == "service.web.with"
    assert reason in problem[1]


def test_soft_wishes_never_contradict() -> None:
    soft = "{ service = 'db', hard = false }"

    assert parsed("name = 'db'", f"name = 'web'\nwith = ['db']\napart_from = [{soft}]")


def test_a_load_that_fits_nowhere_is_refused_with_its_company() -> None:
    assert parsed("name = 'db'\nload = 6", nodes=SMALL)
    assert problems("name = 'db'\nload = 7", nodes=SMALL) == [
        ("service.db.load", "no node has room for a load of 7, the largest has 6")
    ]
    pair = ("name = 'db'\nload = 4", "name = 'web'\nload = 3\nwith = ['db']")
    assert problems(*pair, nodes=SMALL) == [
        ("service.web.load", "no node has room for a load of 7 with db, the largest has 6")
    ]
