# SPDX-License-Identifier: Apache-2.0
"""One fault, one line of a script: `10s  power-loss node=node1 for=15s`.

Written and read by the fields of the fault classes alone, so a new fault needs no change here.
Times have units, nodes their names, words of an enumeration their names with dashes; what an
ambush waits with comes after a colon. A field that has its default is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, fields, replace
from enum import Enum
from functools import cache
from typing import TypeVar, get_args, get_type_hints

from domains.model import NodeId, ServiceName
from rgmgr.config.durations import DURATION_MS_MAX, parse_duration, written_duration
from rgmgr.config.problems import Rejection, did_you_mean, listed, shown
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.sim.faults import Ambush, Fault, Strike

T = TypeVar("T")

ID_PREFIX = "id:"
NOBODY = "-"
STRIKE_MARK = ":"
_SEPARATORS = ',|>"#='
_DIGITS_MAX = 18  # more would not be a number of 64 bits
_NONE = type(None)
_TRUTH = {"yes": True, "no": False}
_TEXTS = (str, ServiceName, ResourceName)


class LineError(Exception):
    """A line that says nothing: what was found and what is allowed."""

    def __init__(self, text: str, hint: str = "") -> None:
        self.text = text
        self.hint = hint
        super().__init__(text, hint)


@dataclass(frozen=True, slots=True)
class Nodes:
    """The names of nodes. One that has none here, or one that would confuse, is `id:NUMBER`."""

    id_by_name: Mapping[str, NodeId]

    @classmethod
    def of(cls, spec: ClusterSpec) -> Nodes:
        """Return the nodes of a configuration."""
        return cls({node.name: number for number, node in spec.nodes.items()})

    def read(self, text: str) -> NodeId:
        """Return the id of a node."""
        number = text.removeprefix(ID_PREFIX)
        if number != text and number.isdecimal():
            return NodeId(int(number))
        if text not in self.id_by_name:
            known = did_you_mean(text, self.id_by_name) or f"nodes: {listed(self.id_by_name)}"
            raise LineError(f"unknown node {shown(text)}", known)
        return self.id_by_name[text]

    def write(self, node: NodeId) -> str:
        """Return what `read` understands."""
        for name, number in self.id_by_name.items():
            is_plain = not name.startswith((ID_PREFIX, NOBODY)) and name.isprintable()
            if number == node and is_plain and not any(c in name for c in _SEPARATORS):
                return name
        return f"{ID_PREFIX}{node}"


@dataclass(frozen=True, slots=True)
class _Way:
    """How the values of a field are read and written."""

    read: Callable[[str, Nodes], object]
    write: Callable[[object, Nodes], str]


# Words.


def split(line: str) -> list[str]:
    """Return the words of a line up to its comment; a text in double quotes is one word's part.

    Raises:
        LineError: quotes are not closed.
    """
    words: list[str] = []
    word = ""
    rest = line.strip()
    while rest:
        if rest[0] == '"':
            text, length = _quoted(rest)
            word, rest = f"{word}{text}", rest[length:]
            if not rest or rest[0].isspace():
                words.append(word)
                word = ""
        elif rest[0].isspace():
            words += [word] if word else []
            word = ""
            rest = rest.lstrip()
        elif rest[0] == "#" and not word:
            break
        else:
            word, rest = word + rest[0], rest[1:]
    return [*words, word] if word else words


def _quoted(rest: str) -> tuple[str, int]:
    try:
        text, length = json.JSONDecoder().raw_decode(rest)
    except ValueError:
        raise LineError(f"a quote is not closed: {shown(rest)}") from None
    return str(text), length


def quoted(text: str) -> str:
    """Return a text as one word."""
    is_plain = text.isascii() and text.isprintable() and not any(c in text for c in '" #')
    return text if text and is_plain else json.dumps(text, ensure_ascii=True)


def read_time(text: str) -> int:
    """Return the milliseconds of a time span, which may have a minus; so many ms have no limit."""
    span = text.removeprefix("-")
    digits = span.removesuffix("ms")
    is_plain = digits != span and digits.isascii() and digits.isdecimal()
    if is_plain and len(digits) > _DIGITS_MAX:
        raise LineError(f"a clock cannot jump so far: {shown(text)}")
    parsed = int(digits) if is_plain else parse_duration(span)
    if isinstance(parsed, Rejection):
        raise LineError(parsed.text, parsed.hint)
    return -parsed if text.startswith("-") else parsed


def write_time(span_ms: int) -> str:
    """Return a time span with its unit: `300ms`, `12.5s`; with a minus when it is one."""
    is_long = abs(span_ms) > DURATION_MS_MAX
    span = f"{abs(span_ms)}ms" if is_long else written_duration(abs(span_ms))
    return f"-{span}" if span_ms < 0 else span


def word_of(member: Enum) -> str:
    """Return the word of an enumeration's member."""
    return member.name.lower().replace("_", "-")


