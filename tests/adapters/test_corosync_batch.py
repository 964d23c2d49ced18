# SPDX-License-Identifier: Apache-2.0
"""What the C callbacks write is what Python reads; needs a compiler and headers, no corosync."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from rgmgr.adapters.corosync.batch import read_batch
from rgmgr.adapters.corosync.events import (
    GroupMember,
    QuorumChanged,
    RingId,
    RingNodesChanged,
    ShutdownRequested,
    ShutdownUrgency,
)
from rgmgr.adapters.corosync.raw import (
    Change,
    Delivery,
    ExpectedVotesChanged,
    GroupChange,
    KeyChanged,
    Reason,
    RingChange,
    TooLong,
    VotersChanged,
    VoterState,
)
from rgmgr.errors import InvariantViolation

LIBRARIES = ("cpg", "quorum", "votequorum", "cmap", "cfg", "corosync_common")
HEADER = Path("/usr/include/corosync/cpg.h")
TWO = GroupMember(2, 200)
SHORT = 3  # exit code

needs_compiler = pytest.mark.skipif(
    shutil.which("gcc") is None or not HEADER.exists(),
    reason="needs gcc and corosync's headers (see tools/debian-packages)",
)


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the callbacks as a program that ends with an error where it touches foreign memory."""
    program = tmp_path_factory.mktemp("batch") / "driver"
    source = Path(__file__).with_name("corosync_batch.c")
    checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    strict = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    libraries = [f"-l{name}" for name in LIBRARIES]
    command = ["gcc", "-g", "-O1", *strict, *checks, str(source), "-o", str(program), *libraries]
    subprocess.run(command, check=True)
    return program


@needs_compiler
def test_every_callback_is_copied_out_of_borrowed_memory(driver: Path) -> None:
    played = subprocess.run([driver], capture_output=True, check=False)

    ring = RingId(1, 2**40)
    assert (played.returncode, played.stderr) == (0, b"")
    assert read_batch(played.stdout) == [
        Delivery(TWO, b"a\0b"),
        Delivery(TWO, b""),
        GroupChange(
            members=(GroupMember(1, 10), GroupMember(2, 20)),
            left=(
                Change(GroupMember(3, 3), Reason.NODEDOWN),
                Change(GroupMember(4, 4), Reason.PROCDOWN),
                Change(GroupMember(5, 5), Reason.UNKNOWN),
            ),
            joined=(
                Change(GroupMember(2, 20), Reason.NODEUP),
                Change(GroupMember(6, 6), Reason.JOIN),
                Change(GroupMember(7, 7), Reason.LEAVE),
            ),
        ),
        RingChange(ring, (1, 3)),
        RingNodesChanged(ring=ring, nodes=(1, 3), joined=(1,), left=()),
        QuorumChanged(ring, is_quorate=True, nodes=(1, 3)),
        VotersChanged(
            is_quorate=True,
            states=(
                (0, VoterState.UNKNOWN),
                (1, VoterState.DEAD),
                (2, VoterState.MEMBER),
                (3, VoterState.LEAVING),
            ),
        ),
        ExpectedVotesChanged(5),
        ShutdownRequested(ShutdownUrgency.ASKED),
        ShutdownRequested(ShutdownUrgency.FORCED),
        KeyChanged("a.number", 513),
        KeyChanged("a.text", "n1"),
        KeyChanged("a.text", None),
    ]


@needs_compiler
@pytest.mark.parametrize("room", [1000, 1024, 4096])
def test_a_batch_never_grows_and_says_when_an_event_was_lost(driver: Path, room: int) -> None:
    played = subprocess.run([driver, str(room)], capture_output=True, check=False)

    first, *rest = read_batch(played.stdout)
    assert (played.returncode, played.stderr) == (SHORT, b"")
    assert len(played.stdout) <= room
    assert first == TooLong(TWO, room)
    assert rest == [Delivery(TWO, bytes(100))] * len(rest)
    assert len(rest) == (room - 32) // 132


def test_a_record_of_another_version_is_an_error() -> None:
    with pytest.raises(InvariantViolation, match="kind 99"):
        read_batch(struct.pack("=6IQ", 99, 0, 0, 0, 0, 0, 0))
