# SPDX-License-Identifier: Apache-2.0
"""The daemon: one inbox, one event at a time, one dispatcher."""