def one_of(words: Mapping[str, T], text: str, what: str) -> T:
    """Return what a word stands for."""
    check_known(words, text, what)
    return words[text]


def check_known(words: Collection[str], text: str, what: str) -> None:
    """Refuse a word that is none of these."""
    if text not in words:
        hint = did_you_mean(text, words) or f"known: {listed(words)}"
        raise LineError(f"unknown {what} {shown(text)}", hint)


# Values.


def _read_integer(text: str, _nodes: Nodes) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()):
        raise LineError(f"expected a whole number, got {shown(text)}")
    return int(text)


def _read_list(text: str, separator: str, read: Callable[[str], object]) -> tuple[object, ...]:
    return tuple(read(part) for part in text.split(separator)) if text else ()


def _read_side(text: str, nodes: Nodes) -> tuple[object, ...]:
    return () if text == NOBODY else _read_list(text, ",", nodes.read)


def _read_way(text: str, nodes: Nodes) -> tuple[NodeId, NodeId]:
    sender, arrow, receiver = text.partition(">")
    if not arrow:
        raise LineError(f"expected SENDER>RECEIVER, got {shown(text)}")
    return nodes.read(sender), nodes.read(receiver)


def _side(side: object, nodes: Nodes) -> str:
    return ",".join(map(nodes.write, _tuple(side))) or NOBODY


def _tuple(value: object) -> tuple[NodeId, ...]:
    assert isinstance(value, tuple)  # noqa: S101 - the field's type says so
    return value


def _one_way(way: object, nodes: Nodes) -> str:
    sender, receiver = _tuple(way)
    return f"{nodes.write(sender)}>{nodes.write(receiver)}"


def _enumeration(kind: type[Enum]) -> _Way:
    words = {word_of(member): member for member in kind}
    return _Way(
        lambda text, _nodes: one_of(words, text, kind.__name__.lower()),
        lambda value, _nodes: next(word for word, member in words.items() if member is value),
    )


_TIME = _Way(
    lambda text, _nodes: read_time(text), lambda value, _nodes: write_time(int(str(value)))
)
_PLAIN = _Way(lambda text, _nodes: text, lambda value, _nodes: str(value))
_BY_HINT: dict[object, _Way] = {
    bool: _Way(
        lambda text, _nodes: one_of(_TRUTH, text, "answer"),
        lambda value, _nodes: "yes" if value else "no",
    ),
    int: _Way(_read_integer, lambda value, _nodes: str(value)),
    NodeId: _Way(lambda text, nodes: nodes.read(text), lambda v, nodes: nodes.write(_node(v))),
    tuple[NodeId, ...]: _Way(_read_side, _side),
    tuple[tuple[NodeId, ...], ...]: _Way(
        lambda text, nodes: _read_list(text, "|", lambda side: _read_side(side, nodes)),
        lambda value, nodes: "|".join(_side(side, nodes) for side in _tuple(value)),
    ),
    tuple[tuple[NodeId, NodeId], ...]: _Way(
        lambda text, nodes: _read_list(text, ",", lambda way: _read_way(way, nodes)),
        lambda value, nodes: ",".join(_one_way(way, nodes) for way in _tuple(value)),
    ),
    **dict.fromkeys(_TEXTS, _PLAIN),
}


