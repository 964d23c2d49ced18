# SPDX-License-Identifier: Apache-2.0
"""Exit codes of `rgmgr`. clusvcadm and clustat keep rgmanager's own."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1  # it was tried and did not work
    USAGE = 2
    REFUSED = 3  # nothing was changed
    NO_ANSWER = 4  # in time; it may still happen
    UNREACHABLE = 5  # the daemon
    CONFIG = 78  # EX_CONFIG of sysexits.h
    INTERRUPTED = 130  # by Ctrl-C, as shells count it
