# SPDX-License-Identifier: Apache-2.0
"""The agreed state machine: events in, actions out; no clock, no I/O, no asyncio."""