def _node(value: object) -> NodeId:
    return NodeId(int(str(value)))


def _way_of(field_name: str, hint: object) -> _Way:
    options = [option for option in get_args(hint) if option is not _NONE]
    if len(options) == 1 and _NONE in get_args(hint):
        hint = options[0]
    if field_name.endswith("_ms"):
        return _TIME
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enumeration(hint)
    return _BY_HINT[hint]


# Faults.


@cache
def kinds() -> dict[str, type[Fault]]:
    """Return the classes of faults by their words: `power-loss` is `PowerLoss`."""
    return {_dashed(kind.__name__): kind for kind in (*get_args(Strike), Ambush)}


def _dashed(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _key(field_name: str) -> str:
    name = field_name.removesuffix("_ms").removeprefix("is_").removeprefix("does_")
    return name.replace("_", "-")


def _columns(kind: type[Fault]) -> dict[str, tuple[Field[object], _Way]]:
    """Return the fields of a class by their keys, but its time and what it strikes with."""
    hints = get_type_hints(kind)
    return {
        _key(field.name): (field, _way_of(field.name, hints[field.name]))
        for field in fields(kind)
        if field.name not in ("at_ms", "strike")
    }


def read_fault(words: list[str], at_ms: int, nodes: Nodes) -> Fault:
    """Return the fault that words name.

    Raises:
        LineError: they name none.
    """
    kind = one_of(kinds(), words[0], "fault")
    values: dict[str, object] = {"at_ms": at_ms}
    own, strike = _around(words[1:], STRIKE_MARK)
    if kind is Ambush:
        if not strike:
            raise LineError("an ambush needs ': FAULT' at its end, which is what it strikes with")
        if strike[0] == _dashed(Ambush.__name__):
            raise LineError("an ambush cannot strike with an ambush")
        values["strike"] = read_fault(strike, at_ms, nodes)
    elif strike:
        raise LineError(f"only an ambush has another fault after {STRIKE_MARK!r}")
    columns = _columns(kind)
    for word in own:
        key, found, text = word.partition("=")
        if not found:
            raise LineError(f"expected KEY=VALUE, got {shown(word)}", f"keys: {listed(columns)}")
        field, way = _column(columns, key, words[0])
        if field.name in values:
            raise LineError(f"{key} is given twice")
        values[field.name] = way.read(text, nodes)
    missing = [k for k, (f, _) in columns.items() if f.name not in values and f.default is MISSING]
    if missing:
        raise LineError(f"{words[0]} needs {listed(f'{key}=' for key in missing)}")
    make: Callable[..., Fault] = kind
    return make(**values)


def _column(
    columns: dict[str, tuple[Field[object], _Way]], key: str, fault: str
) -> tuple[Field[object], _Way]:
    if key not in columns:
        hint = did_you_mean(key, columns) or f"keys: {listed(columns)}"
        raise LineError(f"{fault} has no {shown(key)}", hint)
    return columns[key]


def _around(words: list[str], mark: str) -> tuple[list[str], list[str]]:
    """Return what comes before and after a word."""
    at = words.index(mark) if mark in words else len(words)
    return words[:at], words[at + 1 :]


def write_fault(fault: Fault, nodes: Nodes) -> str:
    """Return the fault as `read_fault` reads it, without its time."""
    parts = [_dashed(type(fault).__name__)]
    for key, (field, way) in _columns(type(fault)).items():
        value = getattr(fault, field.name)
        if value != field.default:
            parts.append(f"{key}={quoted(way.write(value, nodes))}")
    if isinstance(fault, Ambush):
        parts += [STRIKE_MARK, write_fault(fault.strike, nodes)]
    return " ".join(parts)


def canonical(fault: Fault) -> Fault:
    """Return the fault as a script can say it: what an ambush strikes with has no own time."""
    if isinstance(fault, Ambush):
        return replace(fault, strike=replace(fault.strike, at_ms=fault.at_ms))
    return fault
