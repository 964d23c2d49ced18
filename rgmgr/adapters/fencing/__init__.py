# SPDX-License-Identifier: Apache-2.0
"""Fence agents: `FenceRunner` runs them and says whether a node is confirmed to be off."""

from rgmgr.adapters.fencing.runner import FenceRunner

__all__ = ["FenceRunner"]
