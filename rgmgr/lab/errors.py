# SPDX-License-Identifier: Apache-2.0
"""The one exception of the lab."""

from rgmgr.errors import RgmgrError


class LabError(RgmgrError):
    """The lab cannot do what was asked; the text says what was tried, found, and what to do."""
