# SPDX-License-Identifier: Apache-2.0
"""The compiled callbacks, called as corosync calls them; needs the extension, no corosync."""

import sys
from collections.abc import Iterator

import pytest

from rgmgr.adapters.corosync import GroupMember, QuorumChanged, RingId, RingNodesChanged
from rgmgr.adapters.corosync import binding as door
from rgmgr.adapters.corosync.events import ShutdownRequested, ShutdownUrgency
from rgmgr.adapters.corosync.raw import Change, Delivery, GroupChange, Inbox, Reason, RingChange
from rgmgr.errors import CorosyncError

HANDLE = 0x1234_5678_9ABC_DEF0


@pytest.fixture
def compiled() -> door.Binding:
    pytest.importorskip("rgmgr._corosync", reason="built without corosync's headers")
    return door.load()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    for library in ("cpg", "quorum", "cfg"):
        door.register(library, HANDLE, inbox)
    yield inbox
    for library in ("cpg", "quorum", "cfg"):
        door.unregister(library, HANDLE)


def test_a_message_is_copied_out_of_borrowed_memory(compiled: door.Binding, inbox: Inbox) -> None:
    memory = compiled.ffi.new("char[]", b"a\0b")

    compiled.lib.rgmgr_cpg_deliver(HANDLE, compiled.ffi.NULL, 2, 200, memory, 3)
    memory[0] = b"X"
    compiled.lib.rgmgr_cpg_deliver(HANDLE, compiled.ffi.NULL, 2, 200, compiled.ffi.NULL, 0)

    sender = GroupMember(2, 200)
    assert list(inbox.events) == [Delivery(sender, b"a\0b"), Delivery(sender, b"")]


def test_members_and_reasons_are_copied(compiled: door.Binding, inbox: Inbox) -> None:
    ffi = compiled.ffi
    members = ffi.new("struct cpg_address[2]", [{"nodeid": 1, "pid": 10}, {"nodeid": 2, "pid": 20}])
    left = ffi.new(
        "struct cpg_address[3]",
        [{"nodeid": n, "pid": n, "reason": r} for n, r in ((3, 3), (4, 5), (5, 77))],
    )
    joined = ffi.new("struct cpg_address[1]", [{"nodeid": 2, "pid": 20, "reason": 4}])

    compiled.lib.rgmgr_cpg_confchg(HANDLE, ffi.NULL, members, 2, left, 3, joined, 1)

    assert list(inbox.events) == [
        GroupChange(
            members=(GroupMember(1, 10), GroupMember(2, 20)),
            left=(
                Change(GroupMember(3, 3), Reason.NODEDOWN),
                Change(GroupMember(4, 4), Reason.PROCDOWN),
                Change(GroupMember(5, 5), Reason.UNKNOWN),
            ),
            joined=(Change(GroupMember(2, 20), Reason.NODEUP),),
        )
    ]


def test_rings_and_quorum_are_copied(compiled: door.Binding, inbox: Inbox) -> None:
    ffi, lib = compiled.ffi, compiled.lib
    nodes, one = ffi.new("uint32_t[]", [3, 1]), ffi.new("uint32_t[]", [1])
    cpg_ring = ffi.new("struct cpg_ring_id *", {"nodeid": 1, "seq": 2**40})
    ring = ffi.new("struct quorum_ring_id *", {"nodeid": 1, "seq": 2**40})

    lib.rgmgr_cpg_totem_confchg(HANDLE, cpg_ring[0], 2, nodes)
    lib.rgmgr_quorum_nodelist(HANDLE, ring[0], 2, nodes, 1, one, 0, ffi.NULL)
    lib.rgmgr_quorum_notify(HANDLE, 1, ring[0], 2, nodes)

    wanted = RingId(1, 2**40)
    assert list(inbox.events) == [
        RingChange(wanted, (1, 3)),
        RingNodesChanged(ring=wanted, nodes=(1, 3), joined=(1,), left=()),
        QuorumChanged(wanted, is_quorate=True, nodes=(1, 3)),
    ]


def test_shutdown_requests_tell_how_urgent_they_are(compiled: door.Binding, inbox: Inbox) -> None:
    compiled.lib.rgmgr_cfg_shutdown(HANDLE, 0)
    compiled.lib.rgmgr_cfg_shutdown(HANDLE, 1)

    assert list(inbox.events) == [
        ShutdownRequested(ShutdownUrgency.ASKED),
        ShutdownRequested(ShutdownUrgency.FORCED),
    ]


def test_a_callback_that_raises_marks_its_own_connection(
    compiled: door.Binding, inbox: Inbox
) -> None:
    """An exception cannot pass through C: unmarked, the next event would come as if all is well."""
    other, null = Inbox(), compiled.ffi.NULL
    door.register("cpg", HANDLE + 1, other)

    compiled.lib.rgmgr_cpg_confchg(HANDLE, null, null, 1, null, 0, null, 0)
    door.unregister("cpg", HANDLE + 1)

    assert len(inbox.failures) == 1
    assert inbox.failures[0].startswith("callback rgmgr_cpg_confchg: ")
    assert (other.failures, list(inbox.events)) == ([], [])


@pytest.mark.usefixtures("compiled")
def test_a_failed_call_is_named_with_its_code() -> None:
    with pytest.raises(CorosyncError) as refused:
        door.check(11, "cpg_join")
    with pytest.raises(CorosyncError) as strange:
        door.check(4711, "cpg_join")

    assert (refused.value.call, refused.value.code) == ("cpg_join", "CS_ERR_ACCESS")
    assert "/etc/corosync/uidgid.d" in str(refused.value)
    assert strange.value.code == "cs_error_t 4711"


def test_a_missing_extension_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rgmgr._corosync", None)
    monkeypatch.delattr("rgmgr._corosync", raising=False)

    with pytest.raises(CorosyncError) as missing:
        door.load.__wrapped__()

    assert missing.value.code == "NOT_BUILT"
    assert "libcpg-dev" in str(missing.value)
    assert "pip install" in str(missing.value)
