# SPDX-License-Identifier: Apache-2.0
"""The order in which the resources of a service start and stop."""

from domains.model import ServiceName
from rgmgr.core.spec import ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import start_order, stop_from_fault, stop_order, stopped_later


def _leaf(
    name: str, *children: ResourceSpec, start: int | None = None, stop: int | None = None
) -> ResourceSpec:
    return ResourceSpec(
        name=ResourceName(name),
        type="systemd",
        parameters={},
        children=children,
        start_level=start,
        stop_level=stop,
    )


def _service(*resources: ResourceSpec) -> ServiceSpec:
    return ServiceSpec(name=ServiceName("web"), resources=resources)


def _names(resources: tuple[ResourceSpec, ...]) -> str:
    return " ".join(resource.name for resource in resources)


SERVICE = _service(_leaf("fs", _leaf("db", _leaf("app")), _leaf("log")), _leaf("mail"))


def test_parents_start_before_children_and_elder_siblings_with_all_of_theirs_before_younger() -> (
    None
):
    assert [r.name for r in start_order(SERVICE)] == ["fs", "db", "app", "log", "mail"]


def test_without_levels_stopping_reverses_starting() -> None:
    assert stop_order(SERVICE) == tuple(reversed(start_order(SERVICE)))


def test_a_service_without_resources_has_nothing_to_do() -> None:
    assert start_order(_service()) == ()


# The example of rgmanager's documentation, and what its levels say.
LEVELS = {"l": (1, 9), "fs": (2, 8), "nfs": (4, 6), "ip": (7, 2), "smb": (8, 3), "sh": (9, 1)}


def _typed(name: str, *children: ResourceSpec) -> ResourceSpec:
    start, stop = LEVELS.get(name.rstrip("0123456789"), (None, None))
    return _leaf(name, *children, start=start, stop=stop)


MIXED = _service(
    *(_typed(name) for name in ("my", "sh1", "ip1", "ap", "smb", "nfs")),
    _typed("fs1", _leaf("a"), _leaf("b", start=1, stop=3)),
    *(_typed(name) for name in ("fs2", "l", "sh2", "ip2")),
)


def test_levels_order_the_children_of_one_parent_and_those_without_one_start_last() -> None:
    assert _names(start_order(MIXED)) == "l fs1 b a fs2 nfs ip1 ip2 smb sh1 sh2 my ap"


def test_stopping_goes_by_its_own_levels_and_from_the_last_to_the_first_of_equals() -> None:
    """`smb` starts after the addresses and stops after them, as rgmanager has it."""
    assert _names(stop_order(MIXED)) == "ap my sh2 sh1 ip2 ip1 smb nfs fs2 a b fs1 l"


def test_a_child_with_a_level_for_one_way_only_still_goes_the_other_way() -> None:
    """rgmanager would start it and never stop it."""
    service = _service(_leaf("only-start", start=5), _leaf("both", start=9, stop=1))

    assert _names(start_order(service)) == "only-start both"
    assert _names(stop_order(service)) == "only-start both"


def test_from_a_fault_on_everything_that_started_later_is_stopped_in_stop_order() -> None:
    assert _names(stop_from_fault(MIXED, {ResourceName("ip2")})) == "ap my sh2 sh1 ip2 smb"
    assert stop_from_fault(MIXED, set()) == ()


def test_what_stops_later_is_what_systemd_must_stop_later() -> None:
    by_name = {resource.name: resource for resource in start_order(MIXED)}
    done = tuple(by_name[ResourceName(n)] for n in ("l", "fs1", "ip1", "ip2"))

    assert _names(stopped_later(MIXED, by_name[ResourceName("smb")], done)) == "l fs1"
    assert _names(stopped_later(MIXED, by_name[ResourceName("my")], done)) == "l fs1 ip1 ip2"
