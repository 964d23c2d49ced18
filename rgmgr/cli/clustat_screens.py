# SPDX-License-Identifier: Apache-2.0
"""The screens of `clustat`: text tables, long format, XML. Pure: status in, text out.

Widths, titles and attribute names are rgmanager's, since scripts cut columns out of them. Values
in XML are escaped, which rgmanager forgot. Source: clustat(8), rgmanager 3.1 output.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from rgmgr.view import NodeView, ServiceView, Status

_ID_WIDTH = 4
_STATE_WIDTH = 14
_FRAME_WIDTH = 6  # blanks between the columns, and the end of the line
_WITHOUT_OWNER = ("stopped", "disabled", "recoverable", "failed", "uninitialized")
_FROZEN = "frozen"
_FLAG_VALUES = {_FROZEN: 0x1, "partial": 0x2}
_FLAG_LETTERS = {_FROZEN: "Z", "partial": "P"}
_UNAVAILABLE = "Service states unavailable: Operation requires quorum\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What to show, and how. Empty names: everything."""

    member: str = ""
    service: str = ""  # without prefix
    interval_s: int = 0  # 0: once
    is_long: bool = False
    is_xml: bool = False


def text_screen(status: Status, now_s: int, choice: Choice, columns: int | None = None) -> str:
    """Return the screen; with a member or a service only that part.

    Args:
        status: what to show.
        now_s: wall-clock time, for display.
        choice: which part of it.
        columns: of the terminal; None: as many as it has.
    """
    width = columns or shutil.get_terminal_size().columns
    parts: list[str] = []
    if not choice.member and not choice.service:
        quorum = "Quorate" if status.is_quorate else "Inquorate"
        parts.append(f"Cluster Status for {status.cluster} @ {time.ctime(now_s)}\n")
        parts.append(f"Member Status: {quorum}\n\n")
    if choice.member or not choice.service:
        parts.append(_member_table(_members(status, choice.member), width))
    if choice.service or not choice.member:
        parts.append(_services_text(status, now_s, choice, width))
    return "".join(parts)


def xml_screen(status: Status, now_s: int, choice: Choice) -> str:
    """Return the same facts as XML."""
    lines = ['<?xml version="1.0"?>', '<clustat version="4.1.1">']
    if not choice.member and not choice.service:
        lines.append(_element("cluster", 2, _cluster_attributes(status)))
        lines.append(_element("quorum", 2, _quorum_attributes(status)))
    if choice.member or not choice.service:
        nodes = [_element("node", 4, _node_attributes(n)) for n in _members(status, choice.member)]
        lines += ["  <nodes>", *nodes, "  </nodes>"]
    if (choice.service or not choice.member) and status.is_quorate:
        services = _services(status, choice.service)
        groups = [_element("group", 4, _group_attributes(s, now_s)) for s in services]
        lines += ["  <groups>", *groups, "  </groups>"]
    return "\n".join([*lines, "</clustat>", ""])


def cluster_id(name: str) -> int:
    """Return the 16-bit number that the cluster manager made of a cluster's name."""
    number = 0
    for byte in name.encode():
        number = (number << 1) + byte
    return number & 0xFFFF


def _members(status: Status, name: str) -> list[NodeView]:
    """Return the nodes to show: neither configured nor up means not there."""
    shown = [node for node in status.nodes if node.is_configured or node.is_in_ring]
    return [node for node in shown if not name or node.name == name]


def _services(status: Status, name: str) -> list[ServiceView]:
    return [service for service in status.services if not name or service.name == name]


def _member_table(nodes: Iterable[NodeView], width: int) -> str:
    name_width = width // 2
    lines = [
        f" {_cell('Member Name', name_width)}{'ID':<{_ID_WIDTH}} Status",
        f" {_cell('------ ----', name_width)}{'----':<{_ID_WIDTH}} ------",
    ]
    lines += [
        f" {_cell(node.name, name_width)} {node.id:>{_ID_WIDTH}} {_member_status(node)}"
        for node in nodes
    ]
    return "\n".join(lines) + "\n\n"


def _member_status(node: NodeView) -> str:
    words = {
        "Online" if node.is_in_ring else "Offline": True,
        "Local": node.is_local,
        "Estranged": not node.is_configured,
        "rgmanager": node.is_member,
    }
    return ", ".join(word for word, is_true in words.items() if is_true)


