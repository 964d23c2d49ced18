# SPDX-License-Identifier: Apache-2.0
"""Names of units: what systemd-escape(1) prints is the reference, and they can be read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rgmgr.adapters.systemd import names
from rgmgr.config.names import escaped_length, mount_unit_length, resource_unit_length


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("web", "web"),
        ("web-1", r"web\x2d1"),
        (".hidden", r"\x2ehidden"),
        ("a.b:c_d", "a.b:c_d"),
        ("a b", r"a\x20b"),
        ("a/b", r"a\x2fb"),
        ("grün", r"gr\xc3\xbcn"),
        ("back\\slash", r"back\x5cslash"),
        ("@", r"\x40"),
    ],
)
def test_a_name_is_escaped_as_systemd_does(text: str, escaped: str) -> None:
    assert names.escape(text) == escaped
    assert names.unescape(escaped) == text


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", "-.mount"),
        ("/srv/web", "srv-web.mount"),
        ("//srv//web/", "srv-web.mount"),
        ("/srv/my-data", r"srv-my\x2ddata.mount"),
        ("/.snap/x", r"\x2esnap-x.mount"),
        ("/srv/.x", "srv-.x.mount"),
    ],
)
def test_a_mount_point_becomes_the_unit_that_systemd_expects(path: str, unit: str) -> None:
    assert names.mount_unit(path) == unit


@given(service=st.text(min_size=1), resource=st.text(min_size=1))
def test_a_unit_tells_its_service_and_resource(service: str, resource: str) -> None:
    unit = names.resource_unit(service, resource)
    assert names.resource_of_unit(unit) == (service, resource)
    assert names.service_of_slice(names.slice_of(service)) == service


@pytest.mark.parametrize(
    "unit", ["rgmgr.slice", "rgmgr-a-b.slice", "system.slice", "rgmgr-.slice", "rgmgr-a.service"]
)
def test_other_slices_are_not_ours(unit: str) -> None:
    assert names.service_of_slice(unit) is None


@pytest.mark.parametrize(
    "unit", ["rgmgrd.service", "rgmgr-a.service", "rgmgr-a-b-cleanup.service", "rgmgr-a-b.slice"]
)
def test_other_units_are_no_resources(unit: str) -> None:
    assert names.resource_of_unit(unit) is None


@given(st.text(min_size=1))
def test_an_object_path_leads_back_to_its_unit(unit: str) -> None:
    path = names.object_path(unit)
    assert path.isascii()
    assert names.unit_of_path(path) == unit


def test_a_leading_digit_is_escaped_in_an_object_path() -> None:
    assert names.object_path("1-a.service").endswith("/unit/_31_2da_2eservice")


@given(service=st.text(min_size=1), resource=st.text(min_size=1))
def test_the_configuration_counts_the_same_length(service: str, resource: str) -> None:
    """Too long a name is refused when the configuration is read, not when the service starts."""
    assert escaped_length(service) == len(names.escape(service))
    assert resource_unit_length(service, resource) == len(names.resource_unit(service, resource))


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1), min_size=1)
)
def test_the_configuration_never_takes_a_mount_point_for_shorter(parts: list[str]) -> None:
    path = "/" + "/".join(part for part in parts if part != ".")
    assert mount_unit_length(path) >= len(names.mount_unit(path)) or path == "/"


@pytest.mark.parametrize(
    ("unit", "is_valid"),
    [("nginx.service", True), ("pg@main.service", True), ("nginx", False), ("a b.service", False)],
)
def test_a_unit_name_needs_a_suffix_and_no_blanks(unit: str, is_valid: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert names.is_unit_name(unit) is is_valid
