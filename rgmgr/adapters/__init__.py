# SPDX-License-Identifier: Apache-2.0
"""Translators between the core and corosync, systemd, fence agents, D-Bus and the clock."""
