# SPDX-License-Identifier: Apache-2.0
"""rgmgr and Pacemaker at the same work, in the same run, on the same nodes: `make bench-peers`."""
