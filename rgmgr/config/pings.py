# SPDX-License-Identifier: Apache-2.0
"""[[ping]]: what every node should reach, and how long a silence has to last to count."""

from __future__ import annotations

from rgmgr.config.names import check_word
from rgmgr.config.problems import Rejection, below, shown
from rgmgr.config.races import is_address
from rgmgr.config.table import Table
from rgmgr.config.values import parse_interface
from rgmgr.core.spec import PingSpec

PING_KEYS = ("name", "address", "interface", "weight", "interval", "failures", "successes")
_DEFAULT = PingSpec(name="")
IN_A_ROW_MIN = 2
"""A single silence proves nothing, and one answer no more."""


def read_pings(root: Table) -> tuple[PingSpec, ...]:
    """Return what is pinged, in document order."""
    found: dict[str, PingSpec] = {}
    for number_path, raw in root.tables("ping", "ping"):
        bare = Table(raw, number_path, root.problems, known=None)
        name = bare.required_text("name", "a name for what is pinged")
        name = check_word(name, bare.at("name"), root.problems)
        path = number_path if name is None or name in found else below("ping", name)
        table = Table(raw, path, root.problems, known=PING_KEYS)
        if name in found:
            root.problems.add(table.at("name"), f"the ping {shown(name or '')} is defined twice")
        found[name or ""] = _read(name or "", table)
    return tuple(found.values())


def _read(name: str, table: Table) -> PingSpec:
    address, interface = table.text("address") or "", table.text("interface") or ""
    if table.has("address") is table.has("interface"):
        text = "neither address nor interface is given"
        both = "both address and interface are given"
        table.problems.add(table.path, both if address else text, "give one of them")
    if address and not is_address(address):
        table.wrong("address", "an IPv4 or IPv6 address", "a name may not be resolved then")
    if interface and isinstance(refused := parse_interface(interface), Rejection):
        table.problems.reject(table.at("interface"), refused)
    return PingSpec(
        name=name,
        address=address,
        interface=interface,
        weight=table.integer("weight", minimum=1, default=_DEFAULT.weight),
        interval_ms=table.timeout("interval", _DEFAULT.interval_ms),
        failures=table.integer("failures", minimum=IN_A_ROW_MIN, default=_DEFAULT.failures),
        successes=table.integer("successes", minimum=IN_A_ROW_MIN, default=_DEFAULT.successes),
    )
