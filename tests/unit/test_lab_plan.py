# SPDX-License-Identifier: Apache-2.0
"""The lab's pure parts: names and addresses, and the files that nodes are configured by."""

import ipaddress
import tomllib
from pathlib import Path

import pytest

from rgmgr.lab import defaultconfig, render
from rgmgr.lab.lab import parse_members
from rgmgr.lab.layout import (
    MANAGEMENT_ADDRESS,
    NODES_MAX,
    PREFIX,
    SERVICE_ADDRESSES,
    NodePlan,
    pair,
    plan,
)

QUORATE = """\
Quorum information
------------------
Nodes:            2
Node ID:          1
Quorate:          Yes

Votequorum information
----------------------
Flags:            Quorate

Membership information
----------------------
    Nodeid      Votes Name
         1          1 node1 (local)
         3          1 node3
"""


def test_no_two_things_in_the_lab_share_an_address() -> None:
    nodes = plan(NODES_MAX)
    every = [
        MANAGEMENT_ADDRESS,
        *SERVICE_ADDRESSES,
        *(node.address for node in nodes),
        *(node.bmc_address for node in nodes),
    ]
    network = ipaddress.ip_network("10.78.0.0/24")

    overlap = {address for address in every if every.count(address) > 1}

    assert overlap == set()
    assert all(ipaddress.ip_address(address) in network for address in every)
    assert len({node.address6 for node in nodes}) == NODES_MAX
    assert len({node.mac for node in nodes}) == NODES_MAX


def test_what_the_kernel_sees_of_a_node_carries_the_prefix_and_fits() -> None:
    """The prefix is what clean-up goes by; an interface name has at most 15 characters."""
    for node in plan(NODES_MAX):
        assert node.namespace.startswith(f"{PREFIX}-")
        assert len(node.port) <= 15


@pytest.mark.parametrize("count", [0, -1, NODES_MAX + 1])
def test_a_lab_of_an_impossible_size_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {NODES_MAX} nodes, got {count}"):
        plan(count)


def test_a_cable_has_one_name_whichever_end_is_named_first() -> None:
    assert pair("node2", "node1") == pair("node1", "node2") == ("node1", "node2")


def test_two_nodes_may_be_quorate_alone_and_more_may_not() -> None:
    assert "two_node: 1" in render.corosync_conf(plan(2))
    assert "two_node" not in render.corosync_conf(plan(3))


def test_corosync_conf_opens_each_brace_at_the_end_of_its_line_and_closes_it() -> None:
    """corosync's parser accepts nothing else."""
    text = render.corosync_conf(plan(3))

    depth = 0
    for line in text.splitlines():
        assert "{" not in line or line.endswith(" {")
        assert "}" not in line or line.strip() == "}"
        depth += line.count("{") - line.count("}")
        assert depth >= 0
    assert depth == 0
    assert [line.split()[1] for line in text.splitlines() if "nodeid" in line] == ["1", "2", "3"]


def test_every_node_knows_every_node_and_bmc_by_name() -> None:
    nodes = plan(3)

    lines = render.hosts(nodes).splitlines()

    for node in nodes:
        assert f"{node.address} {node.name}" in lines
        assert f"{node.address6} {node.name}" in lines
        assert f"{node.bmc_address} {node.bmc_name}" in lines


def test_a_pair_that_is_cut_is_dropped_in_both_directions_and_others_are_not() -> None:
    rules = render.cut_rules([("port-node1", "port-node2")])

    drops = [line.split() for line in rules.splitlines() if "drop" in line]

    assert drops == [
        ["iifname", '"port-node1"', "oifname", '"port-node2"', "drop"],
        ["iifname", '"port-node2"', "oifname", '"port-node1"', "drop"],
    ]
    assert "drop" not in render.cut_rules([])


def test_power_params_are_what_a_shell_reads_back() -> None:
    text = render.power_params(
        NodePlan(2),
        bridge="rglab0",
        groups=(Path("/cg/rglab/node2"), Path("/named/rglab/node2")),
        lower=(Path("/lab dir/app"), Path("/lab dir/root")),
        binds=("--bind=/dev/loop0:/dev/rglab-disk",),
    )

    values = dict(line.split("=", 1) for line in text.splitlines())

    assert values["GROUP"] == "'/cg/rglab/node2'"
    assert values["GROUPS_ALL"] == "'/cg/rglab/node2 /named/rglab/node2'"
    assert values["LOWER"] == "'/lab dir/app:/lab dir/root'"
    assert values["ADDRESS"] == "'10.78.0.12/24'"


def test_the_default_configuration_fences_every_node_by_its_own_bmc() -> None:
    nodes = plan(3)

    config = tomllib.loads(defaultconfig.render(nodes))

    assert [node["name"] for node in config["node"]] == ["node1", "node2", "node3"]
    for node, planned in zip(config["node"], nodes, strict=True):
        device = config["fencing"]["device"][node["fence"][0][0]["device"]]
        assert device["ip"] == planned.bmc_address
        assert device["password"] == f"secret:{planned.bmc_name}"
    assert config["domain"]["prefer-node1"]["members"] == {"node1": 1, "node2": 2, "node3": 3}
    assert config["service"][0]["domain"] == "prefer-node1"


def test_members_are_read_from_corosync_quorumtool() -> None:
    assert parse_members(QUORATE, plan(3)) == ("node1", "node3")


def test_nobody_is_a_member_without_quorum_or_without_an_answer() -> None:
    assert parse_members(QUORATE.replace("Yes", "No"), plan(3)) == ()
    assert parse_members("Cannot initialize QUORUM service\n", plan(3)) == ()
