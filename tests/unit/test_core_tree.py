# SPDX-License-Identifier: Apache-2.0
"""The order in which the resources of a service start and stop."""

from domains.model import ServiceName
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order, stop_order


def _leaf(name: str, *children: ResourceSpec) -> ResourceSpec:
    return ResourceSpec(name=ResourceName(name), type="systemd", parameters={}, children=children)


SERVICE = ServiceSpec(
    name=ServiceName("web"),
    resources=(_leaf("fs", _leaf("db", _leaf("app")), _leaf("log")), _leaf("mail")),
)


def test_parents_start_before_children_and_elder_siblings_with_all_of_theirs_before_younger() -> (
    None
):
    assert [r.name for r in start_order(SERVICE)] == ["fs", "db", "app", "log", "mail"]


def test_stopping_reverses_starting() -> None:
    assert stop_order(SERVICE) == tuple(reversed(start_order(SERVICE)))


def test_a_service_without_resources_has_nothing_to_do() -> None:
    assert start_order(ServiceSpec(name=ServiceName("empty"), resources=())) == ()
