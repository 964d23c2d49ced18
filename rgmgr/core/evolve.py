# SPDX-License-Identifier: Apache-2.0
"""Changed copies of frozen records, in a small part of the time of `dataclasses.replace`.

A daemon changes its state several times for each event, and a simulated cluster does so for all its
nodes. Only for dataclasses that are frozen and slotted, without base class and `__post_init__`.

A frozen record can be written only past its guard, with one slow call for each field. So a copy is
made as an unguarded twin, an object of the same slots, and becomes a record when it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, Final, TypeVar, cast

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414  # type checkers know that one

    from _typeshed import DataclassInstance

Key = TypeVar("Key")
Record = TypeVar("Record", bound="DataclassInstance")
_NOTHING: Final = object()
_copiers: Final[dict[type, Callable[[object], object]]] = {}


def evolve(record: Record, changes: Mapping[str, object]) -> Record:
    """Return a copy with other values in these fields; AttributeError for one it does not have."""
    kind = type(record)
    twin = (_copiers.get(kind) or _copier(kind))(record)
    for name, value in changes.items():
        setattr(twin, name, value)
    twin.__class__ = kind
    return twin  # type: ignore[return-value]  # a cast would be called each time


if not TYPE_CHECKING:

    def replace(record: Record, /, **changes: object) -> Record:
        """Return a copy with other values in these fields, as `dataclasses.replace` does."""
        return evolve(record, changes)


def _copier(kind: type[DataclassInstance]) -> Callable[[object], object]:
    """Return what copies such a record into a twin; made once for each class.

    Written out field by field, as `dataclasses` writes `__init__`: a loop would take most of the
    time.
    """
    names = [field.name for field in fields(kind)]
    if kind.__bases__ != (object,) or [*vars(kind).get("__slots__", ())] != names:
        raise TypeError(f"{kind.__name__} is no slotted dataclass without a base class")
    if hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind.__name__} has a __post_init__, which a copy would not call")
    body = "".join(f"    twin.{name} = record.{name}\n" for name in names)
    text = f"def written(record):\n    twin = new(Twin)\n{body}    return twin\n"
    twin = type(kind.__name__, (), {"__slots__": names})
    copier = cast("Callable[[object], object]", _written(text, new=object.__new__, Twin=twin))
    _copiers[kind] = copier
    return copier


def comparer(names: Iterable[str]) -> Callable[[object, object], bool]:
    """Return what tells whether two records hold the very same objects in these fields.

    Of frozen records those are equal; other objects may be equal as well.
    """
    alike = " and ".join(f"one.{name} is other.{name}" for name in names)
    comparer = _written(f"def written(one, other):\n    return {alike}\n")
    return cast("Callable[[object, object], bool]", comparer)


def changed(before: Mapping[Key, object], now: Mapping[Key, object]) -> list[Key]:
    """Return the keys, in their order, that do not hold the very same object as before.

    For mappings of thousands of records, asked after every event: no line of Python for each.
    """
    if before is now:
        return []
    if list(before) != list(now):
        return [key for key, value in now.items() if value is not before.get(key, _NOTHING)]
    return list(compress(now, map(is_not, now.values(), before.values())))


def _written(text: str, **scope: object) -> object:
    """Return the function `written` of this text, in which only names of fields vary."""
    exec(text, scope)  # noqa: S102  # as `dataclasses` does
    return scope["written"]
