# SPDX-License-Identifier: Apache-2.0
"""Failover domains: who may own a service. Pure policy."""
