# SPDX-License-Identifier: Apache-2.0
"""Messages to bytes and back, versioned."""
