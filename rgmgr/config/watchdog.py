# SPDX-License-Identifier: Apache-2.0
"""Self-fencing in the configuration: what resets a node, and whether its time can be kept.

A member is not fed while an epoch is being agreed on, so its watchdog must bear the longest time
that takes; else one silent member would have all others reset. Source: ADR 20.
"""

from __future__ import annotations

import re

from rgmgr.config.durations import written_duration
from rgmgr.config.problems import Problems, below
from rgmgr.config.table import Table
from rgmgr.core.spec import WATCHDOG_AGENT, WATCHDOG_OF_SYSTEMD, ClusterSpec

DETECTION_MS = 5_000
"""Beside `sync_timeout`: corosync's default timers (3.65 s of five nodes), and half a tick."""
_DEVICE = re.compile(r"/dev/[A-Za-z0-9_./-]+")


def read_watchdog(section: Table) -> str:
    """Return the watchdog of every node; empty: none."""
    found = section.text("watchdog")
    if found is None or found == WATCHDOG_OF_SYSTEMD or _DEVICE.fullmatch(found):
        return found or ""
    expected = f'a device such as "/dev/watchdog", or "{WATCHDOG_OF_SYSTEMD}"'
    section.wrong("watchdog", expected)
    return ""


def least_timeout_ms(spec: ClusterSpec) -> int:
    """Return what the watchdog of a member has to bear at least."""
    return spec.sync_timeout_ms + DETECTION_MS


def check_watchdog(spec: ClusterSpec, problems: Problems) -> None:
    """Note what makes time alone no proof: nothing that resets, or no time for it."""
    fencing = spec.fencing
    for name, device in fencing.devices.items():
        if device.agent == WATCHDOG_AGENT and not fencing.watchdog:
            text = f"{WATCHDOG_AGENT} needs a watchdog on every node, and none is configured"
            hint = 'set fencing.watchdog = "/dev/watchdog"'
            problems.add(below(below("fencing.device", name), "agent"), text, hint)
    least_ms = least_timeout_ms(spec)
    if fencing.watchdog and fencing.watchdog_ms < least_ms:
        text = "is too short: members that only wait for a silent one would be reset"
        hint = (
            f"at least cluster.sync_timeout and {written_duration(DETECTION_MS)}, which is "
            f"{written_duration(least_ms)}; or make cluster.sync_timeout shorter"
        )
        problems.add("fencing.watchdog_timeout", text, hint)
