# SPDX-License-Identifier: Apache-2.0
"""Which SNMP objects of which kind of PDU mean what: a table, no code.

Source: the vendors' MIBs, as the drivers of several projects use them.
"""

from typing import NamedTuple


class Family(NamedTuple):
    """How one kind of PDU is read and switched; an OID is completed by the outlet's index."""

    vendor: str  # beginning of the device's system object identifier
    unit: str  # goes before the outlet's number if the plug names no unit
    names: str
    state_oid: str
    state_on: str
    state_off: str
    on_oid: str
    on_value: str
    off_oid: str
    off_value: str


def family(vendor: str, unit: str, tables: str, state: str, on: str, off: str) -> Family:
    """Return a family from its short form: "names" of tables, "OID on off", "OID value" twice."""
    return Family(vendor, unit, tables, *state.split(), *on.split(), *off.split())


APC, EATON = "1.3.6.1.4.1.318", "1.3.6.1.4.1.534"
RARITAN, CYBERPOWER = "1.3.6.1.4.1.13742", "1.3.6.1.4.1.3808"
# Of one vendor the newest comes first: the first whose state table is there is taken.
FAMILY_BY_NAME = {
    "apc-rpdu2": family(  # its state says 2 for on, its command 1
        APC, "", f"{APC}.1.1.26.9.2.3.1.3", f"{APC}.1.1.26.9.2.3.1.5 2 1",
        f"{APC}.1.1.26.9.2.4.1.5 1", f"{APC}.1.1.26.9.2.4.1.5 2"),
    "apc-rpdu": family(
        APC, "", f"{APC}.1.1.12.3.5.1.1.2", f"{APC}.1.1.12.3.5.1.1.4 1 2",
        f"{APC}.1.1.12.3.3.1.1.4 1", f"{APC}.1.1.12.3.3.1.1.4 2"),
    "apc-masterswitch": family(
        APC, "", f"{APC}.1.1.4.4.2.1.4", f"{APC}.1.1.4.4.2.1.3 1 2",
        f"{APC}.1.1.4.4.2.1.3 1", f"{APC}.1.1.4.4.2.1.3 2"),
    "eaton": family(  # the commands' values are delays in seconds
        EATON, "0", f"{EATON}.6.6.7.6.1.1.3", f"{EATON}.6.6.7.6.6.1.2 1 0",
        f"{EATON}.6.6.7.6.6.1.4 0", f"{EATON}.6.6.7.6.6.1.3 0"),
    "eaton-managed": family(
        EATON, "", f"{EATON}.6.6.6.1.2.2.1.1", f"{EATON}.6.6.6.1.2.2.1.3 1 0",
        f"{EATON}.6.6.6.1.2.2.1.3 1", f"{EATON}.6.6.6.1.2.2.1.3 0"),
    "raritan": family(
        RARITAN, "1", f"{RARITAN}.6.3.5.3.1.3", f"{RARITAN}.6.4.1.2.1.3 7 8",
        f"{RARITAN}.6.4.1.2.1.2 1", f"{RARITAN}.6.4.1.2.1.2 0"),
    "cyberpower": family(
        CYBERPOWER, "", f"{CYBERPOWER}.1.1.3.3.3.1.1.2", f"{CYBERPOWER}.1.1.3.3.5.1.1.4 1 2",
        f"{CYBERPOWER}.1.1.3.3.3.1.1.4 1", f"{CYBERPOWER}.1.1.3.3.3.1.1.4 2"),
}  # fmt: skip
