# SPDX-License-Identifier: Apache-2.0
"""Real nodes on one machine: containers with systemd, corosync and power buttons."""
