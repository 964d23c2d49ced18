# SPDX-License-Identifier: Apache-2.0
"""Whole clusters of real cores on a simulated world, from one seed."""
