# SPDX-License-Identifier: Apache-2.0
"""The worst moments: what a member is about to do when an ambush strikes."""

from __future__ import annotations

from enum import Enum


class Moment(Enum):
    """When an ambush strikes."""

    VIEW = "sees another membership"
    HELLO = "says hello"
    INSTALL_SENT = "sends INSTALL"
    INSTALL = "begins an epoch"
    FENCE = "begins to fence"
    FENCED = "says that a node is down"
    START = "starts a unit"
    STARTED = "says that a service is up"
    STOP = "stops a unit"
    STOPPED = "says that a service is down"
    SAVE = "saves its state"
    LEAVING = "says that it leaves"
    GOODBYE = "says goodbye"
