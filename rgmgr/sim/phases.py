# SPDX-License-Identifier: Apache-2.0
"""What a simulated unit is, and how it behaves when it is asked."""

from __future__ import annotations

from enum import Enum

ARRIVES = "goes on here"
"""What is said of a virtual machine that ran elsewhere until this moment."""


class Phase(Enum):
    """What systemd, or libvirt, says of a unit."""

    INACTIVE = "inactive"
    STARTING = "activating"
    ACTIVE = "active"
    STOPPING = "deactivating"
    INCOMING = "incoming"  # paused: it runs on another node, and may come here


class Mood(Enum):
    """How a unit behaves when it is asked."""

    GOOD = "behaves"
    START_FAILS = "fails to start"
    START_HANGS = "hangs while starting"
    STOP_FAILS = "fails to stop"
    STOP_HANGS = "hangs while stopping"
    DIES_SOON = "dies soon after its start"
    MASKED = "is masked"
