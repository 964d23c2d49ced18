# SPDX-License-Identifier: Apache-2.0
"""Where the daemon is on the system bus, and how long it is waited for."""

BUS_NAME = "org.rgmgr"
OBJECT_PATH = "/org/rgmgr"
MANAGER = "org.rgmgr.Manager1"
PROPERTIES = "org.freedesktop.DBus.Properties"

STATUS_TIMEOUT_S = 10.0
