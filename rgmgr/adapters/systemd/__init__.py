# SPDX-License-Identifier: Apache-2.0
"""Every resource is a systemd unit: `Systemd` carries the core's actions to PID 1 and back."""

from rgmgr.adapters.systemd.adapter import Systemd

__all__ = ["Systemd"]
