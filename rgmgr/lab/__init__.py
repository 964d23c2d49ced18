# SPDX-License-Identifier: Apache-2.0
"""Real cluster nodes on one machine: containers with power buttons, joined by a bridge.

Each node is a systemd-nspawn container with systemd as its PID 1, an own D-Bus and corosync, on
an overlay of one Debian tree, in an own network namespace. Each has a BMC, a real ``ipmi_sim``,
whose power button kills and boots the container. Start reading in :mod:`rgmgr.lab.lab`; what
switches a node is in ``data/power``.

The lab owns its directory and the network namespaces and control groups named ``rglab*``, and
touches nothing else of the machine.
"""

from rgmgr.lab.bmc import BmcFault
from rgmgr.lab.errors import LabError
from rgmgr.lab.lab import Lab, NodeStatus
from rgmgr.lab.prerequisites import missing

__all__ = ["BmcFault", "Lab", "LabError", "NodeStatus", "missing"]
