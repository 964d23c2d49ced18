# SPDX-License-Identifier: Apache-2.0
"""Changed copies are what `dataclasses.replace` makes, and as frozen."""

from __future__ import annotations

import dataclasses

import pytest

from domains.model import NodeId
from rgmgr.core.evolve import changed, comparer, evolve, replace
from rgmgr.core.model import Node, NodeStatus, RingId


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    number: int

    def __post_init__(self) -> None:
        assert self.number


@dataclasses.dataclass(frozen=True)
class Unslotted:
    number: int


def test_a_copy_is_what_dataclasses_make_of_it() -> None:
    node = Node(status=NodeStatus.UNCLEAN, boot_id="b", victim=7)

    copy = replace(node, victim=8, attempt=2)

    assert copy == dataclasses.replace(node, victim=8, attempt=2)
    assert type(copy) is Node
    assert hash(RingId(NodeId(1), 8)) == hash(replace(RingId(NodeId(1), 4), seq=8))
    assert node == Node(status=NodeStatus.UNCLEAN, boot_id="b", victim=7)


def test_a_copy_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        replace(Node(), victim=8).victim = 9  # type: ignore[misc]  # that is the point


def test_an_unknown_field_is_an_error() -> None:
    with pytest.raises(AttributeError, match="colour"):
        evolve(Node(), {"colour": "red"})


@pytest.mark.parametrize("record", [Checked(1), Unslotted(1)])
def test_what_cannot_be_copied_like_that_is_refused(record: Checked | Unslotted) -> None:
    with pytest.raises(TypeError, match=type(record).__name__):
        evolve(record, {"number": 2})


def test_records_with_the_very_same_objects_are_alike() -> None:
    is_alike = comparer(("boot_id", "victim"))
    node = Node(boot_id="b", victim=7)

    assert is_alike(node, replace(node, attempt=3))
    assert not is_alike(node, replace(node, victim=8))


def test_what_has_changed_is_found_in_its_order() -> None:
    one, two, three = object(), object(), object()
    before = {"a": one, "b": two, "c": three}

    assert changed(before, before) == []
    assert changed(before, dict(before)) == []
    assert changed(before, {"a": two, "b": two, "c": one}) == ["a", "c"]
    assert changed(before, {"c": three, "a": one, "d": two}) == ["d"]
    assert changed({}, {"b": None, "a": one}) == ["b", "a"]
