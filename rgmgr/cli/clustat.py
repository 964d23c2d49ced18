# SPDX-License-Identifier: Apache-2.0
"""`clustat`: rgmanager's status command: flags and exit codes. Screens: `clustat_screens`.

What the daemon answers is always the local copy of the agreed state, so `-f` changes nothing.
Source: clustat(8).
"""

from __future__ import annotations

import getopt
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

import rgmgr
from rgmgr.cli.client import Connector, DaemonError, Fault, connect
from rgmgr.cli.clustat_screens import Choice, text_screen, xml_screen
from rgmgr.view import Status

_FLAGS = "fIls:m:i:xvQh"
_PROBLEM = 1
NOT_FOUND = 255
_CLEAR = "\033[H\033[2J"
_UP = ("starting", "started", "stopping")

USAGE = """\
usage: {name} <options>
    -i <interval>      Refresh every <interval> seconds.  May not be used
                       with -x.
    -I                 Display local node ID and exit
    -m <member>        Display status of <member> and exit
    -s <service>       Display status of <service> and exit
    -v                 Display version and exit
    -x                 Dump information as XML
    -Q                 Return 0 if quorate, 1 if not (no output)
    -f                 Enable fast clustat reports
    -l                 Use long format for services
    -h                 Display this help and exit
"""


def main() -> None:
    """Run the command; the entry point of the package."""
    sys.exit(run(sys.argv))


def run(argv: Sequence[str], connector: Connector = connect) -> int:
    """Do what the command line says and return the exit code."""
    name = PurePath(argv[0]).name
    try:
        given, _ = getopt.gnu_getopt(list(argv[1:]), _FLAGS)
    except getopt.GetoptError:
        print(USAGE.format(name=name))
        return _PROBLEM
    flags = [flag for flag, _ in given]
    about = {"-h": USAGE.format(name=name), "-v": f"{name} {rgmgr.__version__} (rgmgr)"}
    asked = [text for flag, text in about.items() if flag in flags]
    if asked:
        print(asked[0])
        return 0
    if _has_x_after_i(flags):
        print("Error: Options '-i' and '-x' are mutually exclusive")
        return _PROBLEM
    if "-Q" in flags:
        return _quorum(connector)
    if "-I" in flags:
        return _local_id(connector)
    return _show(_choice(given), connector)


def _has_x_after_i(flags: list[str]) -> bool:
    return "-i" in flags and "-x" in flags[flags.index("-i") :]


def _choice(given: list[tuple[str, str]]) -> Choice:
    choice = Choice()
    for flag, value in given:
        match flag:
            case "-m":
                choice = replace(choice, member=value)
            case "-s":
                choice = replace(choice, service=value.removeprefix("service:"))
            case "-i":
                seconds = int(value) if value.isdecimal() else 0
                choice = replace(choice, interval_s=max(1, seconds))
            case "-l":
                choice = replace(choice, is_long=True)
            case "-x":
                choice = replace(choice, is_xml=True)
            case _:
                pass  # -f: nothing to leave out
    return choice


def _show(choice: Choice, connector: Connector) -> int:
    if not choice.interval_s:
        return _show_once(choice, connector)
    try:
        while True:
            print(_CLEAR, end="")
            _show_once(choice, connector)
            sys.stdout.flush()
            time.sleep(choice.interval_s)
    except KeyboardInterrupt:
        return 0


def _show_once(choice: Choice, connector: Connector) -> int:
    status = _fetch(connector)
    if status is None:
        return _PROBLEM
    now_s = int(time.time())
    screen = xml_screen if choice.is_xml else text_screen
    print(screen(status, now_s, choice), end="")
    return exit_code(status, choice)


def exit_code(status: Status, choice: Choice) -> int:
    """Return what scripts ask for: the member's state, else the service's, else success."""
    member_code = _member_code(status, choice.member) if choice.member else 0
    if not choice.service or member_code:
        return member_code
    service = status.service_named(choice.service)
    if service is None or not status.is_quorate:
        return NOT_FOUND
    return 0 if service.state in _UP else service.code


def _member_code(status: Status, name: str) -> int:
    node = status.node_named(name)
    if node is None:
        return NOT_FOUND
    return 0 if node.is_in_ring else 1


def _quorum(connector: Connector) -> int:
    try:
        with connector() as daemon:
            return 0 if daemon.status().is_quorate else 1
    except DaemonError:
        return 1


def _local_id(connector: Connector) -> int:
    status = _fetch(connector)
    if status is None:
        return _PROBLEM
    local = next((node.id for node in status.nodes if node.is_local), 0)
    print(f"0x{local:08x}")
    return 0


def _fetch(connector: Connector) -> Status | None:
    try:
        with connector() as daemon:
            return daemon.status()
    except DaemonError as error:
        if error.fault is Fault.UNREACHABLE:
            print("Could not connect to resource group manager", file=sys.stderr)
        print(error, file=sys.stderr)
        return None
