# SPDX-License-Identifier: Apache-2.0
"""Runtime drop-ins: how an existing unit joins a service for as long as it runs here.

Owns the files `UNIT.d/50-rgmgr.conf` below /run/systemd/system. A fresh one takes effect without
a daemon-reload when the unit is not in memory; whether it did is asked of systemd afterwards.
Source: systemd.unit(5).
"""

from __future__ import annotations

import contextlib
import json
import os
from enum import Enum
from pathlib import Path

FOLDER = Path("/run/systemd/system")
NAME = "50-rgmgr.conf"

_MARK = "# rgmgr: "


class Written(Enum):
    """What writing a drop-in did."""

    UNCHANGED = "unchanged"
    NEW = "new"
    REPLACED = "replaced"  # a unit in memory goes on with the old text until a reload


class DropIns:
    """The drop-ins of this node."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    def path(self, unit: str) -> Path:
        """Return where the drop-in of a unit is, or would be."""
        return self._folder / f"{unit}.d" / NAME

    def write(self, unit: str, text: str) -> Written:
        """Write atomically.

        Raises:
            OSError: the folder cannot be written to.
        """
        path = self.path(unit)
        before = self._read(path)
        if before == text:
            return Written.UNCHANGED
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{NAME}.new")
        temporary.write_text(text, encoding="utf-8")
        os.chmod(temporary, 0o644)  # noqa: PTH101 - systemd's own are readable by all
        temporary.replace(path)
        return Written.NEW if before is None else Written.REPLACED

    def remove(self, unit: str) -> None:
        """Remove the drop-in; one that is not there is fine."""
        path = self.path(unit)
        with contextlib.suppress(OSError):
            path.unlink()
        with contextlib.suppress(OSError):  # somebody else's drop-ins may be in there
            path.parent.rmdir()

    def owner(self, unit: str) -> tuple[str, str] | None:
        """Return the service and resource that a unit was tied to; None: it is not."""
        text = self._read(self.path(unit)) or ""
        first = text.partition("\n")[0]
        if not first.startswith(_MARK):
            return None
        with contextlib.suppress(ValueError, TypeError):
            service, resource, _ = json.loads(first.removeprefix(_MARK))
            return str(service), str(resource)
        return None

    @staticmethod
    def _read(path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8")
        except OSError:
            return None
