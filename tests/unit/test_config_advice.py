# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - the tables read best with one mistake per line
from __future__ import annotations

from dataclasses import replace

import pytest

from domains.model import NodeId
from rgmgr.config.advice import warnings
from rgmgr.core.spec import NodeSpec
from tests.unit.config_documents import VALID, read


def test_a_careful_configuration_has_no_warnings() -> None:
    assert warnings(read(VALID)) == ()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (VALID.replace("plug = 1", 'password = "x"'), "node.node1.fence[1][1].password"),
        (VALID.replace('"fence_pdu"', '"fence_pdu"\nsnmp_priv_passwd = "x"'), "fencing.device.pdu.snmp_priv_passwd"),
        (VALID.replace('"fence_pdu"', '"fence_pdu"\ncommunity = "private"'), "fencing.device.pdu.community"),
        (VALID.replace('"fence_pdu"', '"fence_pdu"\nmethod = "cycle"'), "fencing.device.pdu.method"),
        (VALID.replace('"fence_pdu"', '"fence_pdu"\nmissing_as_off = true'), "fencing.device.pdu.missing_as_off"),
        (VALID.replace(', delay = "5"', ""), "node"),
        (VALID.replace(', delay = "5"', ', delay = "soon"'), "node"),
        (VALID.replace("plug = 1", "delay = 5"), "node"),
        (VALID + "[fencing]\nunsafe_disabled = true\n", "fencing.unsafe_disabled"),
        (VALID + "[fencing]\ntest_interval = 0\n", "fencing.test_interval"),
        (VALID.replace('name = "web"', 'name = "web"\non_stop_failure = "fence"'), "service.web.on_stop_failure"),
        (VALID + '[fencing.device.spare]\nagent = "fence_x"\n', "fencing.device.spare"),
        (VALID + "[domain.d]\nmembers = { node1 = 1 }\n", "domain.d"),
        (VALID.replace('name = "web"', 'name = "web"\ndomain = "d"') + "[domain.d]\nrestricted = true\nmembers = { node1 = 1 }\n", "domain.d"),
    ],
)  # fmt: skip
def test_what_is_allowed_but_dangerous_is_told_once(text: str, path: str) -> None:
    (warning,) = warnings(read(text))

    assert warning.startswith(f"{path}: ")


@pytest.mark.parametrize(
    "option",
    ['password = "secret:pdu"', 'password_script = "/usr/local/sbin/pw"', 'method = "onoff"'],
)
def test_the_safe_ways_are_not_warned_about(option: str) -> None:
    assert warnings(read(VALID.replace('"fence_pdu"', f'"fence_pdu"\n{option}'))) == ()


def test_a_warning_never_shows_the_secret() -> None:
    (warning,) = warnings(read(VALID.replace("plug = 1", 'password = "hunter2"')))

    assert "hunter2" not in warning


def test_fencing_for_a_failed_stop_that_is_bounded_is_not_warned_about() -> None:
    text = VALID.replace('name = "web"', 'name = "web"\non_stop_failure = "fence"')

    assert warnings(read(text + '[fencing]\nmax_fences = "3 in 1h"\n')) == ()


def test_only_two_nodes_race() -> None:
    third = '[[node]]\nname = "node3"\nfence = [[{ device = "pdu" }]]\n'

    assert warnings(read(VALID.replace(', delay = "5"', "") + third)) == ()


@pytest.mark.parametrize(
    "setting",
    [
        'delay_by_weight = "5s"',
        'delay_random = "5s"',
        'tie_breaker = ["ping:10.0.0.1"]',
        'lease = "/dev/sdb"',
    ],
)
def test_two_nodes_of_which_one_waits_do_not_race(setting: str) -> None:
    raced = VALID.replace(', delay = "5"', "")

    assert warnings(read(raced + f"[fencing]\n{setting}\n")) == ()


def test_a_controller_that_loses_power_with_its_node_is_not_enough() -> None:
    onboard = VALID.replace('"fence_pdu"', '"fence_ipmi"')
    texts = warnings(read(onboard))

    assert [text.partition(": ")[0] for text in texts] == ["node.node1.fence", "node.node2.fence"]
    second = onboard.replace("plug = 1 }]]", 'plug = 1 }], [{ device = "pdu", plug = 2 }]]')
    assert len(warnings(read(second))) == 1


def test_nodes_without_any_method_race_as_well() -> None:
    """Never loaded like this, but a specification may be made by hand."""
    bare = {NodeId(n): NodeSpec(name=f"node{n}") for n in (1, 2)}

    spec = replace(read(VALID), nodes=bare)

    assert warnings(spec)[0].startswith("node: two nodes")