def _services_text(status: Status, now_s: int, choice: Choice, width: int) -> str:
    if not status.is_quorate:
        return _UNAVAILABLE
    services = _services(status, choice.service)
    if choice.is_long:
        blocks = "".join(_long_block(service, now_s) for service in services)
        return f"Service Information\n------- -----------\n\n{blocks}"
    column = (width - (_STATE_WIDTH + _FRAME_WIDTH)) // 2
    rows = [("Service Name", "Owner (Last)", "State"), ("------- ----", "----- ------", "-----")]
    rows += [
        (_typed(service), _owner_cell(service, column), _state(service)) for service in services
    ]
    return "".join(
        f" {_cell(first, column)} {_cell(second, column)} {_cell(third, _STATE_WIDTH)}\n"
        for first, second, third in rows
    )


def _long_block(service: ServiceView, now_s: int) -> str:
    flags = _flags(service)
    facts = {
        "Service Name      ": _typed(service),
        "  Current State   ": f"{service.state} ({service.code})",
        "  Flags           ": f"{', '.join(flags) or 'none'} ({_flag_number(flags)})",
        "  Owner           ": service.owner or "none",
        "  Last Owner      ": service.last_owner or "none",
        "  Last Transition ": time.ctime(_transition_s(service, now_s)),
    }
    return "".join(f"{title}: {value}\n" for title, value in facts.items()) + "\n"


def _owner_cell(service: ServiceView, width: int) -> str:
    if service.state in _WITHOUT_OWNER:
        return f"({(service.last_owner or 'none')[: width - 2]})"
    return service.owner or "none"


def _state(service: ServiceView) -> str:
    """Return the state with its flags at the right edge of the column."""
    letters = "".join(_FLAG_LETTERS[flag] for flag in _flags(service))
    if not letters:
        return service.state
    mark = f"[{letters}]"
    return service.state.ljust(_STATE_WIDTH - len(mark))[: _STATE_WIDTH - len(mark)] + mark


def _flags(service: ServiceView) -> list[str]:
    """Return the flags that rgmanager knows."""
    return [flag for flag in service.flags if flag in _FLAG_VALUES]


def _flag_number(flags: list[str]) -> int:
    return sum(_FLAG_VALUES[flag] for flag in flags)


def _transition_s(service: ServiceView, now_s: int) -> int:
    """Return the last transition on the wall clock, which is only good for display."""
    return now_s - service.age_ms // 1_000


def _typed(service: ServiceView) -> str:
    return f"service:{service.name}"


def _cell(text: str, width: int) -> str:
    return text[:width].ljust(width)


def _cluster_attributes(status: Status) -> Mapping[str, str | int]:
    return {
        "name": status.cluster,
        "id": cluster_id(status.cluster),
        "generation": status.epoch,
    }


def _quorum_attributes(status: Status) -> Mapping[str, str | int]:
    is_member = any(node.is_local and node.is_member for node in status.nodes)
    return {
        "quorate": int(status.is_quorate),
        "groupmember": int(status.is_quorate and is_member),
    }


def _node_attributes(node: NodeView) -> Mapping[str, str | int]:
    return {
        "name": node.name,
        "state": int(node.is_in_ring),
        "local": int(node.is_local),
        "estranged": int(not node.is_configured),
        "rgmanager": int(node.is_member),
        "rgmanager_master": 0,  # there is no central master
        "qdisk": 0,  # corosync's quorum device is no node
        "nodeid": f"0x{node.id:08x}",
    }


def _group_attributes(service: ServiceView, now_s: int) -> Mapping[str, str | int]:
    flags = _flags(service)
    transition_s = _transition_s(service, now_s)
    return {
        "name": _typed(service),
        "state": service.code,
        "state_str": service.state,
        "flags": _flag_number(flags),
        "flags_str": " ".join(flags),
        "owner": service.owner or "none",
        "last_owner": service.last_owner or "none",
        "restarts": service.restarts,
        "last_transition": transition_s,
        "last_transition_str": time.ctime(transition_s),
    }


def _element(name: str, indent: int, attributes: Mapping[str, str | int]) -> str:
    text = "".join(f" {key}={_quoted(value)}" for key, value in attributes.items())
    return f"{' ' * indent}<{name}{text}/>"


def _quoted(value: str | int) -> str:
    """Quote always with double quotes: simple parsers look for nothing else."""
    return quoteattr(str(value).replace('"', "\0")).replace("\0", "&quot;")
