# SPDX-License-Identifier: Apache-2.0
"""A failover-domain service manager for corosync clusters."""

__version__ = "0.1.0"
