# SPDX-License-Identifier: Apache-2.0
"""What administrators change in cluster.toml: each edit makes the next text from an older one."""

from __future__ import annotations

from enum import Enum


class Edit(Enum):
    """One change of a configuration."""

    NOTHING = "nothing but the version"
    ADD_SERVICE = "adds the service"
    REMOVE_SERVICE = "removes the service"
    CHANGE_DOMAIN = "gives another domain to"
    CHANGE_RECOVERY = "gives another recovery policy to"
    ADD_RESOURCE = "adds a resource to"
    REMOVE_RESOURCE = "removes a resource of"
    REORDER = "turns the order of the services round"
    ADD_NODE = "adds the node"
    REMOVE_NODE = "removes the node"
