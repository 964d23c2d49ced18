# SPDX-License-Identifier: Apache-2.0
"""Calls every function of the binding inside a node; prints what came of it as JSON.

corosync_calls.py calls     every function once, by library
corosync_calls.py cycles N  N times connect and finalize; what that cost in memory and descriptors
corosync_calls.py flood N   N messages of each of some sizes to ourselves; how many came back whole

With RGMGR_EXTENSION=FILE that file is the compiled binding, for one made with a sanitizer.
"""

import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path

import rgmgr
from rgmgr.adapters.corosync import (
    CfgHandle,
    CmapHandle,
    CpgHandle,
    Delivery,
    GroupChange,
    LinkReport,
    Map,
    NumberType,
    QuorumHandle,
    RawEvent,
    Scope,
    VotequorumHandle,
    read_report,
)
from rgmgr.adapters.corosync.handle import Handle
from rgmgr.adapters.corosync.report import Glance
from rgmgr.errors import CorosyncError
from tests.adapters.corosync_probe import plain

WAIT_S = 5
LONG = 1000 * "x"
WARM_UP = 50
KINDS: tuple[Callable[[], Handle], ...] = (
    CpgHandle,
    QuorumHandle,
    VotequorumHandle,
    CfgHandle,
    CmapHandle,
)
Result = dict[str, object]


def refused(call: Callable[[], object]) -> str:
    """Return the code with which a call failed."""
    try:
        call()
    except CorosyncError as error:
        return error.code
    except ValueError as error:
        return f"ValueError: {error}"
    return "OK"


def events_until(handle: Handle, enough: Callable[[list[RawEvent]], bool]) -> list[RawEvent]:
    found: list[RawEvent] = []
    deadline = time.monotonic() + WAIT_S
    while not enough(found) and time.monotonic() < deadline:
        if select.select([handle], [], [], deadline - time.monotonic())[0]:
            found += handle.dispatch()
    return found


def told(events: list[RawEvent]) -> list[object]:
    return [[type(event).__name__, plain(event)] for event in events]


def call_cpg() -> Result:
    with CpgHandle() as handle, CpgHandle() as other:
        found: Result = {"node": handle.local_node(), "bytes_max": handle.message_bytes_max()}
        found["too_long"] = refused(lambda: handle.join("x" * 129))
        found["never_joined"] = refused(handle.leave)
        handle.join("calls/1")
        joined = events_until(handle, lambda e: len(e) >= 2)
        found["joined"] = told(joined)
        found["joined_twice"] = refused(lambda: handle.join("calls/1"))
        found["same_process"] = refused(lambda: other.join("calls/1"))
        found["members"] = plain(handle.members("calls/1"))
        found["no_members"] = plain(handle.members("nobody"))
        found["groups"] = plain(handle.groups().get("calls/1", ()))
        found["taken"] = handle.multicast([b"one", b"", b"three"])
        found["delivered"] = told(events_until(handle, lambda e: len(e) >= 3))
        handle.leave()
        left = events_until(handle, lambda e: any(isinstance(x, GroupChange) for x in e))
        found["left"] = told(left)
        found["joined_again"] = refused(lambda: handle.join("calls/1"))
    found["closed"] = refused(handle.dispatch)
    return found


def call_quorum() -> Result:
    with QuorumHandle() as handle:
        found: Result = {"provider": handle.has_provider, "is_quorate": handle.is_quorate()}
        handle.track()
        found["events"] = told(events_until(handle, lambda e: len(e) >= 2))
        found["tracked_twice"] = refused(handle.track)
        handle.untrack()
        found["untracked_twice"] = refused(handle.untrack)
    return found


def call_votequorum(nodes: int) -> Result:
    with VotequorumHandle() as handle:
        handle.track()
        events = events_until(handle, lambda e: len(e) >= 1)
        found: Result = {"events": told(events), "mine": plain(handle.info())}
        found["flags"] = sorted(flag.value for flag in handle.info().flags)
        found["votes"] = [handle.info(node).votes for node in range(1, nodes + 1)]
        found["unknown"] = refused(lambda: handle.info(99))
        found["too_many"] = refused(lambda: handle.set_expected(4_000_000_000))
        handle.set_expected(nodes)
        handle.set_votes(0, 1)
        handle.untrack()
    return found


def call_cmap() -> Result:
    numbers = {NumberType.INT8: -8, NumberType.UINT64: 2**64 - 1, NumberType.DOUBLE: 0.5}
    with CmapHandle() as handle, CmapHandle(Map.STATISTICS) as statistics:
        followed = handle.track("test.", Scope.PREFIX)
        for kind, value in numbers.items():
            handle.set_number(f"test.{kind.name.lower()}", value, kind)
        handle.set_text("test.text", "hällo")
        found: Result = {"items": handle.items("test."), "keys": handle.keys("test.")}
        handle.delete("test.text")
        changed = events_until(handle, lambda e: len(e) >= 5)
        found["changed"] = told(changed)
        handle.untrack(followed)
        found["untracked_twice"] = refused(lambda: handle.untrack(followed))
        found["absent"] = handle.get("test.absent")
        handle.set_text("test.long", LONG)
        found["long"] = handle.get("test.long") == LONG
        found["read_only"] = refused(lambda: handle.set_text("totem.cluster_name", "x"))
        found["not_there"] = refused(lambda: handle.delete("test.absent"))
        found["too_large"] = refused(lambda: handle.set_number("test.x", 256, NumberType.UINT8))
        found["connected"] = statistics.get("stats.knet.node1.link0.connected")
        found["tracked_statistics"] = statistics.track("stats.knet.", Scope.PREFIX) > 0
    return found


def call_cfg(nodes: int) -> Result:
    with CfgHandle() as handle:
        found: Result = {"node": handle.local_node(), "ring": handle.ring_status()}
        everyone = range(1, nodes + 1)
        found["addresses"] = [plain(handle.addresses(node)) for node in everyone]
        found["status"] = [plain(handle.node_status(node)) for node in everyone]
        found["unknown"] = refused(lambda: handle.node_status(99))
        handle.track_shutdown()
        found["events"] = told(handle.dispatch())
        handle.untrack_shutdown()
    return found


def call_glance(report: LinkReport) -> list[bool]:
    """Look twice with one handle: is it as the report has it?"""
    glance = Glance()
    return [glance.read(report.node_names) == report.nodes for _ in range(2)]


def call_all() -> Result:
    report = read_report()
    nodes = len(report.node_names)
    return {
        "cpg": call_cpg(),
        "quorum": call_quorum(),
        "votequorum": call_votequorum(nodes),
        "cmap": call_cmap(),
        "cfg": call_cfg(nodes),
        "report": plain(report),
        "glance": call_glance(report),
    }


def used() -> tuple[int, int]:
    """Return the resident KiB and the number of descriptors of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return pages * resource.getpagesize() // 1024, descriptors


def cycle(count: int) -> Result:
    shared = Path("/dev/shm")

    def turn() -> None:
        for kind in KINDS:
            with kind() as handle:
                handle.dispatch()

    for _ in range(WARM_UP):
        turn()
    memory_before, fds_before = used()
    files_before = len(list(shared.iterdir()))
    for _ in range(count):
        turn()
    memory, fds = used()
    return {
        "grown_kib": memory - memory_before,
        "fds": fds - fds_before,
        "files": len(list(shared.iterdir())) - files_before,
    }


def flood(count: int) -> Result:
    with CpgHandle() as handle:
        handle.join("flood/1")
        events_until(handle, lambda e: len(e) >= 2)
        whole = 0
        for size in (0, 1, 100, 10_000, 1_000_000):
            payload = bytes(i & 0xFF for i in range(256)) * (size // 256 + 1)
            wanted = Delivery(plain_self(handle), payload[:size])
            for _ in range(count):
                while not handle.multicast([payload[:size]]):
                    time.sleep(0.001)  # a full queue has no event of its own
                whole += events_until(handle, bool) == [wanted]
    return {"whole": whole}


def plain_self(handle: CpgHandle) -> object:
    (me,) = (m for m in handle.members("flood/1") if m.node == handle.local_node())
    return me


def use_extension(path: str) -> None:
    loader = importlib.machinery.ExtensionFileLoader("rgmgr._corosync", path)
    spec = importlib.util.spec_from_file_location("rgmgr._corosync", path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules["rgmgr._corosync"] = module
    rgmgr._corosync = module


def main(what: str, count: str = "0") -> None:
    if extension := os.environ.get("RGMGR_EXTENSION"):
        use_extension(extension)
    match what:
        case "calls":
            found = call_all()
        case "cycles":
            found = cycle(int(count))
        case _:
            found = flood(int(count))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
